"""Documents of tokens packed into rows, that attention keeps apart: a block-diagonal causal mask."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.order import shuffled
from stagejax.data.pipeline import Batch, Data

INTS = ("tokens", "targets", "segments", "positions")


def next_fit(
    sizes: Iterable[int], length: int
) -> tuple[Int64[np.ndarray, " documents"], Int64[np.ndarray, " documents"]]:
    """Row and place of each document: in order, each behind the one before where it fits, else at the next row's begin.

    Raises:
      ValueError: a document is longer than a row.

    >>> [found.tolist() for found in next_fit([3, 2, 4], 5)]
    [[0, 0, 1], [0, 3, 0]]
    """
    rows, places, row, at = [], [], 0, 0
    for number, size in enumerate(sizes):
        if size > length:
            raise ValueError(f"document {number} predicts {size} tokens, but a row holds {length}: raise `length`")
        if at + size > length:
            row, at = row + 1, 0
        rows.append(row)
        places.append(at)
        at += size
    return np.array(rows, np.int64), np.array(places, np.int64)


def best_fit(
    sizes: Iterable[int], length: int
) -> tuple[Int64[np.ndarray, " documents"], Int64[np.ndarray, " documents"]]:
    """Row and place of each document: in order, in the fullest row that has room for it, or in a new one.

    Rows stay open, so fewer of them are needed than by `next_fit`; documents of a row need not be neighbours.

    Raises:
      ValueError: a document is longer than a row.

    >>> [found.tolist() for found in best_fit([3, 4, 2, 1], 5)]
    [[0, 1, 0, 1], [0, 0, 3, 4]]
    """
    rows: list[int] = []
    places: list[int] = []
    free: list[list[int]] = [[] for _ in range(length + 1)]  # the open rows, by how many tokens they have room for
    count = 0
    for number, size in enumerate(sizes):
        if size > length:
            raise ValueError(f"document {number} predicts {size} tokens, but a row holds {length}: raise `length`")
        room = next((room for room in range(size, length + 1) if free[room]), None)
        if room is None:
            row, room, count = count, length, count + 1
        else:
            row = free[room].pop()
        rows.append(row)
        places.append(length - room)
        free[room - size].append(row)
    return np.array(rows, np.int64), np.array(places, np.int64)


def filled(
    flat: Mapping[str, np.ndarray],
    order: Int64[np.ndarray, " documents"],
    where: tuple[Int64[np.ndarray, " documents"], Int64[np.ndarray, " documents"]],
    length: int,
) -> Batch:
    """The rows of `Packed`: documents in an order, each at its row and place.

    Args:
      flat: what `documents` makes.
      order: numbers of the documents; those of a row in the order of their places.
      where: rows and places, as `next_fit` and `best_fit` give them for documents in that order.

    >>> flat = documents([(np.array([1, 7, 2]), np.ones(2)), (np.array([1, 8, 9, 2]), np.ones(3))])
    >>> filled(flat, np.array([1, 0]), (np.array([0, 0]), np.array([0, 3])), 5)["tokens"].tolist()
    [[1, 8, 9, 1, 7]]
    """
    spans, (rows, places) = list(itertools.pairwise(flat["starts"].tolist())), where
    size = (int(rows.max(initial=-1)) + 1, length)
    made: Batch = {name: np.zeros(size, np.int32) for name in INTS} | {"weights": np.zeros(size, np.float32)}
    for number, row, place in zip(order.tolist(), rows.tolist(), places.tolist(), strict=True):
        begin, end = spans[number]
        here = np.s_[row, place : place + end - 1 - begin]
        made["tokens"][here], made["targets"][here] = flat["tokens"][begin : end - 1], flat["tokens"][begin + 1 : end]
        made["segments"][here] = made["segments"][row, max(place - 1, 0)] + 1
        made["positions"][here] = np.arange(end - 1 - begin)
        made["weights"][here] = flat["weights"][begin : end - 1]
    return made


def documents(made: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    """Pairs (tokens (n + 1,), weights of their targets (n,)) as the flat arrays that `Packed` reads.

    >>> documents([(np.array([1, 7, 2]), np.array([1.0, 1.0]))])["starts"].tolist()
    [0, 3]
    """
    weights = [np.concatenate([own, [0.0]]) for _, own in made]  # beside the last token, which predicts nothing
    return {
        "tokens": np.concatenate([tokens for tokens, _ in made]).astype(np.int32),
        "weights": np.concatenate(weights).astype(np.float32),
        "starts": np.cumsum([0, *(len(tokens) for tokens, _ in made)]).astype(np.int64),
    }


@dataclass(frozen=True, kw_only=True)
class Packed(Data):
    """Next-token prediction on the documents of an artifact, whole ones packed into rows.

    A batch has "tokens", "targets", "segments" (1, 2, ... for the documents of a row, 0 for padding), "positions"
    (from 0 in each), int32 (batch, length), and "weights", 0 on padding. The order of documents is drawn once, rows are
    filled by next-fit, and every epoch orders the rows anew.

    Args:
      of: fingerprint of the artifact.
      arrays: what `documents` makes; None while planning.
      keep: part of the arrays, by the prefix of their names, such as "speech/".

    >>> made = documents([(np.array([1, 7, 2]), np.ones(2)), (np.array([1, 8, 9, 2]), np.ones(3))])
    >>> data = Packed(of="a1", arrays=made, batch=1, length=6)
    >>> row = data.take(np.arange(1))
    >>> [row[name][0].tolist() for name in ("tokens", "segments", "weights")]
    [[1, 7, 1, 8, 9, 0], [1, 1, 2, 2, 2, 0], [1.0, 1.0, 1.0, 1.0, 1.0, 0.0]]
    """

    of: str
    arrays: Mapping[str, np.ndarray] | None = field(
        default=None, repr=False, compare=False, metadata={"declared": False}
    )
    keep: str = ""
    batch: int
    length: int
    seed: int = 0
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        ints = {name: jax.ShapeDtypeStruct((self.length,), np.int32) for name in INTS}
        return ints | {"weights": jax.ShapeDtypeStruct((self.length,), np.float32)}

    def size(self) -> int:
        return 0 if self.arrays is None else len(self._rows["tokens"])

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        if self.arrays is None:
            raise ValueError(f"the artifact {self.of} holds nothing as 'tokens': a plan computes no artifacts")
        rows = shuffled(self.seed, numbers, self.size())
        return {name: leaf[rows] for name, leaf in self._rows.items()}

    def digest(self) -> str:
        return f"{self.of}/{self.keep}"

    @functools.cached_property
    def _rows(self) -> Batch:
        """All rows."""
        arrays = self.arrays or {}
        flat = {name: arrays[self.keep + name] for name in ("tokens", "weights", "starts")}
        sizes = np.diff(flat["starts"]) - 1
        order = shuffled(~self.seed, np.arange(len(sizes)), len(sizes))
        return filled(flat, order, next_fit(sizes[order].tolist(), self.length), self.length)
