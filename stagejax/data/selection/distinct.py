"""The records of a source that are different: so many examples are so many, whatever a generator repeats."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record, Source


@dataclass(frozen=True)
class Distinct(Derived):
    """The first `size` records of a source whose field no record before them has.

    Raises:
      ValueError: on first access, if there are not so many.

    >>> from stagejax.data.reasoning.problems import Problems
    >>> source = Problems(size=40, steps=(1,), largest=6)
    >>> few = Distinct(source, "program", 20)
    >>> len({few[i]["program"] for i in range(20)}), len({source[i]["program"] for i in range(20)})
    (20, 14)
    """

    field: str
    size: int

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Record:
        return self.source[_places(self.source, self.field, self.size)[index]]

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"{self.field} {self.size}")


@functools.lru_cache(maxsize=64)
def _places(source: Source, field: str, size: int) -> tuple[int, ...]:
    seen: dict[object, int] = {}
    for place in range(len(source)):
        seen.setdefault(source[place][field], place)
        if len(seen) == size:
            return tuple(seen.values())
    raise ValueError(
        f"{source} has {len(seen)} records that differ in {field!r}, not {size}: raise its size, or ask less"
    )
