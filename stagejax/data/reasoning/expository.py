"""Prose about arithmetic that explains and asks nothing: what stands for the pages of a web corpus of mathematics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stagejax.data.order import random_words
from stagejax.data.pipeline import joint_digest
from stagejax.data.reasoning.problems import applied
from stagejax.data.sources import Record, Source

OPENINGS = (
    "a sum may be taken in any order .",
    "to subtract is to undo a sum .",
    "to multiply is to add the same number again and again .",
    "to divide is to undo a product .",
    "we note some facts about numbers .",
)
FACTS = {
    "+": ("the sum of {a} and {b} is {c} , that is {a} + {b} = {c} .", "as {a} + {b} = {c} , {c} - {b} = {a} ."),
    "-": ("if {b} is taken from {a} then {c} is left , that is {a} - {b} = {c} .", "we have {a} - {b} = {c} ."),
    "*": ("{a} taken {b} times is {c} , that is {a} * {b} = {c} .", "as {a} * {b} = {c} , {c} / {b} = {a} ."),
    "/": ("of {b} equal parts of {a} each is {c} , that is {a} / {b} = {c} .", "we have {a} / {b} = {c} ."),
}
#: Every word of these texts but the numbers.
WORDS = tuple(
    sorted(
        {
            word
            for sentence in (*OPENINGS, *(own for both in FACTS.values() for own in both))
            for word in sentence.split()
            if not word.startswith("{")
        }
    )
)


@dataclass(frozen=True)
class Expository(Source):
    """Records {"text"}: an opening sentence, then facts "a + b = c" in words and signs, of numbers from 0 to `largest`.

    The numbers are those that `Problems` of the same `largest` may need: + and - of 1 to `largest`, * and / of 2 and 3.
    What a reader can take from them is every single fact; never a question, nor which fact one needs.

    Args:
      largest: of all numbers.
      size: records.
      facts: of a record.
      seed: of the draws.

    >>> Expository(20, facts=1)[0]["text"]
    'a sum may be taken in any order . the sum of 1 and 11 is 12 , that is 1 + 11 = 12 .'
    """

    largest: int
    size: int = 4000
    facts: int = 6
    seed: int = 0
    split: str = "train"

    def __post_init__(self) -> None:
        if self.largest < 6 or self.facts < 1:
            raise ValueError(f"largest={self.largest}, facts={self.facts}: need at least 6 and at least 1")

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Record:
        number = np.array([range(self.size)[index]])
        words = iter((random_words(self.seed, number, 64 * self.facts)[0] >> np.uint64(11)).tolist())
        told = [OPENINGS[next(words) % len(OPENINGS)]]
        while len(told) <= self.facts:
            sign = "++--*/"[next(words) % 6]  # as there are fewer facts of the last two
            b = 1 + next(words) % self.largest if sign in "+-" else 2 + next(words) % 2
            a, way = next(words) % (self.largest + 1), FACTS[sign][next(words) % 2]
            if sign == "+":
                a %= self.largest + 1 - b
            elif sign == "-":
                a, b = max(a, b), min(a, b)
            elif sign == "*":
                a %= self.largest // b + 1
            else:
                a -= a % b
            told.append(way.format(a=a, b=b, c=applied(a, sign, b)))
        return {"text": " ".join(told)}

    def digest(self) -> str:
        return joint_digest(repr(self))
