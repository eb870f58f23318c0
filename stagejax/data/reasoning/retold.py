"""Arithmetic word problems of a dataset, by their equations, in the words of generated dialogues."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field

from stagejax.data.pipeline import joint_digest
from stagejax.data.reasoning.dialogues import Dialogues, values_of
from stagejax.data.sources import Derived, Record, Source

Program = list[tuple[str, int]]


@dataclass(frozen=True)
class Retold(Derived):
    """Problems whose equation is a chain of steps that `told` could tell, as its first turns: a check of transfer.

    Their programs and how often each comes are the dataset's; neither its words are kept, nor what has other numbers.

    Args:
      source: records with an "equation" in infix form, such as SVAMP's test part.
      told: wording and range.

    `Retold(Dataset("svamp", "test"), Dialogues(largest=12))` has 179 of its 1000 problems.
    """

    told: Dialogues = field(default_factory=Dialogues)

    def __len__(self) -> int:
        return len(programs_of(self.source, self.told.largest))

    def __getitem__(self, index: int) -> Record:
        return self.told.record_of([programs_of(self.source, self.told.largest)[index]], index)

    def digest(self) -> str:
        return joint_digest(self.source.digest(), self.told.digest())


@functools.lru_cache(maxsize=4)
def programs_of(source: Source, largest: int) -> list[Program]:
    """Of the records' equations those that are a chain of steps in this range, in their order."""
    found = (program_in(source[i]["equation"]) for i in range(len(source)))
    return [program for program in found if program is not None and in_range(program, largest)]


def program_in(equation: str) -> Program | None:
    """Start and operations of a fully bracketed equation, where each step goes on from the one before.

    >>> program_in("( ( 8.0 + 3.0 ) - 2.0 )"), program_in("( 8.0 - ( 3.0 + 2.0 ) )"), program_in("( 2.5 * 2.0 )")
    ([('', 8), ('+', 3), ('-', 2)], None, None)
    """
    opened = re.match(r"(?:\( )*", equation)[0].count("(")  # type: ignore[index]
    found = re.fullmatch(r"(?:\( )+(\d+)\.0((?: [-+*/] \d+\.0 \))+)", equation)
    if not found:
        return None
    steps = re.findall(r" ([-+*/]) (\d+)\.0 \)", found[2])
    return [("", int(found[1])), *((sign, int(n)) for sign, n in steps)] if len(steps) == opened else None


def in_range(program: Program, largest: int) -> bool:
    """Whether `Dialogues` could have made this program.

    >>> in_range([("", 8), ("-", 3)], 8), in_range([("", 8), ("-", 9)], 8), in_range([("", 8), ("/", 4)], 8)
    (True, False, False)
    """
    start, values = program[0][1], values_of(program)
    factors = all(n in (2, 3) if sign in "*/" else 1 <= n <= largest for sign, n in program[1:])
    whole = factors and all(x % n == 0 for (sign, n), x in zip(program[1:], values, strict=False) if sign == "/")
    return whole and start >= 1 and min(values) >= 0 and max(values) <= largest
