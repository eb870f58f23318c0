"""BM25: documents ranked for queries by the words that they share, rare ones more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

Words = Sequence[str]


@dataclass(frozen=True)
class BM25:
    """`sum over words w of the query of idf(w) · tf (k1 + 1) / (tf + k1 (1 - b + b · length / mean length))`.

    tf counts w in the document, `idf(w) = ln(1 + (N - n + 0.5) / (n + 0.5))` for n of N documents with w, which is
    never negative. A word that stands twice in a query counts twice.

    Args:
      k1: how slowly further occurrences of a word stop counting; 0: only whether it occurs.
      b: how much long documents are held down, from 0 to 1.

    References: Robertson and Zaragoza, The probabilistic relevance framework: BM25 and beyond, 2009; the idf is that of
    Lucene.

    >>> documents = [["red", "fox"], ["red", "red", "dog"], ["cat"]]
    >>> BM25().scores([["fox"], ["red", "cat"]], documents).round(2).tolist()
    [[0.98, 0.0, 0.0], [0.47, 0.57, 1.23]]
    """

    k1: float = 1.2
    b: float = 0.75

    def __post_init__(self) -> None:
        if self.k1 < 0 or not 0 <= self.b <= 1:
            raise ValueError(f"k1={self.k1}, b={self.b}: k1 is at least 0, b from 0 to 1")

    def scores(self, queries: Sequence[Words], documents: Sequence[Words]) -> Float[np.ndarray, "Q D"]:
        """The score of every document for every query, as a dense matrix."""
        known = vocabulary(documents)
        return (counts(queries, known) @ self.weights(documents, known).T).toarray()

    def best(
        self, queries: Sequence[Words], documents: Sequence[Words], count: int, block: int = 512
    ) -> tuple[Int[np.ndarray, "Q K"], Float[np.ndarray, "Q K"]]:
        """The numbers of each query's `count` best documents and their scores, best first; of equal ones the earlier,
        but which of those that are equal to the last one are in is not said.

        Args:
          block: queries whose dense scores are in memory at once.

        >>> BM25().best([["red"]], [["cat"], ["red", "fox"], ["red"]], 2)[0].tolist()
        [[2, 1]]
        """
        known = vocabulary(documents)
        weights, numbers, scores = self.weights(documents, known).T.tocsr(), [], []
        for start in range(0, len(queries), block):
            dense = (counts(queries[start : start + block], known) @ weights).toarray()
            found = np.sort(np.argpartition(-dense, min(count, dense.shape[1]) - 1, axis=1)[:, :count], axis=1)
            order = np.argsort(-np.take_along_axis(dense, found, axis=1), axis=1, kind="stable")
            numbers.append(np.take_along_axis(found, order, axis=1))
            scores.append(np.take_along_axis(dense, numbers[-1], axis=1))
        return np.concatenate(numbers), np.concatenate(scores)

    def weights(self, documents: Sequence[Words], known: dict[str, int]) -> sparse.csr_array:
        """What each word of each document adds to the score of a query that has it once: (documents, words)."""
        found = counts(documents, known).tocoo()
        lengths = np.maximum(np.array([len(words) for words in documents], float), 1e-12)
        having = np.bincount(found.col, minlength=len(known))
        idf = np.log(1 + (len(documents) - having + 0.5) / (having + 0.5))
        norm = self.k1 * (1 - self.b + self.b * lengths / lengths.mean())
        values = idf[found.col] * found.data * (self.k1 + 1) / (found.data + norm[found.row])
        return sparse.csr_array((values, (found.row, found.col)), shape=found.shape)


def vocabulary(documents: Sequence[Words]) -> dict[str, int]:
    """A number for each different word, in the order of their first occurrence."""
    return {word: number for number, word in enumerate(dict.fromkeys(w for words in documents for w in words))}


def counts(texts: Sequence[Words], known: dict[str, int]) -> sparse.csr_array:
    """How often each known word stands in each text: (texts, words)."""
    places = [(row, known[word]) for row, words in enumerate(texts) for word in words if word in known]
    rows, columns = np.array(places, np.int64).reshape(-1, 2).T
    return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(texts), len(known)))
