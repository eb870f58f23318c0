"""Several sources as one."""

from __future__ import annotations

from dataclasses import dataclass

from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Record, Source


@dataclass(frozen=True)
class Together(Source):
    """The records of several sources, one source after the other; another split has those of all of them.

    >>> from stagejax.data import Stdlib
    >>> few, more = Stdlib(limit=100_000), Stdlib(limit=200_000)
    >>> both = Together((few, more))
    >>> len(both) == len(few) + len(more), both[len(few)] == more[0], both.of_split("test").parts[1].split
    (True, True, 'test')
    """

    parts: tuple[Source, ...]

    @property
    def split(self) -> str:  # type: ignore[override]
        return self.parts[0].split

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __getitem__(self, index: int) -> Record:
        index = range(len(self))[index]
        for part in self.parts:
            if index < len(part):
                return part[index]
            index -= len(part)
        raise IndexError(index)

    def of_split(self, split: str) -> Source:
        return Together(tuple(part.of_split(split) for part in self.parts))

    def digest(self) -> str:
        return joint_digest(*(part.digest() for part in self.parts))
