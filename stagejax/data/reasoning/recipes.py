"""Recipes: a few named operations on two digits, told in any order; which comes first is a custom of each house.

A problem says its house, its operations and two digits, not the order. Variants have the same recipe and other digits,
so whoever is shown one solved can solve the others, if the order that it shows is the right one.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from stagejax.data.order import random_words
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, EmptySource, Record, Source
from stagejax.data.vocabulary.words import Words

#: What each operation makes of the digits a and b, modulo 10.
OPERATIONS: dict[str, Callable[[int, int], tuple[int, int]]] = {
    "swap": lambda a, b: (b, a),
    "rise": lambda a, b: (a + 1, b + 1),
    "twice": lambda a, b: (2 * a, 2 * b),
    "flip": lambda a, b: (9 - a, 9 - b),
    "thrice": lambda a, b: (3 * a, 3 * b),
    "step": lambda a, b: (a + 3, b),
    "dip": lambda a, b: (a, b + 8),
    "lean": lambda a, b: (b + 2, a),
    "pour": lambda a, b: (a + 5, 3 * b),
    "part": lambda a, b: (7 * a, b + 1),
}
NAMES = tuple(OPERATIONS)
HOUSES = ("north", "east", "south", "west", "coast", "hill", "moor", "lake")
#: Between an example and the problem behind it.
THEN = "then"
#: Twentieths of all recipes that belong to each split.
SPLITS = {"train": range(9), "practice": range(9, 13), "dev": range(13, 15), "test": range(15, 20)}

Recipe = tuple[int, tuple[int, ...]]  # house, operations in the order of their names


def recipes_tokenizer() -> Words:
    """One token a word."""
    return Words((*map(str, range(10)), *NAMES, *HOUSES, "ans", THEN))


def carried_out(order: tuple[int, ...], digits: tuple[int, int]) -> tuple[str, int]:
    """The solution that does operations in this order, and its answer.

    >>> carried_out((0, 1), (4, 7))
    ('swap 7 4 rise 8 5 ans 8 5', 85)
    """
    said: list[Any] = []
    a, b = digits
    for operation in order:
        a, b = (x % 10 for x in OPERATIONS[NAMES[operation]](a, b))
        said += [NAMES[operation], a, b]
    return " ".join(map(str, [*said, "ans", a, b])), 10 * a + b


@functools.cache
def customs(house: int) -> tuple[int, ...]:
    """All operations in the order of a house."""
    return tuple(np.argsort(random_words(5, np.array([house]), len(NAMES))[0]).tolist())


@functools.cache
def recipes_of(split: str, operations: tuple[int, ...], houses: int, known: int = len(NAMES)) -> tuple[Recipe, ...]:
    """All recipes of a split, in an order drawn once: a recipe belongs to one split, by its hash."""
    sets = [own for k in operations for own in itertools.combinations(range(known), k)]
    every = [(house, own) for house in range(houses) for own in sets]
    numbers = np.array([sum(1 << i for i in own) + (house << len(NAMES)) for house, own in every])
    words = random_words(3, numbers, 2)
    chosen = np.flatnonzero(np.isin(words[:, 0] % np.uint64(20), list(SPLITS[split])))
    return tuple(every[i] for i in chosen[np.argsort(words[chosen, 1])])


@dataclass(frozen=True)
class Recipes(Source):
    """Problems, each with its variants. The first records have different recipes, as many as the split has.

    Records hold the texts "question" and "solution", the number "answer", and "exams": variants with the same fields.

    Args:
      split: "train", "practice", "dev" or "test"; they share no recipe.
      operations: how many a recipe may have.
      houses: as many orders of all operations.
      known: how many operations there are, at most ten.
      variants: of each problem.
      ordered: solutions do the operations in the order of the house; else in one that is drawn for each record, which
        its variants share.

    Raises:
      ValueError: an unknown split, or numbers of operations or houses that there are not.
      EmptySource: the split has no recipe.

    >>> record = Recipes()[0]
    >>> record["question"], record["solution"]
    ('west twice dip rise 0 9', 'dip 0 7 rise 1 8 twice 2 6 ans 2 6')
    >>> record["exams"][0]["question"], record["exams"][0]["solution"]
    ('west twice dip rise 9 0', 'dip 9 8 rise 0 9 twice 0 8 ans 0 8')
    """

    split: str = "train"
    size: int = 1000
    operations: tuple[int, ...] = (3,)
    houses: int = 8
    known: int = len(NAMES)
    variants: int = 3
    ordered: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        some = self.known <= len(NAMES) and all(1 <= k <= self.known for k in self.operations or (0,))
        if self.split not in SPLITS or not some or not 1 <= self.houses <= len(HOUSES):
            raise ValueError(
                f"{self}: give one of the splits {', '.join(SPLITS)}, 1 to {len(NAMES)} operations, 1 to "
                f"{len(HOUSES)} houses"
            )

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < self.size:
            raise IndexError(f"record {index} of {self.size}")
        every = recipes_of(self.split, self.operations, self.houses, self.known)
        if not every:
            raise EmptySource(f"{self}: no recipe belongs to this split. Give more operations or houses.")
        house, own = every[index % len(every)]
        words = random_words(self.seed, np.array([index]), 2 * len(NAMES) + 100)[0]
        told = [own[i] for i in np.argsort(words[: len(own)])]
        order = tuple(own[i] for i in np.argsort(words[len(NAMES) : len(NAMES) + len(own)]))
        if self.ordered:
            order = tuple(i for i in customs(house) if i in own)
        digits = np.argsort(words[2 * len(NAMES) :])[: 1 + self.variants]  # pairs of digits, no pair twice
        first, *others = (_problem(house, told, order, divmod(int(pair), 10)) for pair in digits)
        return {**first, "exams": tuple(others)}

    def digest(self) -> str:
        return joint_digest(str(self))

    def tokenizer(self) -> Words:
        """One token a word."""
        return recipes_tokenizer()


def _problem(house: int, told: list[int], order: tuple[int, ...], digits: tuple[int, int]) -> dict[str, Any]:
    solution, answer = carried_out(order, digits)
    question = " ".join([HOUSES[house], *(NAMES[i] for i in told), *map(str, digits)])
    return {"question": question, "solution": solution, "answer": answer}


@dataclass(frozen=True)
class Lessons(Derived):
    """A problem with its solution as an example, and its first variant behind it, whose solution is asked for.

    >>> record = Lessons(Recipes())[0]
    >>> record["question"]
    'west twice dip rise 0 9 dip 0 7 rise 1 8 twice 2 6 ans 2 6 then west twice dip rise 9 0'
    >>> record["solution"]
    'dip 9 8 rise 0 9 twice 0 8 ans 0 8'
    """

    def __getitem__(self, index: int) -> Record:
        record = self.source[index]
        exam = record["exams"][0]
        return {**exam, "question": f"{record['question']} {record['solution']} {THEN} {exam['question']}"}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "lessons")
