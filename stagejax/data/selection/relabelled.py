"""Other labels for the classes of a source: coarser ones, or the same ones in another order."""

from __future__ import annotations

from dataclasses import dataclass

from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record


@dataclass(frozen=True)
class Relabelled(Derived):
    """The records of a source, class c bearing the label `to[c]`; every split alike.

    Args:
      source: records with a label from 0 to len(to) - 1.
      to: the new label of each old one.
      label: the field of a record.

    Raises:
      ValueError: `to` has no label; in use, a record's label is none of its places.

    >>> from stagejax.data import Digits
    >>> even = Relabelled(Digits(), (1, 0) * 5)
    >>> [(Digits()[i]["label"], even[i]["label"]) for i in range(3)]
    [(0, 1), (1, 0), (2, 1)]
    """

    to: tuple[int, ...]
    label: str = "label"

    def __post_init__(self) -> None:
        if not self.to:
            raise ValueError("to=() has no label: give the new label of every class")

    def __getitem__(self, index: int) -> Record:
        record = self.source[index]
        old = int(record[self.label])
        if not 0 <= old < len(self.to):
            raise ValueError(f"record {index} of {self.source} has the label {old}, but `to` has {len(self.to)} labels")
        return {**record, self.label: self.to[old]}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"{self.to} {self.label}")
