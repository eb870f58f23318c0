"""Learning from solutions that the learner samples itself while it learns, as a step of a stage.

Each step samples programs for every problem of the batch, executes them, keeps those that are right or partly right,
and learns from some of the programs that are known by then. What is known is part of the stage's state, as a model
without parameters (`Buffer`), so a stage that is killed goes on with the same programs. Letters: B problems, M places
for known programs of each, K programs that are learned, P tokens of a prompt, L of a program without its end,
S = P + L + 1.

>>> # Stage(model={"learner": net, "buffer": Buffer(800, 16, 20)}, objective={"learner": SeveralAnswers(), "buffer":
>>> #       None}, optimizer={"learner": adamw(1e-3), "buffer": None}, data=Solving(...),
>>> #       step=SelfSampling(words, source), ...)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Int, Key

from stagejax.data.reasoning.solution_buffer import VERDICTS, Known, joined
from stagejax.data.reasoning.solving import numbers_of
from stagejax.data.sources import Source
from stagejax.data.tokenizers import SEP, Codec, Tokenizer, codec
from stagejax.decode import Prompts, Samples, sample
from stagejax.identity import once_a_program
from stagejax.ledger import count_flops
from stagejax.objectives.text.marginal import SeveralAnswers
from stagejax.program import build
from stagejax.stage import Batch, Metrics, Part, Stage, gradient_step
from stagejax.state import TrainState


@dataclass(frozen=True)
class Buffer:
    """The configuration of the known programs in a stage's state: no network, but part of the state as one is."""

    problems: int
    places: int  # programs of a problem beside its reference
    length: int  # tokens of a program

    def sizes(self) -> dict[str, int]:
        """It names no axes."""
        return {}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """No programs yet."""
        return Programs(self)


class Programs(nnx.Module):
    """The variables `tokens` (problems, M, L), 0 behind a program's end, and `full` (problems, M)."""

    def __init__(self, config: Buffer) -> None:
        shape = (config.problems, config.places)
        self.tokens = nnx.Variable(jnp.zeros((*shape, config.length), jnp.int32))
        self.full = nnx.Variable(jnp.zeros(shape, bool))


@dataclass(frozen=True)
class SelfSampling:
    """One optimizer step of the model "learner" on programs of the model "buffer", which it first adds to.

    The batch is that of `Solving`; no problem may come twice in it. A sample begins with a partial program of the
    problem's, drawn uniformly among these and the empty one. What is kept is decided by `solution_buffer.joined`, on
    the host. Of the reference and all that is known K programs are drawn, each as likely, without replacement; where
    there are fewer, rows have weight 0. So the number of rows of a step does not depend on what was found. The end is
    learned behind full programs alone.

    Args:
      tokenizer, source: of the programs' text; the tokenizer is trained on the questions of the source.
      programs: K.
      samples: of each problem in a step, all from the same beginning; they are judged one after the other.
      temperature: of the samples.
      partial: keep partial programs as well.
      continued: begin at partial programs; else always from scratch.
      tolerance: statements that a program may have more than the shortest known one.
      end: the token behind a full program.

    Reference: Ni et al. 2022, https://arxiv.org/abs/2205.14318, section 3.
    """

    tokenizer: Tokenizer
    source: Source
    programs: int = 2
    samples: int = 1
    temperature: float = 0.8
    partial: bool = True
    continued: bool = True
    tolerance: int = 0
    end: int = SEP

    @property
    def code(self) -> Codec:
        return codec(self.tokenizer, self.source, "question")

    def __call__(
        self, parts: dict[str, Part], states: dict[str, TrainState], batch: Batch, key: jax.Array
    ) -> tuple[dict[str, TrainState], Metrics]:
        """The states after the step, and metrics: of the samples what became of them, of the buffer its mean sizes."""
        learner, held, record = states["learner"], states["buffer"], batch["record"]
        begin_key, draw_key, learn_key = jax.random.split(jax.random.fold_in(key, learner.step), 3)
        rows_BML, full_BM = held.rest["tokens"][record], held.rest["full"][record]
        begun_BL = self.begun(rows_BML, full_BM, begin_key)
        model = nnx.merge(parts["learner"].graphdef, learner.params, learner.rest)
        drawn = self.drawn(model, batch, begun_BL, draw_key)
        found = (batch["numbers"], batch["reference"], rows_BML, full_BM, programs_of(drawn))
        shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in (rows_BML, full_BM, drawn.ends_BN)]
        rows_BML, full_BM, verdict_BN = jax.pure_callback(self.on_host, shapes, *found)
        rest = {
            "tokens": held.rest["tokens"].at[record].set(rows_BML),
            "full": held.rest["full"].at[record].set(full_BM),
        }
        learned = self.learned(batch, rows_BML, full_BM, learn_key)
        after, metrics = gradient_step(parts["learner"], learner, learned, key)
        here_BM = rows_BML[..., 0] > 0
        metrics |= {
            "full_known": (here_BM & full_BM).sum(1).mean(),
            "partial_known": (here_BM & ~full_BM).sum(1).mean(),
            "continued": (begun_BL[:, 0] > 0).mean(),
            "sampled_tokens": (drawn.ends_BN - drawn.starts_BN - (begun_BL > 0).sum(1)[:, None]).sum(),
            **{name.replace(" ", "_"): (verdict_BN == number).mean() for number, name in enumerate(VERDICTS)},
        }
        return {"learner": after, "buffer": replace(held, step=held.step + 1, rest=rest)}, metrics

    def begun(self, rows_BML: Array, full_BM: Array, key: Key[Array, ""]) -> Int[Array, "B L"]:
        """Where samples begin: a partial program, or zeros for the empty one."""
        empty_BL = jnp.zeros_like(rows_BML[:, 0])
        if not self.continued:
            return empty_BL
        may_BM = (rows_BML[..., 0] > 0) & ~full_BM
        may_BM = jnp.concatenate([jnp.ones_like(may_BM[:, :1]), may_BM], axis=1)
        chosen_B = jax.random.categorical(key, jnp.where(may_BM, 0.0, -jnp.inf))
        all_BML = jnp.concatenate([empty_BL[:, None], rows_BML], axis=1)
        return jnp.take_along_axis(all_BML, chosen_B[:, None, None], axis=1)[:, 0]

    def drawn(self, model: Any, batch: Batch, begun_BL: Array, key: Key[Array, ""]) -> Samples:
        """Completions of each program that was begun. Their `starts_BN` are where the prompts end, not the prefixes."""
        sizes_B, L = (begun_BL > 0).sum(1), begun_BL.shape[1]
        width = batch["tokens"].shape[1] + L
        prompts = Prompts(behind(batch["tokens"], batch["lengths"], begun_BL, width), batch["lengths"] + sizes_B)
        how = {"n": self.samples, "length": width + 1, "limit": L + 1 - sizes_B, "temperature": self.temperature}
        drawn = sample(model, prompts, key, stops=((self.end,),), **how)
        return replace(drawn, starts_BN=jnp.broadcast_to(batch["lengths"][:, None], drawn.ends_BN.shape))

    def learned(self, batch: Batch, rows_BML: Array, full_BM: Array, key: Key[Array, ""]) -> dict[str, Array]:
        """K of the known programs of each problem, as a batch of `SeveralAnswers`."""
        all_BML = jnp.concatenate([batch["reference"][:, None], rows_BML], axis=1)
        full_BM = jnp.concatenate([jnp.ones_like(full_BM[:, :1]), full_BM], axis=1)
        there_BM = all_BML[..., 0] > 0
        order_BM = jnp.where(there_BM, jax.random.gumbel(key, there_BM.shape), -jnp.inf)
        _, chosen_BK = jax.lax.top_k(order_BM, self.programs)
        programs_BKL = jnp.take_along_axis(all_BML, chosen_BK[..., None], axis=1)
        full_BK, there_BK = (jnp.take_along_axis(x, chosen_BK, axis=1) for x in (full_BM, there_BM))
        return answer_rows(batch, programs_BKL, full_BK, there_BK, self.end)

    def on_host(
        self, numbers: Any, reference: Any, rows: Any, full: Any, programs: Any
    ) -> tuple[Int[np.ndarray, "B M L"], Bool[np.ndarray, "B M"], Int[np.ndarray, "B N"]]:
        """Known programs of each problem after its samples, and what became of these, as numbers of `VERDICTS`."""
        numbers, reference, rows, full, programs = map(np.asarray, (numbers, reference, rows, full, programs))
        code, places, length = self.code, *rows.shape[1:]
        new_rows, new_full = np.zeros_like(rows), np.zeros_like(full)
        verdicts = np.zeros(programs.shape[:2], np.int32)
        for i in range(len(rows)):
            kept = zip(rows[i], full[i], strict=True)
            known = (Known(code.decode(reference[i]), True),)
            known += tuple(Known(code.decode(row).removesuffix(" ;"), bool(f)) for row, f in kept if row[0])
            given = numbers_of(numbers[i])
            for k, sampled in enumerate(code.decode(program) for program in programs[i]):
                more, verdict = joined(known, sampled, given, partial=self.partial, tolerance=self.tolerance)
                if any(len(text) > length for text in code.encode([each.text for each in more[1:]])):
                    more, verdict = known, "too long"
                known, verdicts[i, k] = more[: places + 1], VERDICTS.index(verdict)
            for place, text in enumerate(code.encode([each.text for each in known[1:]])):
                new_rows[i, place, : len(text)], new_full[i, place] = text, known[1 + place].full
        return new_rows, new_full, verdicts


@dataclass(frozen=True)
class ReferenceStep:
    """The optimizer step of maximum likelihood: on the reference program of each problem of a batch of `Solving`."""

    end: int = SEP

    def __call__(self, part: Part, state: TrainState, batch: Batch, key: jax.Array) -> tuple[TrainState, Metrics]:
        return gradient_step(part, state, references(batch, self.end), key)


def on_references(model: Any, batch: Batch, key: Any, *, end: int = SEP) -> tuple[jax.Array, Metrics]:
    """-log p of reference programs as an objective of evaluations; of several models, of the one named "learner"."""
    learner = model["learner"] if isinstance(model, dict) else model
    return SeveralAnswers()(learner, references(batch, end), key)


def references(batch: Mapping[str, Any], end: int) -> dict[str, Array]:
    """The reference programs as a batch of `SeveralAnswers` with K = 1."""
    one_B1 = jnp.ones((len(batch["record"]), 1), bool)
    return answer_rows(batch, batch["reference"][:, None], one_B1, one_B1, end)


def answer_rows(
    batch: Mapping[str, Any], programs_BKL: Array, full_BK: Array, there_BK: Array, end: int
) -> dict[str, Array]:
    """Prompts with programs behind them, and with the end behind full ones; only programs and ends have weight."""
    sizes_BK = (programs_BKL > 0).sum(-1)
    padded = jnp.pad(programs_BKL, ((0, 0), (0, 0), (0, 1)))
    at_L = jnp.arange(padded.shape[-1])
    programs = jnp.where((at_L == sizes_BK[..., None]) & full_BK[..., None], end, padded)
    width = batch["tokens"].shape[1] + padded.shape[-1]
    splice = jax.vmap(behind, (None, None, 1, None), 1)
    tokens_BKS = splice(batch["tokens"], batch["lengths"], programs, width)
    first = batch["lengths"][:, None, None]
    at_S = jnp.arange(width)
    last = first + (sizes_BK + full_BK)[..., None]
    weights = ((at_S >= first) & (at_S < last) & there_BK[..., None]).astype(jnp.float32)
    return {"tokens": tokens_BKS, "weights": weights[..., 1:], "there": there_BK.astype(jnp.float32)}


def behind(first_BP: Any, lengths_B: Any, then_BL: Any, width: int) -> Int[Array, "B W"]:
    """Rows of the first tokens, so many of each, and the others behind them; 0 behind these.

    >>> first, then = jnp.array([[1, 2, 0], [3, 4, 5]]), jnp.array([[8, 9], [7, 0]])
    >>> behind(first, jnp.array([2, 3]), then, 5).tolist()
    [[1, 2, 8, 9, 0], [3, 4, 5, 7, 0]]
    """
    at_BW = jnp.broadcast_to(jnp.arange(width), (len(first_BP), width))
    place_BW = at_BW - lengths_B[:, None]
    own = jnp.take_along_axis(first_BP, at_BW, axis=1, mode="clip")
    other = jnp.take_along_axis(then_BL, place_BW, axis=1, mode="clip")
    return jnp.where(place_BW < 0, own, jnp.where(place_BW < then_BL.shape[1], other, 0))


def programs_of(drawn: Samples) -> Int[Array, "B N S"]:
    """The tokens behind the prompts, from 0 on: those that a sample began with, and those that were drawn."""
    at_BNS = drawn.starts_BN[..., None] + jnp.arange(drawn.tokens_BNS.shape[-1])
    found = jnp.take_along_axis(drawn.tokens_BNS, at_BNS, axis=-1, mode="clip")
    return jnp.where(at_BNS < drawn.ends_BN[..., None], found, 0)


def with_flops(stage: Stage) -> Stage:
    """The same stage, charged for its samples as if each had all tokens that it may have."""
    return replace(stage, step_flops=Each(_step_flops(stage)))


@dataclass(frozen=True)
class Each:
    """The same FLOPs for every step."""

    flops: float

    def __call__(self, steps: np.ndarray) -> np.ndarray:
        return np.full(np.shape(steps), self.flops)


@once_a_program
def _step_flops(stage: Stage) -> float:
    program = build(stage, None)
    specs = (program.state, program.batch, program.key, program.numbers)
    bare = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), specs)
    return float(count_flops(program.step, *bare, while_trips=program.parts["buffer"].config.length + 1))


__all__ = ["Buffer", "Programs", "ReferenceStep", "SelfSampling", "on_references", "with_flops"]
