"""A source without what another one holds too: training text that is in no test."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from stagejax.data.named import Dataset
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record, Source


@dataclass(frozen=True)
class Apart(Derived):
    """The records of a source whose `field` is that of no record of others; another split is as it is.

    Args:
      source: what records are left out of.
      others: what is not to be seen, such as the test split.
      field: text, or a list of words.
      cased: whether texts that differ in upper and lower case alone are different ones.

    >>> from stagejax.data.tasks.tagged import DrawnSentences
    >>> all_of_them = DrawnSentences(9)
    >>> len(Apart(all_of_them, (DrawnSentences(4),), "form"))
    5
    """

    others: tuple[Source, ...]
    field: str
    cased: bool = True

    def _rows(self) -> np.ndarray:
        return _rest(self.source, self.others, self.field, self.cased)

    def __len__(self) -> int:
        return len(self._rows())

    def __getitem__(self, index: int) -> Record:
        return self.source[int(self._rows()[index])]

    def of_split(self, split: str) -> Source:
        return self if split == self.split else self.source.of_split(split)

    def digest(self) -> str:
        case = () if self.cased else ("uncased",)
        return joint_digest(self.source.digest(), *(other.digest() for other in self.others), self.field, *case)


def unseen(name: str, field: str, part: str = "") -> Source:
    """The training records of a dataset without those whose `field` is also that of a test record.

    >>> # texts = unseen("agnews", "text")
    """
    return Apart(Dataset(name, part=part), (Dataset(name, "test", part),), field)


@functools.lru_cache(maxsize=16)
def _rest(source: Source, others: tuple[Source, ...], field: str, cased: bool) -> np.ndarray:
    def said(record: Record) -> Any:
        text = record[field]
        if not isinstance(text, str):
            return tuple(text if cased else map(str.lower, text))
        return text if cased else text.lower()

    known = {said(other[i]) for other in others for i in range(len(other))}
    return np.array([i for i in range(len(source)) if said(source[i]) not in known], np.int64)
