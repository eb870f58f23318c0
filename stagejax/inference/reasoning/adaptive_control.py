"""A controller of adaptive prompting: what it asks for next, what it accepts, and where it goes back; no model is here.

Reference: Think Beyond Size: Adaptive Prompting, 2024, https://arxiv.org/abs/2410.08130, as far as its abstract says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from stagejax.data.reasoning.guided_steps import (
    AGAIN,
    ANS,
    CUES,
    ONE,
    PARTS,
    PLANNED,
    READ,
    RESTATED,
    TWO,
    complexity,
    operands,
    put,
    rejected,
)

#: Granularities, from large steps to small ones.
LADDER = (TWO, ONE, PARTS)
#: Who judges a step: the model itself, nobody, whoever knows the answer, a coin.
OWN, NOBODY, ORACLE, COIN = "own", "nobody", "oracle", "coin"


@dataclass(frozen=True)
class Control:
    """The rules of a controller.

    Args:
      threshold: τ; a step is valid where P(ok) is τ or more.
      validator: OWN, NOBODY, ORACLE or COIN.
      mechanical: a valid step must pass `flaw` and, where it calculates, a second calculation by the model, too.
      corrects: another step is asked for behind the rejected one and its reason; else as if nothing had been said.
      adapts: steps become smaller after two failures in a row and larger after three steps without one, and a second
        try asks in another way; else every step is asked for as one calculation.
      retries: R, further tries at a place before the controller goes back.
      backs: how often it goes back, at most; then it takes the step of highest P(ok).
      fixed: K, calculations before the answer is asked for; None: the problem's `complexity`, raised by 2 after two
        failures in a row.
      most: K, however often it is raised.
      rounds: guided steps of a problem, at most.
      high: complexity above which a problem begins with one calculation a step, not two.
      temperature: of second and later tries; first ones are the likeliest.
      shares: of steps, and of whole solutions, that COIN rejects.

    >>> Control(threshold=0.8).retries
    2
    """

    threshold: float = 0.5
    validator: str = OWN
    mechanical: bool = True
    corrects: bool = True
    adapts: bool = True
    retries: int = 2
    backs: int = 2
    fixed: int | None = None
    most: int = 10
    rounds: int = 16
    high: int = 3
    temperature: float = 0.7
    shares: tuple[float, float] = (0.0, 0.0)

    def guide(self, granularity: int, fails: int) -> str:
        """How a step is asked for, by its place in `LADDER` and how often it failed here.

        >>> [Control().guide(0, fails) for fails in range(4)], Control(adapts=False).guide(0, 2)
        (['two', 'one', 'restated', 'planned'], 'one')
        """
        if not self.adapts:
            return ONE
        ways = (*LADDER[granularity : granularity + 2], RESTATED, PLANNED)
        return ways[min(fails, len(ways) - 1)]


@dataclass
class Tally:
    """What a problem took: calls, tokens drawn, tokens read, and those that pass the model if prefixes are kept.

    >>> tally = Tally()
    >>> tally.add([1, 7, 8], [9, 2])
    >>> tally.add([1, 7, 8, 9, 5], [2])
    >>> tally.calls, tally.drawn, tally.read, tally.tokens
    (2, 3, 8, 7)
    """

    calls: int = 0
    drawn: int = 0
    read: int = 0
    tokens: int = 0
    known: list[tuple[int, ...]] = field(default_factory=list)

    def add(self, prompt: Sequence[int], *said: Sequence[int]) -> None:
        """One call with one reply or several."""
        drawn = sum(map(len, said))
        kept = max((_common(prompt, own) for own in self.known), default=0)
        self.known += [(*prompt, *own) for own in said]
        self.calls, self.drawn, self.read = self.calls + 1, self.drawn + drawn, self.read + len(prompt)
        self.tokens += len(prompt) - kept + drawn

    def numbers(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in ("calls", "drawn", "read", "tokens")}


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


class Accepted(NamedTuple):
    """A step, its P(ok), and why it would be bad if it were."""

    said: tuple[str, ...]
    score: float
    reason: str


class Verdict(NamedTuple):
    """On a step or a whole solution."""

    valid: bool
    ok: float | None  # P(ok); None: it was not asked for
    reason: str  # why it would be bad
    sound: bool = True  # whether it passes all mechanical checks

    @property
    def score(self) -> float:
        """P(ok), less 1 where a mechanical check fails."""
        return (self.ok or 0.0) - (not self.sound)


@dataclass
class State:
    """A problem on its way."""

    question: str
    place: int
    granularity: int
    limit: int  # K
    backs: int
    steps: list[Accepted] = field(default_factory=list)
    fails: int = 0  # at this place
    streak: int = 0  # failures in a row
    clean: int = 0  # steps in a row without one
    refused: tuple[str, str] | None = None  # the last rejected step, and why
    instead: tuple[str, ...] | None = None  # the first rejected step at this place
    tries: list[Accepted] = field(default_factory=list)
    chains: list[tuple[float, str]] = field(default_factory=list)
    answer: str | None = None
    tally: Tally = field(default_factory=Tally)
    judged: list[Any] = field(default_factory=list)  # (calculations before, what was said, its verdict)
    wholes: list[bool] = field(default_factory=list)  # whether checks of all were passed
    corrections: list[Any] = field(default_factory=list)  # (calculations before, first rejected step, accepted one)

    @classmethod
    def of(cls, question: str, place: int, control: Control) -> State:
        """At the beginning: K and the granularity by the problem's complexity."""
        size = complexity(question)
        return cls(question, place, int(size > control.high), control.fixed or size, control.backs)

    @property
    def calculated(self) -> list[str]:
        """All accepted calculations."""
        return [one for step in self.steps for one in step.said]

    def prompt(self, control: Control) -> str:
        """What is asked for next; an answer, where there are K calculations."""
        guide = control.guide(self.granularity, self.fails)
        asked = rejected(*self.refused, guide) if self.refused and control.corrects else CUES[guide]
        text = put(self.question, self.calculated, asked)
        return f"{text} {ANS}" if self.ends else text

    @property
    def ends(self) -> bool:
        return len(self.calculated) >= self.limit

    def take(self, step: Accepted) -> None:
        """Accept a step; three in a row without a failure make the next ones larger."""
        if self.instead:
            self.corrections.append((self.calculated, self.instead, step.said))
        self.clean = self.clean + 1 if not self.fails else 0
        if self.clean == 3:
            self.granularity, self.clean = max(0, self.granularity - 1), 0
        self.fails = self.streak = 0
        self.refused, self.instead, self.tries = None, None, []
        self.steps.append(step)

    def fail(self, step: Accepted | None, control: Control) -> None:
        """Reject a step, or what is none (None): another try, one step back, or the best of all tries."""
        self.fails, self.streak, self.clean = self.fails + 1, self.streak + 1, 0
        if step is not None:
            self.tries.append(step)
            self.refused = " , ".join(step.said), step.reason
            self.instead = self.instead or step.said
        if self.streak >= 2:
            self.granularity, self.streak = min(len(LADDER) - 1, self.granularity + 1), 0
            if control.fixed is None:
                self.limit = min(control.most, self.limit + 2)
        if self.fails > control.retries:
            if self.steps and self.backs:
                self.back(len(self.steps) - 1)
            elif self.tries:
                self.take(max(self.tries, key=lambda own: own.score))

    def back(self, place: int) -> None:
        """Go back to before a step, which counts as rejected."""
        removed = self.steps[place]
        self.backs -= 1
        self.steps, self.tries, self.fails = self.steps[:place], [removed], 1
        self.refused, self.instead = (" , ".join(removed.said), removed.reason), removed.said

    def ended(self) -> bool:
        return bool(self.steps) and self.steps[-1].said[-1].startswith(ANS)

    def conclude(self, verdict: Verdict) -> None:
        """Behind an answer: emit it where the check of all is passed; else go back to before the worst step."""
        scores = [own.score for own in self.steps]
        self.chains.append((float(np.mean(scores)), self.steps[-1].said[-1].partition(" ")[2]))
        self.wholes.append(verdict.valid)
        if verdict.valid:
            self.answer = self.chains[-1][1]
        elif self.backs:
            self.back(int(np.argmin(scores)))
        else:
            self.answer = max(self.chains)[1]


def flaw(question: str, steps: Sequence[str], said: Sequence[str]) -> str | None:
    """What is wrong with a step by its text: a calculation that was there, or a number that was nowhere.

    >>> question = "ann has 7 . finds 3 . loses 2 . how many ?"
    >>> flaw(question, ["7 + 3 = 10"], ["7 + 3 = 10"]), flaw(question, ["7 + 3 = 10"], ["11 - 2 = 9"])
    ('again', 'misread')
    >>> flaw(question, ["7 + 3 = 10"], ["10 - 2 = 8"])
    """
    known, there = set(question.split()), list(steps)
    known |= {operands(one)[3] for one in steps}
    for one in said:
        if one in there:
            return AGAIN
        read = [one.split()[1]] if one.startswith(ANS) else [operands(one)[0], operands(one)[2]]
        if not known.issuperset(read):
            return READ
        if not one.startswith(ANS):
            known.add(operands(one)[3])
        there.append(one)
    return None
