"""Omniglot: handwritten letters of several alphabets."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from stagejax.data.named import Dataset, MissingDataset, read_npz
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, EmptySource, Record, Source


@dataclass(frozen=True)
class Omniglot(Source):
    """Letters drawn by twenty hands each; records are {"image": uint8 (28, 28, 1), "letter", "alphabet", "drawer"}.

    Reference: Lake, Salakhutdinov and Tenenbaum, Human-level concept learning, Science 2015.
    """

    split: str = "train"

    def __len__(self) -> int:
        return len(_arrays(self.split)["y"])

    def __getitem__(self, index: int) -> Record:
        arrays = _arrays(self.split)
        letter, alphabet, drawer = (int(arrays[name][index]) for name in ("y", "alphabet", "drawer"))
        return {"image": arrays["x"][index][..., None], "letter": letter, "alphabet": alphabet, "drawer": drawer}

    def digest(self) -> str:
        """The sha256 of the file's bytes."""
        return Dataset("omniglot", self.split).digest()


@functools.cache
def _arrays(split: str) -> dict[str, np.ndarray]:
    path = Dataset("omniglot", split).path()
    if path is None:
        raise MissingDataset("omniglot is not there: put omniglot/train.npz and test.npz under $STAGEJAX_DATA")
    return read_npz(path)


@dataclass(frozen=True)
class Alphabet(Derived):
    """The letters of one alphabet by some hands: records {"image", "label"}, labels from 0 in the order of letters.

    Args:
      source: records with "letter", "alphabet" and "drawer", such as `Omniglot`.
      alphabet: its number.
      drawers: the first hand, and the one behind the last.

    Raises:
      EmptySource: on use, where there is no such letter.

    >>> # Alphabet(Omniglot("test"), 1, (1, 6)): five images of each of the 17 letters of Tagalog
    """

    alphabet: int = 0
    drawers: tuple[int, int] = (1, 21)

    def of_split(self, split: str) -> Source:
        """Itself: hands, not splits, are held out of an alphabet."""
        return self

    def __len__(self) -> int:
        return len(_chosen(self)[0])

    def __getitem__(self, index: int) -> Record:
        rows, labels = _chosen(self)
        return {"image": self.source[int(rows[index])]["image"], "label": int(labels[index])}

    def column(self, field: str) -> Int64[np.ndarray, " N"]:
        return _chosen(self)[1] if field == "label" else super().column(field)

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"alphabet {self.alphabet} by {self.drawers}")


@functools.lru_cache(maxsize=64)
def _chosen(own: Alphabet) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the alphabet's letters by these hands, and their labels."""
    alphabet, drawer, letter = (own.source.column(name) for name in ("alphabet", "drawer", "letter"))
    rows = np.flatnonzero((alphabet == own.alphabet) & (drawer >= own.drawers[0]) & (drawer < own.drawers[1]))
    if not len(rows):
        raise EmptySource(f"{own.source} has no letter of alphabet {own.alphabet} by hands {own.drawers}")
    names = np.unique(letter[alphabet == own.alphabet])
    return rows, np.searchsorted(names, letter[rows]).astype(np.int64)
