"""Queries with the lists that a first stage found for them: what a re-ranker is trained on and judged by.

`first_stage` makes the arrays once: token ids `queries` (Q, length) and `items` (I, length), `lists` (Q, K) of item
numbers, best first, their `scores` (Q, K), and `answer` (Q,), the place of the right item in the list, or -1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.order import random_words, shuffled
from stagejax.data.pipeline import Batch, Data
from stagejax.data.retrieval.bm25 import BM25
from stagejax.data.selection.easiness import Heuristic, easiness
from stagejax.data.sources import Source
from stagejax.data.tokenizers import CLS, PAD, Codec
from stagejax.data.vocabulary.hashed_words import words_of

Arrays = Mapping[str, np.ndarray]


def first_stage(
    asked: Source, pool: Sequence[Source], code: Codec, lengths: tuple[int, int], bm25: BM25, count: int
) -> dict[str, np.ndarray]:
    """The `count` best items by BM25 for each query, out of all items of the pool.

    Args:
      asked: `SentencePairs` of queries ("first") and their right items ("second").
      pool: `SentencePairs` whose second sentences are the items, each different one once.
      code: gives the ids; BM25 looks at lower-cased words.
      lengths: tokens of a query and of an item; texts are [CLS, their tokens, padding], cut there.

    >>> from stagejax.data import Bytes
    >>> from stagejax.data.tasks.pairs import Graded, SentencePairs, SynonymPairs
    >>> pairs = SentencePairs((Graded(SynonymPairs(size=100), least=5.0),))
    >>> made = first_stage(pairs, [pairs], Bytes(), (24, 32), BM25(), 5)
    >>> made["lists"].shape[1], bool((np.diff(made["scores"]) <= 0).all())
    (5, True)
    """
    queries = [asked[row]["first"] for row in range(len(asked))]
    items = list(dict.fromkeys(source[row]["second"] for source in pool for row in range(len(source))))
    numbers = {text: number for number, text in enumerate(items)}
    right = np.array([numbers[asked[row]["second"]] for row in range(len(asked))])
    lists, scores = bm25.best([words_of(text) for text in queries], [words_of(text) for text in items], count)
    hit = lists == right[:, None]
    return {
        "queries": rows(code, queries, lengths[0]),
        "items": rows(code, items, lengths[1]),
        "lists": lists.astype(np.int32),
        "scores": scores.astype(np.float32),
        "answer": np.where(hit.any(1), hit.argmax(1), -1).astype(np.int32),
    }


def rows(code: Codec, texts: Sequence[str], length: int) -> np.ndarray:
    """Texts as rows of ids: [CLS, their tokens, padding], cut at `length`."""
    ids = np.full((len(texts), length), PAD, np.int32)
    ids[:, 0] = CLS
    for row, found in zip(ids, code.encode(texts), strict=True):
        row[1 : 1 + len(found)] = found[: length - 1]
    return ids


@dataclass(frozen=True, kw_only=True)
class _OfLists(Data):
    """What both kinds of batches declare.

    Args:
      of: fingerprint of the artifact.
      arrays: what it holds; None while planning.
      query, item: tokens of a query and of an item.
    """

    of: str
    arrays: Arrays | None = field(default=None, repr=False, compare=False, metadata={"declared": False})
    query: int
    item: int
    batch: int
    seed: int = 0
    count: int | None = None

    @property
    def known(self) -> Arrays:
        """The arrays.

        Raises:
          ValueError: there are none, or of other lengths than declared.
        """
        if self.arrays is None:
            raise ValueError(f"the artifact {self.of} holds nothing as 'lists': it is computed in a run")
        found = self.arrays["queries"].shape[1], self.arrays["items"].shape[1]
        if found != (self.query, self.item):
            raise ValueError(f"the artifact {self.of} has texts of {found} tokens, not {(self.query, self.item)}")
        return self.arrays

    def digest(self) -> str:
        return self.of

    def _texts(self, **shapes: tuple[int, ...]) -> dict[str, jax.ShapeDtypeStruct]:
        own = {"query": (self.query,)} | shapes
        return {name: jax.ShapeDtypeStruct(shape, np.dtype("int32")) for name, shape in own.items()}


@dataclass(frozen=True, kw_only=True)
class RankedLists(_OfLists):
    """Whole lists: {"query" (batch, length), "items" (batch, places, length), "answer" (batch,)}, in the order of rows.

    >>> arrays = {"queries": np.eye(2, dtype=np.int32), "items": np.eye(3, dtype=np.int32)}
    >>> arrays |= {"lists": np.array([[0, 1], [2, 1]]), "answer": np.array([1, -1], np.int32)}
    >>> data = RankedLists(of="a1", arrays=arrays, query=2, item=3, places=2, batch=2)
    >>> data.take(np.arange(2))["items"].argmax(2).tolist()
    [[0, 1], [2, 1]]
    """

    places: int

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return self._texts(items=(self.places, self.item), answer=())

    @property
    def tokens(self) -> int:
        return self.batch * (self.query + self.places * self.item)

    def size(self) -> int:
        return 0 if self.arrays is None else len(self.known["queries"])

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        """The lists, cut at the declared places; an answer behind them is -1 too."""
        known, own = self.known, numbers % self.size()
        lists, answer = known["lists"][own, : self.places], known["answer"][own]
        answer = np.where(answer < self.places, answer, -1).astype(np.int32)
        return {"query": known["queries"][own], "items": known["items"][lists], "answer": answer}


@dataclass(frozen=True, kw_only=True)
class RankedPairs(_OfLists):
    """Training pairs: {"query", "items" (batch, 2, length), the right one first, "easiness" float32 (batch, 2)}.

    Queries whose right item is in their list come once an epoch; the other item is drawn from the rest of the list.
    Each item's easiness is `easiness` of the heuristic, whose `D` looks at the list's scores.

    Args:
      heuristic: of `data.selection.easiness`; None: every item is as easy as can be.
      lent: a sample has the easiness of its neighbour, which is as random a draw: samples 2j and 2j + 1 change theirs.
        In an even batch all weights stay, but none is its sample's own: a control.

    >>> from stagejax.data.selection.easiness import reciprocal_rank
    >>> arrays = {"queries": np.eye(2, dtype=np.int32), "items": np.eye(3, dtype=np.int32)}
    >>> arrays |= {"lists": np.array([[0, 1], [2, 1]]), "scores": np.ones((2, 2)), "answer": np.array([1, -1])}
    >>> data = RankedPairs(of="a1", arrays=arrays, query=2, item=3, batch=1, heuristic=reciprocal_rank)
    >>> batch = data.take(np.arange(1))
    >>> batch["items"].argmax(2).tolist(), batch["easiness"].tolist()
    ([[1, 0]], [[0.5, 9.99999993922529e-09]])
    """

    heuristic: Heuristic | None = None
    lent: bool = False

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return self._texts(items=(2, self.item)) | {"easiness": jax.ShapeDtypeStruct((2,), np.dtype("float32"))}

    @property
    def tokens(self) -> int:
        return self.batch * (self.query + 2 * self.item)

    def size(self) -> int:
        return 0 if self.arrays is None else len(self._found)

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        known, (own, places) = self.known, self._drawn(numbers)
        weighed = self._drawn(numbers ^ 1) if self.lent else (own, places)
        return {
            "query": known["queries"][own],
            "items": known["items"][known["lists"][own[:, None], places]],
            "easiness": self._easiness[weighed[0][:, None], weighed[1]],
        }

    def _drawn(self, numbers: Int64[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray]:
        """The row of the query of each sample, and the places (n, 2) of its two items in the list."""
        own = self._found[shuffled(self.seed, numbers, len(self._found))]
        answer, others = self.known["answer"][own], self.known["lists"].shape[1] - 1
        other = (random_words(self.seed, numbers, 1)[:, 0] % np.uint64(others)).astype(np.int64)
        return own, np.stack([answer, other + (other >= answer)], axis=1)

    @cached_property
    def _found(self) -> np.ndarray:
        return np.flatnonzero(self.known["answer"] >= 0)

    @cached_property
    def _easiness(self) -> np.ndarray:
        scores, answer = self.known["scores"].astype(np.float64), self.known["answer"]
        if self.heuristic is None:
            return np.ones(scores.shape, np.float32)
        relevant = np.arange(scores.shape[1]) == answer[:, None]
        return easiness(self.heuristic(scores), relevant).astype(np.float32)
