"""Rounds of different sizes, whose records are drawn in proportion to what each one weighs."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.order import random_words, shuffled
from stagejax.data.pipeline import Around, Batch, Data, joint_digest
from stagejax.data.selection.coresets import in_proportion
from stagejax.data.selection.subsets import given


@dataclass(frozen=True, kw_only=True)
class Paced(Around):
    """Round t is `rounds[t]` different records, drawn one after the other in proportion to their weights, and shuffled.

    After the last round the sizes begin anew, with other draws. Within a round the order has nothing to do with the
    weights: a round of all records is an ordinary epoch. Which record sample n is depends on the seed and n alone.

    Args:
      data: samples that are records, such as `Images`; its order is not used.
      rounds: records of each round, at most all.
      seed: of draws and orders.
      of, name: fingerprint of what made the weights, and which of its arrays they are; empty: all weigh the same.
      weights: (records,), positive; None while planning, and where all weigh the same.

    Reference: Kesgin and Amasyali 2022, https://arxiv.org/abs/2202.05531.

    >>> from stagejax.data import Images
    >>> data = Paced(data=Images(batch=4), rounds=(100, 1438))
    >>> [len(set(data.records(np.arange(start, stop)).tolist())) for start, stop in ((0, 100), (100, 1538))]
    [100, 1438]
    """

    data: Any
    rounds: tuple[int, ...]
    seed: int = 0
    of: str = ""
    name: str = ""
    weights: np.ndarray | None = field(default=None, repr=False, compare=False, metadata={"declared": False})

    def __post_init__(self) -> None:
        if not self.rounds or min(self.rounds) < 1:
            raise ValueError(f"rounds={self.rounds}: give one or more, each of one record or more")

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return self.data.sample_spec()

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Which records these samples are.

        Raises:
          ValueError: a round has more records than there are, or another number of weights is given.
        """
        size = self.data.size()
        weights = given(self.weights, self.of, self.name) if self.of else np.ones(size)
        if len(weights) != size or max(self.rounds) > size:
            raise ValueError(f"{len(weights)} weights and rounds={self.rounds} do not fit {size} records")
        own, ends = np.ascontiguousarray(weights, np.float64).tobytes(), np.cumsum(self.rounds)
        laps, within = np.divmod(numbers, ends[-1])
        which = np.searchsorted(ends, within, side="right")
        turns, found = laps * len(ends) + which, np.empty(len(numbers), np.int64)
        for t in np.unique(turns):
            mine = turns == t
            rows = self.rounds[t % len(ends)]
            found[mine] = _round(own, rows, self.seed, int(t))[within[mine] - ends[which[mine]] + rows]
        return found

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        return self.data.take_as(numbers, self.records(numbers))

    def held_out(self, batches: int, split: str = "test") -> Data:
        return self.data.held_out(batches, split)

    def digest(self) -> str:
        return joint_digest(self.data.digest(), self.of, self.name)


def pace(data: Any, rounds: tuple[int, ...], made: Any, name: str, seed: int = 0) -> Paced:
    """`data` in rounds, drawn by the array `name` of what `run.make` made: anything with a `fingerprint` and a `value`.

    >>> from types import SimpleNamespace
    >>> from stagejax.data import Images
    >>> made = SimpleNamespace(fingerprint="a1", value={"easy": np.eye(1438)[7] + 1e-300})
    >>> pace(Images(batch=4), (1, 5), made, "easy").records(np.arange(1)).tolist()
    [7]
    """
    return Paced(
        data=data, rounds=rounds, seed=seed, of=made.fingerprint, name=name, weights=(made.value or {}).get(name)
    )


@functools.lru_cache(maxsize=16)
def _round(weights: bytes, rows: int, seed: int, turn: int) -> Int64[np.ndarray, " rows"]:
    """The records of a round in order: batches come one at a time, and each would draw all of it again."""
    word = int(random_words(seed, np.array([turn]), 1)[0, 0])
    return in_proportion(np.frombuffer(weights), rows, word)[shuffled(word + 1, np.arange(rows), rows)]
