"""A few labelled records of every class, and a number made into one of two classes."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from stagejax.data.order import shuffled
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record, Source, labels_of


@dataclass(frozen=True)
class FewShot(Derived):
    """`shots` records of every class of a source, drawn by `seed`; of a class with fewer, all.

    Records are in the source's order. Another split than the source's own is whole.

    Args:
      source: of the records.
      shots: of each class.
      seed: of the draw.
      label: the field that holds the class.

    Raises:
      ValueError: `shots` is below 1.

    >>> from stagejax.data import Digits
    >>> few = FewShot(Digits(), 16)
    >>> len(few), np.bincount([record["label"] for record in few]).tolist() == [16] * 10, len(few.of_split("test"))
    (160, True, 359)
    """

    shots: int
    seed: int = 0
    label: str = "label"

    def __post_init__(self) -> None:
        if self.shots < 1:
            raise ValueError(f"shots={self.shots}: give every class at least 1")

    @property
    def places(self) -> Int64[np.ndarray, " few"]:
        """Where the records are in the source."""
        return _places(self)

    def of_split(self, split: str) -> Source:
        return self if split == self.split else self.source.of_split(split)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Record:
        return self.source[int(self.places[index])]

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"{self.shots} of each {self.label} by {self.seed}")


@functools.lru_cache(maxsize=256)
def _places(few: FewShot) -> Int64[np.ndarray, " few"]:
    labels = labels_of(few.source, few.label)
    order = shuffled(few.seed, np.arange(len(labels)), len(labels))
    return np.sort(np.concatenate([order[labels[order] == c][: few.shots] for c in np.unique(labels)]))


@dataclass(frozen=True)
class Binarised(Derived):
    """Records with `label` 1 where a number in the field `of` is `least` or more, and 0 where it is `most` or less.

    What lies between is left out. With most=None nothing is: 0 is all below `least`.

    >>> from stagejax.data import Digits
    >>> [record["label"] for record in (Digits()[i] for i in range(3))]
    [0, 1, 2]
    >>> [Binarised(Digits(), "label", 2.0)[i]["label"] for i in range(3)]
    [0, 0, 1]
    >>> [Binarised(Digits(), "label", 2.0, 0.0)[i]["label"] for i in range(3)]
    [0, 1, 1]
    """

    of: str
    least: float
    most: float | None = None
    label: str = "label"

    def __post_init__(self) -> None:
        if self.most is not None and not self.most < self.least:
            raise ValueError(f"most={self.most} is not below least={self.least}: a record would be of both classes")

    def __len__(self) -> int:
        return len(self.source) if self.most is None else len(_clear(self))

    def __getitem__(self, index: int) -> Record:
        record = self.source[index if self.most is None else int(_clear(self)[index])]
        return {**record, self.label: int(record[self.of] >= self.least)}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"{self.label}: {self.of} >= {self.least}, else <= {self.most}")


@functools.lru_cache(maxsize=16)
def _clear(own: Binarised) -> Int64[np.ndarray, " clear"]:
    """The places of the records that are of either class."""
    values = np.array([own.source[i][own.of] for i in range(len(own.source))], float)
    return np.flatnonzero((values >= own.least) | (values <= (own.least if own.most is None else own.most)))
