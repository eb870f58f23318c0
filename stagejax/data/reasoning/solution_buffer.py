"""What is known of a problem's solutions: fully and partially correct programs, and when a sampled one joins them.

Correct is decided by execution: a program by its answer, a prefix by the state that it reaches. Pure functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from stagejax.data.reasoning.straight_line import NotExecutable, State, Step, state_of, traced

#: What can become of a sampled program, in the order of `Verdict`'s numbers.
VERDICTS = ("full", "partial", "known", "too long", "wrong", "not executable")


class Known(NamedTuple):
    """A program that is known to be right as far as it goes."""

    program: str
    full: bool  # it sets the right answer; else it only reaches a state of a right program

    @property
    def text(self) -> str:
        """How a learner is to write it: a partial one ends with what parts it from its next statement.

        >>> Known("t0 = n0 + n1", full=False).text
        't0 = n0 + n1 ;'
        """
        return self.program if self.full or not self.program else f"{self.program} ;"


def joined(
    known: Sequence[Known],
    sampled: str,
    numbers: tuple[Fraction, ...],
    *,
    partial: bool = True,
    tolerance: int = 0,
) -> tuple[tuple[Known, ...], str]:
    """The known programs of a problem when one more was sampled, and what became of that one: one of `VERDICTS`.

    Its statements are followed up to the first that sets `answer`. Where that is right, it is a full solution, if it
    has at most `tolerance` statements more than the shortest one, and nothing of it is kept if it has not. Where the
    answer is wrong or missing, the longest prefix counts that reaches a state of a known program with at most
    `tolerance` statements more than the shortest way there. A state is the values of all variables, whatever they are
    called. No program is kept twice, and no partial one that another begins with;
    spaces and redundant parentheses make no difference.

    Args:
      known: the first is the reference.
      sampled: a whole program, with the prefix that was completed.
      numbers: n0, n1, ... of the problem.
      partial: whether prefixes count.

    Reference: Ni et al. 2022, https://arxiv.org/abs/2205.14318, section 3, and its published code.

    >>> numbers, own = (Fraction(2), Fraction(5), Fraction(3)), [Known("t0 = n0 + n1 ; answer = t0 * n2", True)]
    >>> more, verdict = joined(own, "x = n1 + n0 ; answer = x - n2", numbers)
    >>> verdict, more[1]
    ('partial', Known(program='x = n1 + n0', full=False))
    >>> joined(more, "x = n1 + n0 ; answer = n2 * x", numbers)[1]
    'full'
    """
    own = tuple(known)
    try:
        steps = traced(sampled, numbers)
    except NotExecutable:
        return own, "not executable"
    at = next((i for i, step in enumerate(steps) if step.answers), None)
    right = at is not None and steps[at].value == _value(own[0], numbers)
    if right:
        shortest = min(len(traced(each.program, numbers)) for each in own if each.full)
        if at + 1 > shortest + tolerance:  # type: ignore[operator]
            return own, "too long"
        size = at + 1  # type: ignore[operator]
    else:
        size = _reached(own, steps[:at], numbers, tolerance) if partial else 0
        if not size:
            return own, "wrong"
    new, codes = steps[:size], [_codes(each, numbers) for each in own]
    begins = tuple(step.code for step in new)
    if begins in codes or (not right and any(code[:size] == begins for code in codes)):
        return own, "known"
    kept = [each for each, code in zip(own, codes, strict=True) if each.full or begins[: len(code)] != code]
    kept.append(Known(" ; ".join(step.text for step in new), right))
    return tuple(sorted(kept, key=lambda each: not each.full)), "full" if right else "partial"


def states(known: Sequence[Known], numbers: tuple[Fraction, ...]) -> dict[State, int]:
    """How few statements reach each state that lies on the way of a known program; the last of full ones is none.

    >>> numbers = (Fraction(2), Fraction(5))
    >>> found = states([Known("t0 = n0 + n1 ; answer = t0 * 2", True)], numbers)
    >>> [(tuple(map(int, state)), size) for state, size in found.items()]
    [((2, 5), 0), ((2, 5, 7), 1)]
    """
    found = {state_of(numbers): 0}
    for each in known:
        for size, step in enumerate(_way(each, numbers), 1):
            found[step.state] = min(size, found.get(step.state, size))
    return found


def _way(known: Known, numbers: tuple[Fraction, ...]) -> Iterator[Step]:
    steps = traced(known.program, numbers)
    yield from steps[:-1] if known.full else steps


def _reached(known: Sequence[Known], steps: Sequence[Step], numbers: tuple[Fraction, ...], tolerance: int) -> int:
    """Behind how many statements the last known state is reached; 0: none is."""
    there = states(known, numbers)
    sizes = (n for n, step in enumerate(steps, 1) if step.state in there and n <= there[step.state] + tolerance)
    return max(sizes, default=0)


def _codes(known: Known, numbers: tuple[Fraction, ...]) -> tuple[object, ...]:
    return tuple(step.code for step in traced(known.program, numbers))


def _value(known: Known, numbers: tuple[Fraction, ...]) -> Fraction:
    return next(step.value for step in traced(known.program, numbers) if step.answers)
