"""Rows to learn from in which a model's own tokens stand beside reference answers, made once by the model itself.

A way to make rows is called with a network, pairs of prompts and answers, and one key for each pair; `rows_of` is the
artifact for `run.make`. Letters: N pairs, P tokens of a prompt with CLS, L of an answer with its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Bool, Int

from stagejax.data.joined import Row
from stagejax.data.prompts.answers import Answers, MadeRows, answer_row
from stagejax.data.tokenizers import SEP, SPECIAL
from stagejax.inference.frozen import Frozen
from stagejax.inference.prompts.drafting import CORRECT, Ints, Pairs, decoded, keys
from stagejax.result import Result

Arrays = dict[str, np.ndarray]


@runtime_checkable
class Way(Protocol):
    """A way to make rows: {"tokens", "targets", "weights" (N, T), "stepped" (N,)}, the last of tokens stepped over."""

    @property
    def decodes(self) -> float:
        """The share of the pairs for which the model is asked."""
        ...

    def __call__(self, net: Frozen, pairs: Pairs, keys_N: Any) -> Arrays: ...


@dataclass(frozen=True)
class Gold:
    """The pairs as they are: supervised fine-tuning."""

    decodes: ClassVar[float] = 0.0

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
      span: own tokens come in runs of so many at least, but for those cut at an answer's ends; the share stays eps.
      behind: learn the targets right behind an own token that differs from gold; else they have no weight.

    Reference: arXiv 2410.14655 (BASH).
    """

    eps: float
    temperature: float = 1.0
    span: int = 1
    behind: bool = True
    decodes: ClassVar[float] = 1.0

    def __call__(self, net: Frozen, pairs: Pairs, keys_N: Any) -> Arrays:
        """Rows, and `replaced` (N, L), where the context differs from the answer."""
        own_NL = drawn_places(self.eps, self.span, pairs, keys_N)
        how: dict[str, Any] = {"given_NL": ~own_NL, "limit_N": pairs.sizes_N - 1, "special": ()}
        said = decoded(net, pairs, keys_N, temperature=self.temperature, **how)
        return mixed(pairs, said.tokens_NL, self.behind) | {"stepped": said.sizes_N}


@dataclass(frozen=True)
class RandomTokens:
    """The control: the same places as `OwnTokens`, with tokens of text drawn uniformly from the vocabulary.

    Args:
      like: whose eps, span and places these are.
    """

    like: OwnTokens
    decodes: ClassVar[float] = 0.0

    def __call__(self, net: Frozen, pairs: Pairs, keys_N: Any) -> Arrays:
        places_NL = drawn_places(self.like.eps, self.like.span, pairs, keys_N)
        return mixed(pairs, noisy(pairs, places_NL, net.config.vocab, keys_N), self.like.behind)


@dataclass(frozen=True)
class RandomWhereOthers:
    """The control with about as many changed tokens: random ones where the model's own differ from the answer."""

    like: OwnTokens
    decodes: ClassVar[float] = 1.0

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

    @property
    def decodes(self) -> float:
        return self.share

    def __call__(self, net: Frozen, pairs: Pairs, keys_N: Any) -> Arrays:
        drafts = drafted(self.share, self.temperature, net, pairs, keys_N)
        at_N = np.asarray(jax.vmap(jax.random.uniform)(keys_N)).tolist()
        rows = [_gold(pairs, row) for row in range(len(drafts))]
        made = [
            gold if draft is None else self.corrected(*gold, draft, at)
            for gold, draft, at in zip(rows, drafts, at_N, strict=True)
        ]
        return stacked(made, self.length(pairs)) | {"stepped": drawn_sizes(drafts)}

    def corrected(self, prompt: Any, answer: Any, draft: Any, at: float) -> tuple[np.ndarray, np.ndarray]:
        """What is read and what is learned, of one pair; `at` is drawn from 0 to 1."""
        return np.concatenate([prompt, draft]), np.concatenate([np.int32([CORRECT]), answer])

    def length(self, pairs: Pairs) -> int:
        """Inputs of a row."""
        return room(pairs) + pairs.answers_NL.shape[1]


@dataclass(frozen=True)
class InlineCorrections(Corrections):
    """RAC in line: [x, draft_<t, CORRECT, y_>=t], with t drawn behind the first token of the draft that is not y's.

    The reference's remaining part is aligned by position. CORRECT and what follows is learned. A draft that ends too
    soon is cut before its end, and one that goes on behind a whole y where y ends. Where the draft is the reference,
    the row is [x, y]: the end is learned, and no correction.

    Args:
      share, temperature: as of `Corrections`.
    """

    def corrected(self, prompt: Any, answer: Any, draft: Any, at: float) -> tuple[np.ndarray, np.ndarray]:
        return in_line(prompt, answer, draft, at)

    def length(self, pairs: Pairs) -> int:
        return room(pairs)


def in_line(prompt: Any, answer: Any, draft: Any, at: float) -> tuple[np.ndarray, np.ndarray]:
    """[x, draft_<t] and [CORRECT, y_>=t]; or [x] and [y] of a draft without a mistake.

    Args:
      at: from 0 to 1, where t is between the first mistake and the end.

    >>> [x.tolist() for x in in_line([1, 9], np.array([5, 6, 7, 2]), np.array([5, 8, 7, 2]), 0.0)]
    [[1, 9, 5, 8], [3, 7, 2]]
    """
    draft = draft[: len(answer)]
    wrong = np.flatnonzero(draft != answer[: len(draft)])
    if not len(wrong):
        return prompt, answer
    end = min(len(draft) - (draft[-1] == SEP), len(answer) - 1)  # nothing stands behind an end
    cut = min(wrong[0] + 1 + int(at * (end - wrong[0])), end)
    return np.concatenate([prompt, draft[:cut]]), np.concatenate([np.int32([CORRECT]), answer[cut:]])


def drafted(share: float, temperature: float, net: Frozen, pairs: Pairs, keys_N: Any) -> list[np.ndarray | None]:
    """Own answers of a share of the pairs, every one of so many, with their ends; None for the others."""
    rows = np.flatnonzero(evenly(share, len(pairs.sizes_N)))
    said = decoded(net, pairs.take(rows), keys_N[rows], temperature=temperature)
    found: list[np.ndarray | None] = [None] * len(pairs.sizes_N)
    for place, row in enumerate(rows):
        found[row] = said.tokens_NL[place, : said.sizes_N[place]]
    return found


def drawn_sizes(drafts: list[np.ndarray | None]) -> Int[np.ndarray, " N"]:
    """Tokens of each draft."""
    return np.array([0 if draft is None else len(draft) for draft in drafts], np.int32)


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
