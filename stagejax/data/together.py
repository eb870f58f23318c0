"""Several sources as one, and a source whose held-out split is another's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

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

    def column(self, field: str) -> Int64[np.ndarray, " N"]:
        return np.concatenate([part.column(field) for part in self.parts])

    def of_split(self, split: str) -> Source:
        return Together(tuple(part.of_split(split) for part in self.parts))

    def digest(self) -> str:
        return joint_digest(*(part.digest() for part in self.parts))


@dataclass(frozen=True)
class Splits(Source):
    """A source whose train split is one source and whose test split is another.

    A tokenizer is trained on the train split of the source that it is used with: here it is the same for both.

    >>> from stagejax.data import Stdlib
    >>> few = Splits(Stdlib(limit=100_000), Stdlib("test", limit=200_000))
    >>> few.of_split("test")[0] == Stdlib("test", limit=200_000)[0], few.of_split("test").of_split("train") == few
    (True, True)
    """

    train: Source
    test: Source
    split: str = "train"

    def _own(self) -> Source:
        return self.test if self.split == "test" else self.train

    def __len__(self) -> int:
        return len(self._own())

    def __getitem__(self, index: int) -> Record:
        return self._own()[index]

    def digest(self) -> str:
        return self._own().digest()
