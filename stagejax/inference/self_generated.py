"""Rows to learn from in which a model's own tokens stand beside reference answers, made once by the model itself.

A way to make rows is called with a network, pairs of prompts and answers, and one key for each pair; `rows_of` is the
artifact for `run.make`. Letters: N pairs, P tokens of a prompt with CLS, L of an answer with its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from stagejax.data.answers import Answers, MadeRows, answer_row
from stagejax.data.joined import Row
from stagejax.data.tokenizers import MASK, SEP, SPECIAL
from stagejax.decode import Prompts, Samples, sample
from stagejax.decode.forced import Forced
from stagejax.inference.answering import ask
from stagejax.inference.frozen import Frozen, flops_of_one
from stagejax.result import Result
from stagejax.stage import Batch

#: The token between a draft and its correction: no text has it.
CORRECT = MASK
#: Rows that are continued together.
AT_ONCE = 256

Ints = Int[np.ndarray, "N _"]
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Pairs:
    """Prompts and their reference answers, padded with 0."""

    prompts_NP: Ints
    lengths_N: Int[np.ndarray, " N"]
    answers_NL: Ints  # with SEP at the end
    sizes_N: Int[np.ndarray, " N"]

    @classmethod
    def of(cls, data: Answers, numbers: Int[np.ndarray, " N"], prompt: int, answer: int) -> Pairs:
        """Samples of `data` as pairs, with so many tokens at most.

        Raises:
          ValueError: a prompt or an answer is longer.

        >>> from stagejax.data.problems import Problems
        >>> problems = Problems(size=8, steps=(2,))
        >>> data = Answers(source=problems, tokenizer=problems.tokenizer(), batch=4, length=48)
        >>> pairs = Pairs.of(data, np.arange(4), 40, 16)
        >>> pairs.sizes_N.tolist(), pairs.answers_NL[0, 14]
        ([15, 15, 15, 15], np.int32(2))
        """
        batch = data.take(numbers)
        rows = np.concatenate([batch["tokens"][:, :1], batch["targets"]], axis=1)
        first_N, sizes_N = batch["weights"].argmax(1) + 1, batch["weights"].sum(1).astype(np.int32)
        if first_N.max() > prompt or sizes_N.max() > answer:
            raise ValueError(
                f"a prompt of {first_N.max()} tokens and an answer of {sizes_N.max()} do not fit into "
                f"prompt={prompt} and answer={answer}: raise them"
            )
        prompts, answers = np.zeros((len(rows), prompt), np.int32), np.zeros((len(rows), answer), np.int32)
        for row, (tokens, first, size) in enumerate(zip(rows, first_N, sizes_N, strict=True)):
            prompts[row, :first], answers[row, :size] = tokens[:first], tokens[first : first + size]
        return cls(prompts, first_N.astype(np.int32), answers, sizes_N)


@runtime_checkable
class Way(Protocol):
    """A way to make rows: {"tokens", "targets", "weights" (N, T), "stepped" (N,)}, the last the tokens decoded."""

    def __call__(self, net: Frozen, pairs: Pairs, keys_N: Any) -> Arrays: ...


# --- decoding ---


def continued(model: Any, batch: Batch, length: int) -> Samples:
    """One continuation of each prompt, in which given tokens are taken as they are; it ends with SEP or its limit."""
    rule = Forced(batch["answers"], batch["given"], batch["may"])
    how = {"limit": batch["limit"], "temperature": batch["temperature"], "stops": ((SEP,),)}
    return sample(model, Prompts(batch["tokens"], batch["lengths"]), batch["keys"], length=length, allowed=rule, **how)


def decoded(
    net: Frozen,
    pairs: Pairs,
    keys_N: Any,
    *,
    temperature: float,
    given_NL: Bool[np.ndarray, "N L"] | None = None,
    limit_N: Int[np.ndarray, " N"] | None = None,
    special: tuple[int, ...] = (SEP,),
) -> tuple[Ints, Int[np.ndarray, " N"]]:
    """What the model says behind each prompt, (N, L) padded with 0, and its sizes.

    Args:
      temperature: of the draws; 0: the likeliest tokens.
      given_NL: where the token of the reference answer stands, as if it had been said. None: nowhere.
      limit_N: most tokens; None: L.
      special: what may be drawn beside tokens of text; (): no end.

    >>> # said, sizes = decoded(Frozen.of(result), pairs, keys(0, np.arange(64)), temperature=0.0)
    """
    (N, L), P = pairs.answers_NL.shape, pairs.prompts_NP.shape[1]
    ids = np.arange(net.config.vocab)
    may_V = (ids >= SPECIAL) | np.isin(ids, special)
    rows = {
        "tokens": pairs.prompts_NP,
        "lengths": pairs.lengths_N,
        "answers": pairs.answers_NL,
        "given": np.zeros((N, L), bool) if given_NL is None else given_NL,
        "limit": np.full(N, L, np.int32) if limit_N is None else limit_N.astype(np.int32),
        "keys": keys_N,
    }
    said, sizes = np.zeros((N, L), np.int32), np.zeros(N, np.int32)
    for start in range(0, N, AT_ONCE):
        places = np.minimum(np.arange(start, start + AT_ONCE), N - 1)  # one shape, so one program
        part = {name: x[places] for name, x in rows.items()}
        drawn = ask(continued, net, part | {"may": may_V, "temperature": np.float32(temperature)}, P + L)
        kept = min(AT_ONCE, N - start)
        for row in range(kept):
            first, end = int(drawn.starts_BN[row, 0]), int(drawn.ends_BN[row, 0])
            said[start + row, : end - first], sizes[start + row] = drawn.tokens_BNS[row, 0, first:end], end - first
    return said, sizes


def keys(seed: int, numbers: Int[np.ndarray, " N"]) -> jax.Array:
    """A key for each pair, a function of the seed and its number alone."""
    return jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), jnp.asarray(numbers))


def decoding_flops(config: Any, prompt: int, answer: int) -> float:
    """FLOPs of one continuation of `answer` tokens behind a prompt padded to `prompt`.

    >>> from stagejax.models import gpt
    >>> decoding_flops(gpt(layers=1), 8, 4) > 10**5
    True
    """
    like = jax.ShapeDtypeStruct
    row = {"tokens": like((prompt,), "int32"), "lengths": like((), "int32"), "answers": like((answer,), "int32")}
    row |= {"given": like((answer,), "bool"), "limit": like((), "int32")}
    row["keys"] = jax.eval_shape(lambda: jax.random.key(0))
    return float(flops_of_one(_one, config, row, prompt + answer, while_trips=answer))


def _one(model: Any, rows: Any, length: int) -> Samples:
    return continued(model, rows | {"may": jnp.ones(model.config.vocab, bool), "temperature": jnp.float32(1)}, length)


# --- ways to make rows ---


@dataclass(frozen=True)
class Gold:
    """The pairs as they are: supervised fine-tuning."""

    def __call__(self, net: Frozen, pairs: Pairs, keys_N: Any) -> Arrays:
        return stacked([_gold(pairs, row) for row in range(len(pairs.sizes_N))], room(pairs))


@dataclass(frozen=True)
class OwnTokens:
    """BASH: contexts in which tokens of the answer are the model's own, and targets stay gold.

        m_t ~ Bernoulli(eps),  c_t = y_t if m_t = 0 else y'_t ~ pi(. | x, c_<t),  -sum_t log pi(y_t | x, c_<t)

    The context is drawn from left to right behind itself (`Forced`), not behind the gold prefix. Own tokens are tokens
    of text: nothing stands behind an end.

    Args:
      eps: share of places with an own token.
      temperature: of the draws; 0: the likeliest token.
      span: own tokens come in runs of so many at least; the share stays eps.
      behind: learn the targets right behind an own token that differs from gold; else they have no weight.

    Reference: arXiv 2410.14655 (BASH).
    """

    eps: float
    temperature: float = 1.0
    span: int = 1
    behind: bool = True

    def __call__(self, net: Frozen, pairs: Pairs, keys_N: Any) -> Arrays:
        """Rows, and `replaced` (N, L), where the context differs from the answer."""
        own_NL = drawn_places(self.eps, self.span, pairs, keys_N)
        context, sizes = decoded(
            net, pairs, keys_N, temperature=self.temperature, given_NL=~own_NL, limit_N=pairs.sizes_N - 1, special=()
        )
        return mixed(pairs, context, self.behind) | {"stepped": sizes}


@dataclass(frozen=True)
class RandomTokens:
    """The control: the same places as `OwnTokens`, with tokens of text drawn uniformly from the vocabulary.

    Args:
      like: whose eps, span and places these are.
    """

    like: OwnTokens

    def __call__(self, net: Frozen, pairs: Pairs, keys_N: Any) -> Arrays:
        places_NL = drawn_places(self.like.eps, self.like.span, pairs, keys_N)
        return mixed(pairs, noisy(pairs, places_NL, net.config.vocab, keys_N), self.like.behind)


@dataclass(frozen=True)
class RandomWhereOthers:
    """The control with as many changed tokens: random ones where the model's own tokens differ from the answer."""

    like: OwnTokens

    def __call__(self, net: Frozen, pairs: Pairs, keys_N: Any) -> Arrays:
        own = self.like(net, pairs, keys_N)
        context = noisy(pairs, own["replaced"], net.config.vocab, keys_N)
        return mixed(pairs, context, self.like.behind) | {"stepped": own["stepped"]}


@dataclass(frozen=True)
class Corrections:
    """RAC: [x, draft, CORRECT, y], in which CORRECT and the reference answer y are learned, the draft is not.

    The draft is the model's whole answer with its end. Where it is the reference already, it is repeated.

    Args:
      share: of the pairs, every one of so many; the others stay [x, y].
      temperature: of the drafts.

    Reference: arXiv 2410.14655 (RAC).
    """

    share: float = 0.5
    temperature: float = 1.0

    def __call__(self, net: Frozen, pairs: Pairs, keys_N: Any) -> Arrays:
        said, sizes = decoded(net, pairs, keys_N, temperature=self.temperature)
        chosen_N, made = evenly(self.share, len(sizes)), []
        for row, chosen in enumerate(chosen_N):
            prompt, answer = _gold(pairs, row)
            draft = said[row, : sizes[row]]
            both = np.concatenate([prompt, draft]), np.concatenate([np.int32([CORRECT]), answer])
            made.append(both if chosen else (prompt, answer))
        return stacked(made, room(pairs) + pairs.answers_NL.shape[1]) | {"stepped": np.where(chosen_N, sizes, 0)}


@dataclass(frozen=True)
class InlineCorrections:
    """RAC in line: [x, draft_<t, CORRECT, y_>=t], with t drawn behind the first token of the draft that is not y's.

    The reference's remaining part is aligned by position. CORRECT and what follows is learned. Where the draft is the
    reference, the row is [x, y]: the end is learned, and no correction.

    Args:
      share, temperature: as of `Corrections`.
    """

    share: float = 0.5
    temperature: float = 1.0

    def __call__(self, net: Frozen, pairs: Pairs, keys_N: Any) -> Arrays:
        said, sizes = decoded(net, pairs, keys_N, temperature=self.temperature)
        chosen_N, made = evenly(self.share, len(sizes)), []
        at_N = np.asarray(jax.vmap(jax.random.uniform)(keys_N))
        for row, chosen in enumerate(chosen_N):
            prompt, answer = _gold(pairs, row)
            draft = said[row, : min(sizes[row], len(answer))]
            wrong = np.flatnonzero(draft != answer[: len(draft)])
            if not chosen or not len(wrong):
                made.append((prompt, answer))
                continue
            end = min(len(draft) - (draft[-1] == SEP), len(answer) - 1)  # nothing stands behind an end
            cut = min(wrong[0] + 1 + int(at_N[row] * (end - wrong[0])), end)
            made.append((np.concatenate([prompt, draft[:cut]]), np.concatenate([np.int32([CORRECT]), answer[cut:]])))
        return stacked(made, room(pairs)) | {"stepped": np.where(chosen_N, sizes, 0)}


# --- rows ---


def room(pairs: Pairs) -> int:
    """Inputs of a row of prompt and answer, and one CORRECT."""
    return pairs.prompts_NP.shape[1] + pairs.answers_NL.shape[1]


def drawn_places(eps: float, span: int, pairs: Pairs, keys_N: Any) -> Bool[np.ndarray, "N L"]:
    """Where own tokens stand: with probability eps at every place before the end, in runs of `span` or more.

    >>> pairs = Pairs(np.ones((2, 1), int), np.ones(2, int), np.array([[5, 6, 2], [5, 2, 0]]), np.array([3, 2]))
    >>> drawn_places(1.0, 1, pairs, keys(0, np.arange(2))).tolist()
    [[True, True, False], [True, False, False]]
    """
    L = pairs.answers_NL.shape[1]
    begin = 1 - (1 - eps) ** (1 / span)
    fold = jax.vmap(lambda key: jax.random.bernoulli(jax.random.fold_in(key, L), begin, (L + span - 1,)))
    runs = np.lib.stride_tricks.sliding_window_view(np.asarray(fold(keys_N)), span, axis=1).any(-1)
    return runs & (np.arange(L) < pairs.sizes_N[:, None] - 1)


def noisy(pairs: Pairs, places_NL: Any, vocab: int, keys_N: Any) -> Ints:
    """The answers with random tokens of text in some places."""
    shape = pairs.answers_NL.shape[1:]
    words = jax.vmap(lambda key: jax.random.randint(jax.random.fold_in(key, 1), shape, SPECIAL, vocab))(keys_N)
    return np.where(places_NL, np.asarray(words, np.int32), pairs.answers_NL)


def mixed(pairs: Pairs, context_NL: Ints, behind: bool) -> Arrays:
    """Rows whose inputs are the context and whose targets are the answer."""
    made = [_gold(pairs, row) for row in range(len(pairs.sizes_N))]
    rows = stacked(made, room(pairs))
    before_NL = np.arange(context_NL.shape[1]) < pairs.sizes_N[:, None] - 1
    changed_NL = before_NL & (context_NL != pairs.answers_NL)
    row, column = np.nonzero(changed_NL)
    place = row, pairs.lengths_N[row] + column
    rows["tokens"][place] = context_NL[row, column]
    if not behind:
        rows["weights"][place] = 0
    return rows | {"replaced": changed_NL}


def evenly(share: float, count: int) -> Bool[np.ndarray, " N"]:
    """A share of the places, spread evenly.

    >>> evenly(0.5, 4).tolist()
    [False, True, False, True]
    """
    return np.diff(np.floor(share * np.arange(count + 1) + 1e-9)) > 0


def stacked(made: list[tuple[Any, Any]], length: int) -> Arrays:
    """Prompts and what is learned behind them, as rows of `length` inputs."""
    rows = [answer_row(prompt, answer, length) for prompt, answer in made]
    tokens, weights = (np.stack(part) for part in zip(*rows, strict=True))
    zeros = np.zeros(len(rows), np.int32)
    return {"tokens": tokens[:, :-1].copy(), "targets": tokens[:, 1:].copy(), "weights": weights, "stepped": zeros}


def _gold(pairs: Pairs, row: int) -> tuple[np.ndarray, np.ndarray]:
    return pairs.prompts_NP[row, : pairs.lengths_N[row]], pairs.answers_NL[row, : pairs.sizes_N[row]]


# --- artifacts ---


def rows_of(
    net: Result, data: Answers, numbers: tuple[int, int], sizes: tuple[int, int], way: Way, seed: int
) -> Arrays:
    """Rows of samples `numbers[0]`, ..., `numbers[1]` - 1 of `data`, as an artifact for `run.make`.

    Args:
      sizes: P and L.
      way: `Gold`, `OwnTokens`, ...; ways with equal eps and span replace in the same places.

    >>> # made = run.make("rows", rows_of, before, data, (0, 640), (48, 27), OwnTokens(0.25), 0, sampled_tokens=stepped)
    """
    own = np.arange(*numbers)
    return way(Frozen.of(net), Pairs.of(data, own, *sizes), keys(seed, own))


def stepped(made: Arrays) -> int:
    """How many tokens the model was stepped over to make the rows, those that were given among them."""
    return int(made["stepped"].sum())


def made_rows(made: Result, length: int, batch: int, seed: int) -> MadeRows:
    """The batches for `causal_lm` of what `run.make(..., rows_of, ...)` made."""
    rows = (Row("tokens", (length,), "int32"), Row("targets", (length,), "int32"), Row("weights", (length,)))
    return MadeRows(rows=rows, of=made.fingerprint, arrays=made.value, batch=batch, seed=seed)
