"""Chains of variables in any order, with the value that is asked for and why: all values on the way to it."""

from __future__ import annotations

import string
from dataclasses import dataclass

import numpy as np

from stagejax.data.order import random_words
from stagejax.data.pipeline import joint_digest
from stagejax.data.reasoning.skills import held_out
from stagejax.data.sources import Record, Source
from stagejax.data.vocabulary.words import Words

_ATTEMPTS = 64  # one chain of five is one of the test split


@dataclass(frozen=True)
class Chains(Source):
    """Puzzles of LEGO: a shuffled chain of clauses, and one variable of it that is asked for; the root never is.

    Records hold "question", "rationale" (the variables from the root to the one that is asked for, with their values),
    "label" (that value) and "steps" (the length of the rationale). A chain belongs to the train or to the test split by
    its hash, so none is in both, whatever the sizes and seeds.

    Args:
      split: "train" or "test".
      size: number of records.
      clauses: how many clauses a puzzle may have, each as often.
      seed: of the draws.
      letters: variables are named by the first so many letters.

    Raises:
      ValueError: an unknown split, or fewer than 2 clauses or more than letters.

    Reference: Zhang et al. 2022 (LEGO), https://arxiv.org/abs/2206.04301, section 2.

    >>> record = Chains(clauses=(3,))[1]
    >>> record["question"], record["rationale"], record["label"]
    ('h = val 1 , n = val h , p = not n , ? n', 'h 1 , n 1', '1')
    """

    split: str = "train"
    size: int = 3000
    clauses: tuple[int, ...] = (4, 5, 6)
    seed: int = 0
    letters: int = 26

    def __post_init__(self) -> None:
        if self.split not in ("train", "test") or not all(
            2 <= count <= self.letters <= 26 for count in self.clauses or (0,)
        ):
            told = f"split={self.split!r}, clauses={self.clauses}, letters={self.letters}"
            raise ValueError(f"{told}: give 'train' or 'test', and 2 to `letters` clauses, of at most 26 letters")

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < self.size:
            raise IndexError(f"record {index} of {self.size}")
        drawn = random_words(self.seed, index * _ATTEMPTS + np.arange(_ATTEMPTS), 28 + 2 * max(self.clauses))
        for words in drawn:
            count = self.clauses[int(words[0] % np.uint64(len(self.clauses)))]
            names, bits = np.argsort(words[2 : 2 + self.letters])[:count], words[28 : 28 + count] >> np.uint64(63)
            puzzle = sum(int(digit) * 26**place for place, digit in enumerate((*names, *bits, count)))
            if held_out(np.array([puzzle % (1 << 61)]))[0] == (self.split == "test"):
                order = np.argsort(words[28 + count : 28 + 2 * count])
                return written(names, bits.astype(int), order, 1 + int(words[1] % np.uint64(count - 1)))
        raise ValueError(f"{self}: no chain of the {self.split} split was found for record {index}")

    def digest(self) -> str:
        return joint_digest(str(self))

    def tokenizer(self) -> Words:
        """One token a word."""
        return Words((*string.ascii_lowercase, "0", "1", "val", "not", "=", ",", "?"))


def written(names: np.ndarray, bits: np.ndarray, order: np.ndarray, asked: int) -> Record:
    """The puzzle of a chain: the root's value, then whether each variable is the negation of the one before.

    >>> written(np.array([0, 1]), np.array([1, 1]), np.array([1, 0]), 1)["question"]
    'b = not a , a = val 1 , ? b'
    """
    letters, values = [string.ascii_lowercase[name] for name in names], np.cumsum(bits) % 2
    whence = [str(values[0]), *letters[:-1]]
    signs = ["val", *("not" if bit else "val" for bit in bits[1:])]
    clauses = [f"{letters[i]} = {signs[i]} {whence[i]} ," for i in order]
    reasons = [f"{letter} {value}" for letter, value in zip(letters, values, strict=True)][: asked + 1]
    question = " ".join([*clauses, "?", letters[asked]])
    return {"question": question, "rationale": " , ".join(reasons), "label": str(values[asked]), "steps": asked + 1}
