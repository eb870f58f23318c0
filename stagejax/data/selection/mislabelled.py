"""Label noise: some records of a source bear the label of another class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from stagejax.data.order import random_words, uniforms
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record, Source


@dataclass(frozen=True)
class Mislabelled(Derived):
    """Symmetric label noise: each label is wrong with probability `share`, all other classes alike.

    Whether a record's label is wrong, and which it is instead, depends on the seed and the record's number alone.
    Another split than the source's own is clean.

    Args:
      source: records with a label from 0 to classes - 1.
      share: from 0 to 1.
      classes: their number, at least 2.
      label: the field of a record.

    >>> from stagejax.data import Digits
    >>> noisy = Mislabelled(Digits(), share=0.3, classes=10)
    >>> wrong = [noisy[i]["label"] != Digits()[i]["label"] for i in range(len(noisy))]
    >>> round(sum(wrong) / len(wrong), 1), wrong == noisy.wrong(np.arange(len(noisy))).tolist()
    (0.3, True)
    """

    share: float
    classes: int
    seed: int = 0
    label: str = "label"

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1 or self.classes < 2:
            raise ValueError(f"share={self.share}, classes={self.classes}: a share from 0 to 1, and at least 2 classes")

    def of_split(self, split: str) -> Source:
        return self if split == self.split else self.source.of_split(split)

    def wrong(self, records: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Whether the labels of these records are wrong."""
        return uniforms(random_words(self.seed, records, 1))[:, 0] < self.share

    def __getitem__(self, index: int) -> Record:
        record, number = self.source[index], np.array([range(len(self))[index]])
        if not self.wrong(number)[0]:
            return record
        word = int(random_words(self.seed, number, 2)[0, 1])
        other = (int(record[self.label]) + 1 + word % (self.classes - 1)) % self.classes
        return {**record, self.label: other}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"{self.share} {self.classes} {self.seed} {self.label}")
