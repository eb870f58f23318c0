"""Word problems with what may be written down beside the calculation: variables, a plan, results on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from stagejax.data.pipeline import joint_digest
from stagejax.data.reasoning.problems import Problems, applied
from stagejax.data.reasoning.written import BRIEF
from stagejax.data.sources import Derived, Record, Source

#: How a change is named among the variables, and in a plan.
NAMED = {"+": "more", "-": "less", "*": "times", "/": "parts"}
PLANNED = {"+": "add", "-": "take", "*": "repeat", "/": "split"}
#: Words of what is written down, beside numbers.
WORDS = (*NAMED, *NAMED.values(), *PLANNED.values(), "start", "=", ";", ",", ".", "t", "answer")


class Change(NamedTuple):
    """What is done to the number so far; the first, without a sign, is the number that a problem begins with."""

    sign: str
    n: int


def changes_of(program: str) -> list[Change]:
    """A program as `Problems` have it.

    >>> changes_of("11 + 5 - 3")
    [Change(sign='', n=11), Change(sign='+', n=5), Change(sign='-', n=3)]
    """
    first, *rest = program.split()
    return [Change("", int(first)), *(Change(sign, int(n)) for sign, n in zip(rest[::2], rest[1::2], strict=True))]


def written(changes: list[Change]) -> dict[str, object]:
    """What a solution may write down.

    "given": the numbers that count, and for what; "plan": what is to be done; "steps": the calculation; "careful": the
    same with a result on the way (see `by_parts`); "code": a program for `straight_line.answer_of`.

    >>> own = written(changes_of("7 + 15 - 2"))
    >>> own["given"], own["plan"]
    (['start 7', '15 more', '2 less'], ['start 7', 'add 15', 'take 2'])
    >>> own["steps"], own["careful"]
    (['7 + 15 = 22', '22 - 2 = 20'], ['7 + 15 = 17 + 5 = 22', '22 - 2 = 20'])
    >>> own["code"]
    't = 7 ; t = t + 15 ; answer = t - 2'
    """
    begin = f"start {changes[0].n}"
    value, steps, careful, lines = changes[0].n, [], [], [f"t = {changes[0].n}"]
    for place, (sign, n) in enumerate(changes[1:]):
        after = applied(value, sign, n)
        steps.append(f"{value} {sign} {n} = {after}")
        careful.append(f"{value} {sign} {n} = {by_parts(value, sign, n)}{after}")
        lines.append(f"{'answer' if place == len(changes) - 2 else 't'} = t {sign} {n}")
        value = after
    given = [begin, *(f"{n} {NAMED[sign]}" for sign, n in changes[1:])]
    plan = [begin, *(f"{PLANNED[sign]} {n}" for sign, n in changes[1:])]
    return {"given": given, "plan": plan, "steps": steps, "careful": careful, "code": " ; ".join(lines)}


def by_parts(value: int, sign: str, n: int) -> str:
    """The result on the way where tens come before ones, as text that the last result follows; "" where there is none.

    >>> [by_parts(*own) for own in ((27, "+", 15), (27, "-", 15), (14, "*", 3), (27, "+", 5), (28, "/", 2))]
    ['37 + 5 = ', '17 - 5 = ', '30 + 12 = ', '', '']
    """
    tens, ones = divmod(value if sign == "*" else n, 10)
    if sign == "/" or not tens or not ones:
        return ""
    return f"{10 * tens * n} + {ones * n} = " if sign == "*" else f"{applied(value, sign, 10 * tens)} {sign} {ones} = "


@dataclass(frozen=True)
class PlannedProblems(Derived):
    """Records of `Problems`, whose "answer" is a text here, with "changes" and what `written` gives.

    >>> record = PlannedProblems(Problems(steps=(2,), wording=BRIEF))[0]
    >>> record["question"], record["plan"], record["answer"]
    ('finn has 11 . finds 15 . gives 14 . how many ?', ['start 11', 'add 15', 'take 14'], '12')
    """

    source: Source = field(default_factory=lambda: Problems(wording=BRIEF))

    def __getitem__(self, index: int) -> Record:
        record = self.source[index]
        changes = changes_of(record["program"])
        return {**record, "answer": str(record["answer"]), "changes": changes, **written(changes)}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "planned")
