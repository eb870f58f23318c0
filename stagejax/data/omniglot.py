"""Omniglot: handwritten letters of several alphabets."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from stagejax.data.named import Dataset, MissingDataset, read_npz
from stagejax.data.sources import Record, Source


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
