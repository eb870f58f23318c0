"""A part of a source, as a source."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from stagejax.data.order import shuffled
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Record, Source

_BLOCK = 1024  # places whose records are found together


@dataclass(frozen=True)
class Portion(Source):
    """Records start..stop-1 of a source, in an order drawn from `seed`: disjoint ranges share no record.

    Another split than the source's own (a held-out one) is whole.

    Args:
      source: what it is part of.
      start, stop: places in that order; stop=None is the end.
      seed: of the order.

    >>> from stagejax.data import Digits
    >>> few, rest = Portion(Digits(), stop=100), Portion(Digits(), start=100)
    >>> len(few), len(rest), len(few.of_split("test"))
    (100, 1338, 359)
    """

    source: Source
    start: int = 0
    stop: int | None = None
    seed: int = 0

    @property
    def split(self) -> str:  # type: ignore[override]
        return self.source.split

    def __len__(self) -> int:
        size = len(self.source)
        stop = size if self.stop is None else self.stop
        if not 0 <= self.start < stop <= size:
            raise ValueError(f"start={self.start}, stop={self.stop}: not a part of {size} records of {self.source}")
        return stop - self.start

    def __getitem__(self, index: int) -> Record:
        block, place = divmod(self.start + range(len(self))[index], _BLOCK)
        return self.source[int(_places(self.seed, block, len(self.source))[place])]

    def of_split(self, split: str) -> Source:
        return self if split == self.split else self.source.of_split(split)

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"{self.start}:{self.start + len(self)} by {self.seed}")


@functools.lru_cache(maxsize=256)
def _places(seed: int, block: int, size: int) -> np.ndarray:
    """The records at some consecutive places of the order: one at a time takes much longer."""
    return shuffled(seed, np.arange(block * _BLOCK, (block + 1) * _BLOCK), size)
