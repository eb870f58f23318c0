"""Puzzles of several skills, one a row: chains of variables, digits of sums.

A skill is which question is asked. Rows are learned word by word, as language is, or by their answers alone. Whether a
puzzle belongs to the train or to the test split follows from the puzzle, so none is in both, whatever the seeds and
questions.
"""

from __future__ import annotations

import string
from abc import abstractmethod
from dataclasses import dataclass, replace

import jax
import numpy as np
from jaxtyping import Bool, Int32, Int64

from stagejax.data.order import random_words
from stagejax.data.pipeline import Batch, Data, joint_digest
from stagejax.data.tokenizers import PAD, SPECIAL
from stagejax.data.vocabulary.words import Words

_ATTEMPTS = 64  # one puzzle of five is one of the test split


@dataclass(frozen=True, kw_only=True)
class Puzzles(Data):
    """Rows {"tokens", "targets": int32 (length,), "weights": float32 (length,)}; the weight is 1 at what counts.

    Args:
      skill: number of the question.
      length: tokens in a row; shorter puzzles are padded behind.
      split: "train" or "test".
      answer_only: whether the answer alone counts, as in tests, and not every word of the puzzle.
      batch: rows in a global batch.
      seed: of the draws; skills draw puzzles of their own.

    Raises:
      ValueError: an unknown skill or split, or rows too short for a puzzle.
    """

    skill: int = 0
    length: int = 28
    split: str = "train"
    answer_only: bool = False
    batch: int
    seed: int = 0
    count: int | None = None

    def __post_init__(self) -> None:
        if self.split not in ("train", "test") or not 0 <= self.skill < self.skills:
            raise ValueError(
                f"skill={self.skill}, split={self.split!r}: give a skill from 0 to {self.skills - 1}, "
                "and 'train' or 'test'"
            )
        if self.length < self.longest - 1:
            raise ValueError(f"length={self.length} is too short for a puzzle: set length={self.longest - 1} or more")

    @property
    @abstractmethod
    def skills(self) -> int:
        """How many questions there are."""

    @property
    @abstractmethod
    def longest(self) -> int:
        """Tokens in a puzzle with its question and answer."""

    @abstractmethod
    def tokenizer(self) -> Words:
        """One token a word."""

    @abstractmethod
    def written(self, numbers: Int64[np.ndarray, " n"], seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Words (n, longest), as numbers in the tokenizer's list, and a number (n,) that tells puzzles apart."""

    def drawn(self, numbers: Int64[np.ndarray, " n"]) -> Int32[np.ndarray, "n tokens"]:
        """The rows with these numbers, one token longer than `length`; each does not depend on the others."""
        rows = np.full((len(numbers), self.length + 1), PAD, np.int32)
        missing = np.arange(len(numbers))
        for attempt in range(_ATTEMPTS):
            if not len(missing):
                return rows
            words, puzzles = self.written(numbers[missing] * _ATTEMPTS + attempt, 31 * self.seed + self.skill)
            fits = held_out(puzzles) == (self.split == "test")
            rows[missing[fits], : self.longest] = words[fits] + SPECIAL
            missing = missing[~fits]
        raise ValueError(f"{self}: no puzzle of the {self.split} split was found for {len(missing)} rows")

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        kinds = {"tokens": "int32", "targets": "int32", "weights": "float32"}
        return {name: jax.ShapeDtypeStruct((self.length,), np.dtype(kind)) for name, kind in kinds.items()}

    def size(self) -> int:
        return 1 << 40

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        rows = self.drawn(numbers)
        weights = np.zeros((len(rows), self.length), np.float32)
        weights[:, self.longest - 2 if self.answer_only else slice(self.longest - 1)] = 1
        return {"tokens": rows[:, :-1], "targets": rows[:, 1:], "weights": weights}

    def held_out(self, batches: int, split: str = "test") -> Data:
        return replace(self, split=split, count=batches, answer_only=True)

    def digest(self) -> str:
        return joint_digest(str(self))


def held_out(puzzles: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Which puzzles belong to the test split: about one of five."""
    return random_words(0, puzzles.astype(np.int64), 1)[:, 0] % np.uint64(5) == 0


@dataclass(frozen=True, kw_only=True)
class Lego(Puzzles):
    """A shuffled chain of clauses, and the value of its `skill`-th variable: 0 is the root, whose value is said.

    Reference: Zhang et al. 2022 (LEGO), https://arxiv.org/abs/2206.04301, section 2.

    >>> data = Lego(skill=1, clauses=2, batch=4)
    >>> data.tokenizer().decode(data.drawn(np.array([0]))[0])
    't = val 1 , u = val t , ? u = val 1'
    """

    clauses: int = 4

    @property
    def skills(self) -> int:
        return self.clauses

    @property
    def longest(self) -> int:
        return 5 * self.clauses + 5

    def tokenizer(self) -> Words:
        return Words((*string.ascii_lowercase, "0", "1", "val", "not", "=", ",", "?"))

    def written(self, numbers: Int64[np.ndarray, " n"], seed: int) -> tuple[np.ndarray, np.ndarray]:
        zero, val, equals, comma, asks = 26, 28, 30, 31, 32  # in the tokenizer's list
        words, k = random_words(seed, numbers, 26 + 2 * self.clauses), self.clauses
        names = np.argsort(words[:, :26], axis=1)[:, :k]
        # The root's value; then, whether each is the negation of the one before.
        bits = (words[:, 26 : 26 + k] >> np.uint64(63)).astype(np.int64)
        values = np.cumsum(bits, axis=1) % 2
        clause = np.empty((len(numbers), k, 5), np.int64)
        clause[..., 0], clause[..., 1], clause[..., 4] = names, equals, comma
        clause[:, 0, 2], clause[:, 0, 3] = val, zero + bits[:, 0]
        clause[:, 1:, 2], clause[:, 1:, 3] = val + bits[:, 1:], names[:, :-1]
        order = np.argsort(words[:, 26 + k :], axis=1)
        chain = np.take_along_axis(clause, order[..., None], axis=1).reshape(len(numbers), -1)
        asked, says, value = np.broadcast_to([asks, equals, val], (len(numbers), 3)).T
        said = zero + values[:, self.skill]
        question = np.stack([asked, names[:, self.skill], says, value, said], axis=1)
        puzzles = np.zeros(len(numbers), np.int64)
        for digit in (*names.T, *bits.T):
            puzzles = puzzles * 26 + digit
        return np.concatenate([chain, question], axis=1), puzzles


@dataclass(frozen=True, kw_only=True)
class Sums(Puzzles):
    """A sum of two numbers of three digits, and its `skill`-th digit, from the ones on.

    Reference: Chen et al. 2023 (Skill-It), https://arxiv.org/abs/2307.14430, section 2.2.

    >>> data = Sums(skill=0, batch=4)
    >>> data.tokenizer().decode(data.drawn(np.array([0]))[0])
    'A = 2 7 6 + 5 5 5 , A 0 ? 1'
    """

    @property
    def skills(self) -> int:
        return 3

    @property
    def longest(self) -> int:
        return 14

    def tokenizer(self) -> Words:
        return Words((*string.digits, "A", "=", "+", ",", "?"))

    def written(self, numbers: Int64[np.ndarray, " n"], seed: int) -> tuple[np.ndarray, np.ndarray]:
        name, equals, plus, comma, asks = range(10, 15)  # in the tokenizer's list
        both = (random_words(seed, numbers, 2) % np.uint64(1000)).astype(np.int64)
        places = np.array([100, 10, 1])
        first, second = (both[:, i, None] // places % 10 for i in (0, 1))
        answer = both.sum(1) // 10**self.skill % 10
        columns = [name, equals, *first.T, plus, *second.T, comma, name, self.skill, asks, answer]
        words = np.stack([np.broadcast_to(column, len(numbers)) for column in columns], axis=1)
        return words, both[:, 0] * 1000 + both[:, 1]
