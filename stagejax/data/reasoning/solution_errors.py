"""What is wrong with a chain of calculations: a wrong result, a step left out, or a problem misunderstood."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from stagejax.data.reasoning.planned_problems import Change
from stagejax.data.reasoning.problems import applied

RIGHT, CALCULATION, MISSING = "right", "calculation", "missing step"
MISUNDERSTOOD, EXTRACTION = "misunderstanding", "extraction"
ERRORS = (CALCULATION, MISSING, MISUNDERSTOOD, EXTRACTION)
_STEP = re.compile(r"(\d+) ([-+*/]) (\d+) = (?:(\d+) ([-+]) (\d+) = )?(\d+)")


class Said(NamedTuple):
    """A step as it is said."""

    value: int  # that it goes on from
    change: Change
    way: tuple[int, str, int] | None  # the result on the way, and what is done to it
    end: int

    @property
    def right(self) -> bool:
        """Whether its results are those of its calculations."""
        own = (self.value, *self.change)
        divided = self.change.sign != "/" or (self.change.n > 0 and self.value % self.change.n == 0)
        return divided and all(applied(*one) == self.end for one in (own, self.way) if one is not None)


def said_steps(chain: str) -> list[Said | None]:
    """The steps of a chain; None for one of another form.

    >>> said_steps("7 + 15 = 17 + 5 = 22 ; 22 -")[0]
    Said(value=7, change=Change(sign='+', n=15), way=(17, '+', 5), end=22)
    """
    found = [_STEP.fullmatch(part.strip()) for part in chain.split(";")]
    return [None if own is None else _said(*own.groups()) for own in found]


def _said(value: str, sign: str, n: str, on: str | None, by: str | None, rest: str | None, end: str) -> Said:
    way = (int(on), by, int(rest)) if on and by and rest else None
    return Said(int(value), Change(sign, int(n)), way, int(end))


def error_of(chain: str, answer: str | None, changes: Sequence[Change]) -> str:
    """The first error of a chain whose answer is wrong, one of `ERRORS`; `RIGHT` if the answer is right.

    Steps are compared with the changes of the problem, one after the other. The first that differs says what is wrong.
    It is a change that comes later, or there is no further step: a step is missing. It is no later change, goes on from
    another number than the result before, or has another form: misunderstanding. Its result, or that on the way, is not
    that of its calculation: calculation. Where all is right but the answer: extraction.

    Args:
      chain: steps with ";" between them.
      changes: of the record, with the number that it begins with.

    Reference: Wang et al. 2023, https://arxiv.org/abs/2305.04091, section 4.2, where labels were given by hand.

    >>> from stagejax.data.reasoning.planned_problems import changes_of
    >>> changes = changes_of("7 + 5 - 2")
    >>> [error_of(chain, "9", changes) for chain in ("7 + 5 = 11 ; 11 - 2 = 9", "7 - 2 = 5", "7 + 5 = 12", "7 + 2 = 9",
    ...     "7 + 5 = 12 ; 12 - 2 = 10")]
    ['calculation', 'missing step', 'missing step', 'misunderstanding', 'extraction']
    """
    value = before = changes[0].n
    for sign, n in changes[1:]:
        value = applied(value, sign, n)
    if answer == str(value):
        return RIGHT
    if not chain.strip():
        return MISSING
    steps = said_steps(chain)
    for place, said in enumerate(steps):
        rest = changes[place + 1 :]
        if said is None or not rest or said.value != before:
            return MISUNDERSTOOD
        if said.change != rest[0]:
            return MISSING if said.change in rest else MISUNDERSTOOD
        if not said.right:
            return CALCULATION
        before = said.end
    return MISSING if len(steps) < len(changes) - 1 else EXTRACTION
