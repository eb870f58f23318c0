"""The records of some classes only: a stream before its topics shift."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record, labels_of


@dataclass(frozen=True)
class OfLabels(Derived):
    """The records whose label is one of some, in the source's order; labels stay as they are.

    Args:
      labels: which ones.
      label: field of the label.

    Raises:
      ValueError: on first access, if no record has one of them.

    >>> from stagejax.data import Digits
    >>> few = OfLabels(Digits(), (3, 7))
    >>> sorted({few[i]["label"] for i in range(len(few))}), len(few) < len(Digits())
    ([3, 7], True)
    """

    labels: tuple[int, ...]
    label: str = "label"

    def __len__(self) -> int:
        return len(_rows(self))

    def __getitem__(self, index: int) -> Record:
        return self.source[int(_rows(self)[index])]

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"{self.label} of {self.labels}")


@functools.lru_cache(maxsize=64)
def _rows(own: OfLabels) -> np.ndarray:
    rows = np.flatnonzero(np.isin(labels_of(own.source, own.label), own.labels))
    if not len(rows):
        raise ValueError(f"no record of {own.source} has a {own.label!r} among {own.labels}")
    return rows
