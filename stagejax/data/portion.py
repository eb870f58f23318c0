"""A part of a source, as a source."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from stagejax.data.order import shuffled
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record, Source

_BLOCK = 1024  # places whose records are found together


@dataclass(frozen=True)
class Portion(Derived):
    """Records start..stop-1 of a source, in an order drawn from `seed`: disjoint ranges share no record.

    Another split than the source's own (a held-out one) is whole.

    Args:
      source: what it is part of.
      start, stop: places in that order, or shares of the records such as 0.9; stop=None is the end.
      seed: of the order.

    >>> from stagejax.data import Digits
    >>> few, rest = Portion(Digits(), stop=100), Portion(Digits(), start=100)
    >>> len(few), len(rest), len(few.of_split("test"))
    (100, 1338, 359)
    >>> len(Portion(Digits(), stop=0.9)), len(Portion(Digits(), start=0.9))
    (1294, 144)
    """

    start: int | float = 0
    stop: int | float | None = None
    seed: int = 0

    def _range(self) -> range:
        size = len(self.source)
        ends = (self.start, size if self.stop is None else self.stop)
        start, stop = (round(end * size) if isinstance(end, float) else end for end in ends)
        if not 0 <= start < stop <= size:
            raise ValueError(f"start={self.start}, stop={self.stop}: not a part of {size} records of {self.source}")
        return range(start, stop)

    def __len__(self) -> int:
        return len(self._range())

    def __getitem__(self, index: int) -> Record:
        block, place = divmod(self._range()[index], _BLOCK)
        return self.source[int(_places(self.seed, block, len(self.source))[place])]

    def of_split(self, split: str) -> Source:
        return self if split == self.split else self.source.of_split(split)

    def digest(self) -> str:
        own = self._range()
        return joint_digest(self.source.digest(), f"{own.start}:{own.stop} by {self.seed}")


@functools.lru_cache(maxsize=256)
def _places(seed: int, block: int, size: int) -> np.ndarray:
    """The records at some consecutive places of the order: one at a time takes much longer."""
    return shuffled(seed, np.arange(block * _BLOCK, (block + 1) * _BLOCK), size)
