"""What is wrong with a chain of calculations: a wrong result, a step left out, or a problem misunderstood."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from stagejax.data.comparisons import Link
from stagejax.data.problems import applied

RIGHT, CALCULATION, MISSING, MISUNDERSTOOD, EXTRACTION = (
    "right", "calculation", "missing step", "misunderstanding", "extraction"
)  # fmt: skip
ERRORS = (CALCULATION, MISSING, MISUNDERSTOOD, EXTRACTION)
_STEP = re.compile(
    r"(?P<name>[a-z]+) (?P<value>\d+) (?P<sign>[-+*]) (?P<n>\d+) = (?:(?P<on>\d+) (?P<by>[-+] \d+) = )?(?P<end>\d+)"
)


class Said(NamedTuple):
    """A step as it is said: `Link` and what is calculated; a number that is told has no sign."""

    link: Link
    value: int | None  # that it goes on from
    on: tuple[int, str, int] | None  # the result on the way, and what is done to it
    end: int


def said_steps(chain: str) -> list[Said | None]:
    """The steps of a chain; None for one of another form.

    >>> said_steps("ben 7 ; ann 7 + 15 = 17 + 5 = 22 ; dan")
    """
    return [_said(part.strip()) for part in chain.split(";")]


def _said(step: str) -> Said | None:
    if start := re.fullmatch(r"([a-z]+) (\d+)", step):
        return Said(Link(start[1], "", int(start[2])), None, None, int(start[2]))
    found = _STEP.fullmatch(step)
    if found is None:
        return None
    way = None
    if found["on"]:
        sign, n = found["by"].split()
        way = (int(found["on"]), sign, int(n))
    link = Link(found["name"], found["sign"], int(found["n"]))
    return Said(link, int(found["value"]), way, int(found["end"]))


def error_of(chain: str, answer: str, links: Sequence[Link]) -> str:
    """The first error of a chain whose answer is wrong: one of `ERRORS`; `RIGHT` if the answer is.

    Steps are compared with those that the problem needs, one after the other. The first that differs says what is
    wrong: its name, sign and number are those of a later step, or there is no further one: a step is missing; they are
    no later step's, it goes on from another number than the last result, or it has another form: misunderstanding; its
    result, or that on the way, is none of its calculation: calculation. Where all is right but the answer: extraction.

    Args:
      chain: steps with ";" between them.
      links: of the record, in the order of the calculation.

    Reference: Wang et al. 2023, https://arxiv.org/abs/2305.04091, section 4.2 (labels were given by hand there).

    >>> links = [Link("cleo", "", 7), Link("ben", "+", 5), Link("ann", "-", 2)]
    >>> [error_of(chain, "9", links) for chain in ("cleo 7 ; ben 7 + 5 = 11 ; ann 11 - 2 = 9",
    ...     "cleo 7 ; ann 7 - 2 = 9", "cleo 7 ; ben 7 + 5 = 12", "cleo 7 ; dan 7 + 2 = 9",
    ...     "cleo 7 ; ben 7 + 5 = 12 ; ann 12 - 2 = 10")]
    ['calculation', 'missing step', 'missing step', 'misunderstanding', 'extraction']
    """
    value = links[0].n
    for link in links[1:]:
        value = applied(value, link.sign, link.n)
    if answer == str(value):
        return RIGHT
    before, steps = None, said_steps(chain)
    for place, said in enumerate(steps):
        if place == len(links) or said is None:
            return MISUNDERSTOOD if chain.strip() else MISSING
        if said.link != links[place]:
            return MISSING if said.link in links[place + 1 :] else MISUNDERSTOOD
        if said.value != before:
            return MISUNDERSTOOD
        if not _right(said):
            return CALCULATION
        before = said.end
    return MISSING if len(steps) < len(links) else EXTRACTION


def _right(said: Said) -> bool:
    if said.value is None:
        return said.end == said.link.n
    ends = [applied(said.value, said.link.sign, said.link.n)]
    ends += [applied(*said.on)] if said.on else []
    return all(end == said.end for end in ends)
