"""Arithmetic word problems about people of whom each has more, less or several times what another has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from stagejax.data.pipeline import joint_digest
from stagejax.data.problems import NAMES, applied, held_out, program_of
from stagejax.data.sources import Record, Source

PEOPLE = (*NAMES, "gus", "hal", "ida", "jon")
#: How a person's number follows from another's.
RELATIONS = {"+": "more", "-": "less", "*": "times"}
#: Words of questions and of what is written down about them, beside people and numbers.
WORDS = ("has", "than", "how", "many", "needs", *RELATIONS.values(), *RELATIONS, "=", ".", "?", ";", ",", "answer")


class Link(NamedTuple):
    """A person's number: that of the person before, changed; or, without a sign, a number that is told."""

    name: str
    sign: str
    n: int

    def told(self, other: str) -> str:
        """As a sentence.

        >>> Link("ben", "-", 3).told("cleo"), Link("ann", "*", 2).told("ben"), Link("cleo", "", 7).told("")
        ('ben has 3 less than cleo .', 'ann has 2 times ben .', 'cleo has 7 .')
        """
        than = "" if self.sign == "*" else "than "
        return f"{self.name} has {self.n} {RELATIONS[self.sign]} {than}{other} ." if self.sign else f"{self} ."

    def __str__(self) -> str:
        return f"{self.name} has {self.n}"


@dataclass(frozen=True)
class Comparisons(Source):
    """Problems whose first step is told anywhere: which one it is has to be found from the question backwards.

    Records hold "question", "answer" (a text), "links" (those that the answer needs, in the order of the calculation)
    and what solutions are written from (see `written`). A problem of k steps has k + 1 links. Its program, operations
    with their numbers, belongs to the train or to the test split by its hash.

    Args:
      split: "train" or "test".
      size: number of records.
      steps: how many operations a problem may have, each as often.
      largest: of all numbers, told, on the way and answered; at least 6.
      others: how many people there may be who are asked about nothing, each as often: their numbers are irrelevant.
      ordered: share of problems whose links are told in the order of the calculation; the others in any order.
      seed: of the draws.

    Raises:
      ValueError: an unknown split, a size out of its range, or more people than there are names.

    >>> record = Comparisons(steps=(2,), others=(1,), seed=4)[0]
    >>> record["question"]
    'cleo has 28 more than jon . ann has 2 less than jon . jon has 20 less than ben . ben has 22 . how many has ann ?'
    >>> record["steps"]
    """

    split: str = "train"
    size: int = 4000
    steps: tuple[int, ...] = (1, 2, 3)
    largest: int = 30
    others: tuple[int, ...] = (0, 1)
    ordered: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        people = max(self.steps, default=0) + 1 + max(self.others, default=0)
        if self.split not in ("train", "test") or min(self.steps, default=0) < 1 or self.largest < 6:
            raise ValueError(f"split={self.split!r}, steps={self.steps}, largest={self.largest}: need split 'train' or "
                             "'test', steps of at least 1, and largest of at least 6")  # fmt: skip
        if not self.others or people > len(PEOPLE):
            raise ValueError(f"steps={self.steps} and others={self.others} need up to {people} people, of whom there "
                             f"are {len(PEOPLE)}, and others at least one number")  # fmt: skip

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < self.size:
            raise IndexError(f"record {index} of {self.size}")
        rng = np.random.default_rng((self.seed, index))
        steps = self.steps[rng.integers(len(self.steps))]
        while True:
            program = self._program(steps, rng)
            if held_out(program_of(program)) == (self.split == "test"):
                return self._record(program, rng)

    def digest(self) -> str:
        return joint_digest(str(self))

    def _program(self, steps: int, rng: np.random.Generator) -> list[tuple[str, int]]:
        value = int(rng.integers(1, self.largest + 1))
        found = [("", value)]
        for _ in range(steps):
            most = {"+": self.largest - value, "-": value, "*": min(3, self.largest // max(value, 1))}
            signs = [sign for sign, n in most.items() if n >= 1 + (sign == "*")]
            sign = signs[rng.integers(len(signs))]
            n = int(rng.integers(1 + (sign == "*"), most[sign] + 1))
            value = applied(value, sign, n)
            found.append((sign, n))
        return found

    def _record(self, program: list[tuple[str, int]], rng: np.random.Generator) -> Record:
        names = [PEOPLE[place] for place in rng.permutation(len(PEOPLE))]
        links = [Link(names[place], sign, n) for place, (sign, n) in enumerate(program)]
        told = [link.told(names[place - 1]) for place, link in enumerate(links)]
        if rng.random() >= self.ordered:
            told = [told[place] for place in rng.permutation(len(told))]
        for extra in range(self.others[rng.integers(len(self.others))]):
            sign = "+-"[rng.integers(2)]
            own = Link(names[len(links) + extra], sign, int(rng.integers(1, self.largest + 1)))
            told.insert(int(rng.integers(len(told) + 1)), own.told(links[rng.integers(len(links))].name))
        question = " ".join([*told, f"how many has {links[-1].name} ?"])
        return {"question": question, "links": links, "length": len(program) - 1, **written(links)}


def written(links: list[Link]) -> dict[str, object]:
    """What a solution may write down, and the answer.

    "given": who is needed, with their numbers, from the asked one back; "plan": who needs whom; "steps": the
    calculation; "careful": the same with a result on the way (see `by_parts`); "program": assignments.

    >>> own = written([Link("cleo", "", 7), Link("ben", "+", 15), Link("ann", "-", 2)])
    >>> own["given"], own["plan"]
    (['ann 2 less', 'ben 15 more', 'cleo 7'], ['ann needs ben', 'ben needs cleo'])
    >>> own["steps"], own["careful"][1]
    (['cleo 7', 'ben 7 + 15 = 22', 'ann 22 - 2 = 20'], 'ben 7 + 15 = 17 + 5 = 22')
    >>> own["program"], own["answer"]
    ('cleo = 7 ; ben = cleo + 15 ; answer = ben - 2', '20')
    """
    value, steps, careful, lines = 0, [], [], []
    for place, (name, sign, n) in enumerate(links):
        said = "answer" if place == len(links) - 1 else name
        if not sign:
            value = n
            steps.append(f"{name} {n}")
            careful.append(f"{name} {n}")
            lines.append(f"{said} = {n}")
            continue
        after = applied(value, sign, n)
        steps.append(f"{name} {value} {sign} {n} = {after}")
        careful.append(f"{name} {value} {sign} {n} = {by_parts(value, sign, n)}{after}")
        lines.append(f"{said} = {links[place - 1].name} {sign} {n}")
        value = after
    given = [f"{name} {n} {RELATIONS[sign]}" if sign else f"{name} {n}" for name, sign, n in links[::-1]]
    plan = [f"{one.name} needs {other.name}" for one, other in zip(links[:0:-1], links[-2::-1], strict=True)]
    program = " ; ".join(lines)
    return {"given": given, "plan": plan, "steps": steps, "careful": careful, "program": program, "answer": str(value)}


def by_parts(value: int, sign: str, n: int) -> str:
    """The result on the way where tens come before ones, as text that the last result follows; "" where there is none.

    >>> by_parts(27, "+", 15), by_parts(27, "-", 15), by_parts(14, "*", 3), by_parts(27, "+", 5), by_parts(7, "*", 3)
    ('37 + 5 = ', '17 - 5 = ', '30 + 12 = ', '', '')
    """
    if sign == "*":
        tens, ones = divmod(value, 10)
        return f"{10 * tens * n} + {ones * n} = " if tens and ones else ""
    tens, ones = divmod(n, 10)
    return f"{applied(value, sign, 10 * tens)} {sign} {ones} = " if tens and ones else ""
