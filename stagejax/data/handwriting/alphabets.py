"""The symbols of one alphabet in four parts: the few shots that are known, and what lines are written with."""

from __future__ import annotations

from dataclasses import dataclass

from stagejax.data.pictures.omniglot import Alphabet, Omniglot
from stagejax.data.portion import Portion
from stagejax.data.selection.few_shot import FewShot
from stagejax.data.sources import Source


@dataclass(frozen=True)
class Symbols:
    """An alphabet of which a few symbols are known and no line: no two parts share a record.

    Records have "image" and "label", labels from 0.

    Args:
      shots: that the known ones are drawn from.
      lines: of the lines without labels.
    """

    shots: Source
    validation: Source
    lines: Source
    test: Source

    def few(self, shots: int, seed: int) -> Source:
        """So many known ones of each symbol; those of fewer shots are among those of more."""
        return FewShot(self.shots, shots, seed)


def hands(alphabet: int) -> Symbols:
    """An alphabet of Omniglot's test split: 5, 3, 7 and 5 hands write the parts."""
    ends = {"shots": (1, 6), "validation": (6, 9), "lines": (9, 16), "test": (16, 21)}
    return Symbols(**{part: Alphabet(Omniglot("test"), alphabet, drawers) for part, drawers in ends.items()})


def records(symbols: Source, shots: int, validation: int, lines: int) -> Symbols:
    """So many records of a source for three parts, and its test split.

    >>> from stagejax.data import Digits
    >>> parts = records(Digits(), 300, 200, 900)
    >>> len(parts.few(2, seed=0)), len(parts.validation), len(parts.test)
    (20, 200, 359)
    """
    ends = (0, shots), (shots, shots + validation), (shots + validation, shots + validation + lines)
    return Symbols(*(Portion(symbols, *pair) for pair in ends), symbols.of_split("test"))
