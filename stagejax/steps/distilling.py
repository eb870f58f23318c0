"""Distillation with a teacher in the step: on responses that are given, or drawn anew from either model in each step.

Where the responses come from is a function (models, batch, key) -> (rows, drawn tokens), the step's `source`:

    given                        offline: those of the batch, made once
    Drawn("teacher", how)        online, of the teacher
    Drawn("student", how)        online, of the student: on-policy distillation
    Mixed((given, Drawn(...)))   each row from one of several

>>> # models = {"student": small, "teacher": large, "oracle": truth}  # the oracle is there to measure by
>>> # stage = Stage("online", models, None, {"student": adam(1e-3), "teacher": None, "oracle": None}, prompts, 400,
>>> #               step=DistilStep(forward_kl, Drawn("teacher", Responding(24))), ...)
>>> # run.train(with_flops(stage), {"student": tuned, "teacher": teacher, "oracle": oracle})
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from stagejax.identity import once_a_program
from stagejax.inference.prompts.responding import Responding
from stagejax.ledger import count_flops
from stagejax.objectives.divergence import Divergence, forward_kl
from stagejax.program import build
from stagejax.stage import Batch, Metrics, Part, Stage, gradient_step
from stagejax.state import TrainState, cast
from stagejax.steps.rollout import RoundFlops

Rows = tuple[dict[str, Any], jax.Array]
Models = Mapping[str, Any]


def given(models: Models, batch: Batch, key: jax.Array) -> Rows:
    """The responses of the batch; nothing is drawn."""
    return dict(batch), jnp.zeros(())


@dataclass(frozen=True)
class Drawn:
    """Responses of one of the models, as it is now, to the prompts of the batch.

    Raises:
      ValueError: several to each prompt; a batch has one row for each.
    """

    model: str
    how: Responding

    def __post_init__(self) -> None:
        if self.how.n != 1:
            raise ValueError(f"n={self.how.n} responses to each prompt of a batch: draw 1, and repeat prompts instead")

    def __call__(self, models: Models, batch: Batch, key: jax.Array) -> Rows:
        """The rows, through which no gradient flows, and how many tokens they have."""
        rows = jax.lax.stop_gradient(self.how(models[self.model], batch, key))
        return rows, rows["weights"].sum()


@dataclass(frozen=True)
class Mixed:
    """Each row is that of one of several sources, chosen at random.

    Every source draws for every row, and all that is drawn is charged.

    Args:
      shares: how often each is chosen; None: each as often.
    """

    sources: tuple[Any, ...]
    shares: tuple[float, ...] | None = None

    def __call__(self, models: Models, batch: Batch, key: jax.Array) -> Rows:
        """The chosen rows, and the tokens of all."""
        made = [source(models, batch, jax.random.fold_in(key, i)) for i, source in enumerate(self.sources)]
        shares = jnp.log(jnp.array(self.shares or (1.0,) * len(made)))
        which_B = jax.random.categorical(jax.random.fold_in(key, len(made)), shares, shape=batch["inputs"].shape[:1])
        rows = dict(batch)
        for name in ("tokens", "targets", "weights"):
            every = jnp.stack([own[name] for own, _ in made])
            rows[name] = every[which_B, jnp.arange(len(which_B))]
        return rows, sum((drawn for _, drawn in made), jnp.zeros(()))


@dataclass(frozen=True)
class DistilStep:
    """One step of the model "student" on Σ_t w_t D(p_T(.|x, y_<t), p_S(.|x, y_<t)) / Σ_t w_t, over a batch of rows.

    No other model of the stage is read but "teacher", nor changed. The key of what is drawn is folded from the step.

    Args:
      divergence: D, of the whole distributions of the next token.
      source: of the responses y.

    Reference: Tiapkin et al. 2025, https://arxiv.org/abs/2502.02671; Agarwal et al. 2024 (arXiv 2306.13649).
    """

    divergence: Divergence = forward_kl
    source: Any = given

    def __call__(
        self, parts: dict[str, Part], states: dict[str, TrainState], batch: Batch, key: jax.Array
    ) -> tuple[dict[str, TrainState], Metrics]:
        """The states after the step; its metrics are those of the student, and `sampled_tokens`."""
        models = {name: _module(parts[name], states[name]) for name in ("student", "teacher")}
        at = states["student"].step
        rows, drawn = self.source(models, batch, jax.random.fold_in(jax.random.fold_in(key, at), 1))
        objective = functools.partial(_distance, teacher=models["teacher"], divergence=self.divergence)
        part = replace(parts["student"], objective=objective)
        student, metrics = gradient_step(part, states["student"], rows, jax.random.fold_in(key, 2))
        after = {name: replace(state, step=at + 1) for name, state in states.items()} | {"student": student}
        return after, metrics | {"sampled_tokens": drawn}


def _distance(model: Any, batch: Batch, key: Any, *, teacher: Any, divergence: Divergence) -> tuple[Any, Metrics]:
    inputs, tokens, mask, weights_BT = (batch[name] for name in ("inputs", "tokens", "mask", "weights"))
    theirs_BTV = jax.lax.stop_gradient(teacher(inputs, tokens, mask=mask))
    nats_BT = divergence(model(inputs, tokens, mask=mask, key=key), theirs_BTV)
    total, count = jnp.sum(weights_BT * nats_BT), jnp.sum(weights_BT)
    return total / count, {"loss": (total, count)}


def _module(part: Part, state: TrainState) -> nnx.Module:
    return nnx.merge(part.graphdef, cast(state.params, part.precision.compute), state.rest)


def with_flops(stage: Stage) -> Stage:
    """The same stage, charged for responses as if each had all tokens that it may have."""
    return replace(stage, step_flops=_step_flops(stage))


@once_a_program
def _step_flops(stage: Stage) -> RoundFlops:
    program = build(replace(stage, evaluate=None), None)
    specs = (program.state, program.batch, program.key, program.numbers)
    specs = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), specs)
    trips = max(_limits(stage.step.source), default=None)
    return RoundFlops(1, 0.0, float(count_flops(program.step, *specs, while_trips=trips)))


def _limits(source: Any) -> list[int]:
    if isinstance(source, Mixed):
        return [limit for each in source.sources for limit in _limits(each)]
    return [source.how.limit] if isinstance(source, Drawn) else []
