"""Samples that are read once, or a given number of times, and an exact account of what was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.order import shuffled
from stagejax.data.pipeline import Around, Batch, BatchIterator, Data


class Reading(NamedTuple):
    """What some steps have read."""

    samples: int
    unique: int  # different ones
    tokens: int
    unique_tokens: int
    epochs: float  # samples read, of those that there are to read


@dataclass(frozen=True, kw_only=True)
class Passes(Around):
    """The first `rows` samples of other data, in passes: the first in their own order, each later one in another.

    Every pass holds each of these samples once. So data that share `data` are nested, and alike until the shorter one
    begins again: what differs between two such runs comes from reading again. Make it by `passes`.

    Args:
      data: whose samples 0, 1, ... are different within one epoch, as those of text are.
      rows: samples of a pass, at most one epoch of `data`.
      seed: of the order of later passes.
    """

    data: Data
    rows: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ValueError(f"rows={self.rows}: a pass has at least one sample")

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return self.data.sample_spec()

    def size(self) -> int:
        return self.rows

    def places(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Which samples of `data` these are."""
        return np.where(numbers < self.rows, numbers, shuffled(self.seed, numbers, self.rows))

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        places = self.places(numbers)
        self._check(int(places.max(initial=0)))
        return self.data.take(places)

    def batches(self, position: Mapping[str, Any] | None = None, shard: tuple[int, int] = (0, 1)) -> BatchIterator:
        """As of all data.

        Raises:
          ValueError: there are fewer samples than a pass has: some would be read twice.
        """
        self._check(self.rows - 1)
        return super().batches(position, shard)

    def _check(self, place: int) -> None:
        if place >= self.data.size():
            raise ValueError(
                f"a pass of rows={self.rows} would read some samples twice: one epoch of {self.data} has "
                f"{self.data.size()}. Give it more data, or take fewer steps."
            )

    def digest(self) -> str:
        return self.data.digest()

    def counted(self, steps: int) -> tuple[int, int, int]:
        """Of the first batches, counted: samples, different ones, and how often the most frequent one comes."""
        times = np.bincount(self.places(np.arange(steps * self.batch)))
        return int(times.sum()), int((times > 0).sum()), int(times.max())

    def reading(self, steps: int) -> Reading:
        """The account of the first batches, by arithmetic.

        >>> from stagejax.data import Images
        >>> passes(Images(batch=4), steps=30, times=3).reading(steps=15)
        Reading(samples=60, unique=40, tokens=0, unique_tokens=0, epochs=1.5)
        """
        samples = steps * self.batch
        unique, length = min(samples, self.rows), self.tokens // self.batch
        return Reading(samples, unique, samples * length, unique * length, samples / self.rows)


def passes(data: Data, steps: int, times: int = 1, seed: int = 0) -> Passes:
    """Data of which `steps` batches hold each sample exactly `times` times: once is the single pass.

    Raises:
      ValueError: the samples of so many steps cannot be read that often each.

    Reference: Komatsuzaki 2019, https://arxiv.org/abs/1906.06669.

    >>> from stagejax.data import Images
    >>> twice = passes(Images(batch=4), steps=2, times=2)
    >>> np.bincount(twice.places(np.arange(8))).tolist()
    [2, 2, 2, 2]
    """
    if times < 1 or steps * data.batch % times:
        raise ValueError(
            f"{steps} batches of {data.batch} do not read every sample times={times} times: let `times` divide "
            f"{steps * data.batch}"
        )
    return Passes(data=data, rows=steps * data.batch // times, seed=seed)
