"""Adaptive prompting: problems that are solved step by step, abreast, each by a controller of its own.

A controller asks a frozen model for a step, has it checked, and accepts it or asks for another in another way; it goes
back where that fails, and makes steps larger or smaller. No answer is known to it.

Reference: Think Beyond Size: Adaptive Prompting, 2024, https://arxiv.org/abs/2410.08130, as far as its abstract says.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.data.guided_steps import (
    AGAIN,
    ANS,
    BAD,
    CUES,
    OK,
    ONE,
    PARTS,
    PLANNED,
    READ,
    REASONS,
    RESTATED,
    SUM,
    TWO,
    calculations,
    check,
    check_all,
    complexity,
    operands,
    put,
    rejected,
)
from stagejax.data.tokenizers import CLS, Codec
from stagejax.decode import padded_prompts
from stagejax.inference.answering import ask
from stagejax.inference.frozen import Frozen, flops_of_one
from stagejax.inference.two_calls import Calling, Replies, replies

#: Granularities, from large steps to small ones.
LADDER = (TWO, ONE, PARTS)
#: Who judges a step: the model itself, nobody, whoever knows the answer, a coin.
OWN, NOBODY, ORACLE, COIN = "own", "nobody", "oracle", "coin"
STOP = "("  # no reply has it: SEP ends them
#: (number of the problem, accepted calculations, what is said) -> whether it is right.
Judge = Callable[[int, Sequence[str], Sequence[str]], bool]


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


@dataclass(frozen=True)
class Calls:
    """Sizes of prompts that are answered, that are judged, and of second calculations."""

    guided: Calling
    sums: Calling

    def flops(self, config: Any) -> tuple[float, float, float]:
        """FLOPs of a reply, of a verdict with its reason, and of a guided step with its verdict and two second
        calculations; as if all had all tokens that they may have.

        >>> from stagejax.models import gpt
        >>> reply, verdict, step = Calls(Calling(8, 4), Calling(4, 1)).flops(gpt(layers=1))
        >>> step > reply + verdict > 10**5
        True
        """
        return _flops(self, config)


@functools.cache
def _flops(calls: Calls, config: Any) -> tuple[float, float, float]:
    like = jax.ShapeDtypeStruct
    row = {"tokens": like((calls.guided.prompt,), "int32"), "lengths": like((), "int32")}
    reply, verdict = calls.guided.flops(config), float(flops_of_one(_verdicts, config, row, (5, 6), (7,)))
    return reply, verdict, reply + verdict + 2 * calls.sums.flops(config)


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


@dataclass
class Solving:
    """A frozen model at work on many problems, all of which are asked the same kind of thing at a time."""

    net: Frozen
    code: Codec
    calls: Calls
    control: Control
    seed: int = 0
    judge: Judge | None = None

    def solve(self, questions: Sequence[str]) -> list[State]:
        """Every problem up to its answer.

        >>> # states = Solving(Frozen.of(result), code, calls, Control()).solve(["ann has 7 . finds 3 . how many ?"])
        """
        control = self.control
        states = [State.of(question, place, control) for place, question in enumerate(questions)]
        for number in range(control.rounds):
            active = [own for own in states if own.answer is None]
            if not active:
                break
            said = self.guided(active, number)
            for own, step, verdict in zip(active, said, self.judged(active, said, number), strict=True):
                own.judged.append((own.calculated, step, verdict))
                if verdict.valid and step:
                    own.take(Accepted(step, verdict.score, verdict.reason))
                else:
                    own.fail(Accepted(step, verdict.score, verdict.reason) if step else None, control)
            ended = [own for own in active if own.ended()]
            for own, verdict in zip(ended, self.checked(ended, number), strict=True):
                own.conclude(verdict)
        self.out_of_budget([own for own in states if own.answer is None])
        return states

    def guided(self, active: Sequence[State], number: int) -> list[tuple[str, ...] | None]:
        """A step of each problem; None where what is said is none."""
        control = self.control
        heat = [control.temperature * (own.fails > 0) for own in active]
        found = self.said([own.prompt(control) for own in active], active, self.calls.guided, heat, number)
        texts = [f"{ANS} {text}" if own.ends else text for own, text in zip(active, found.texts, strict=True)]
        return [calculations(text) for text in texts]

    def judged(self, active: Sequence[State], said: Sequence[Any], number: int) -> list[Verdict]:
        """Verdicts on steps: by their text, then by the model, then by a second calculation."""
        control, found = self.control, [Verdict(False, None, READ, sound=False)] * len(active)
        if control.validator == NOBODY:
            return [Verdict(step is not None, None, READ) for step in said]
        asked = []
        for at, (own, step) in enumerate(zip(active, said, strict=True)):
            reason = flaw(own.question, own.calculated, step) if step and control.mechanical else None
            if reason:
                found[at] = Verdict(False, None, reason, sound=False)
            elif step:
                asked.append(at)
        prompts = [put(active[at].question, active[at].calculated, check(" , ".join(said[at]))) for at in asked]
        again = []
        for at, (score, reason) in zip(asked, self.verdicts(prompts, [active[at] for at in asked]), strict=True):
            found[at] = self.decided(active[at], said[at], score, reason, number, 0)
            again += [(at, one) for one in said[at] if found[at].valid and not one.startswith(ANS)]
        if control.mechanical and again:
            sums = [one.rpartition(" ")[0] for _, one in again]
            second = self.said(sums, [active[at] for at, _ in again], self.calls.sums, 0.0, 0)
            for (at, one), text in zip(again, second.texts, strict=True):
                if text != operands(one)[3]:
                    found[at] = Verdict(False, found[at].ok, SUM, sound=False)
        return found

    def checked(self, ended: Sequence[State], number: int) -> list[Verdict]:
        """Verdicts on whole solutions."""
        if self.control.validator == NOBODY:
            return [Verdict(True, None, READ)] * len(ended)
        prompts = [put(own.question, (), check_all(own.calculated)) for own in ended]
        found = zip(ended, self.verdicts(prompts, ended), strict=True)
        return [self.decided(own, (), score, reason, number, 1) for own, (score, reason) in found]

    def decided(self, own: State, said: Sequence[str], score: float, reason: str, number: int, whole: int) -> Verdict:
        """What a verdict's P(ok) comes to, or what the oracle or the coin says in its place."""
        control = self.control
        if control.validator == ORACLE:
            assert self.judge is not None, "an oracle needs a judge"
            score = float(self.judge(own.place, own.calculated, said))
        elif control.validator == COIN:
            score = float(np.random.default_rng((self.seed, own.place, number, whole)).random())
            return Verdict(score >= control.shares[whole], score, reason)
        return Verdict(score >= control.threshold, score, reason)

    def out_of_budget(self, left: Sequence[State]) -> None:
        """The answer of the best-scored chain; of problems without any, what the model answers behind their steps."""
        bare = [own for own in left if not own.chains]
        prompts = [f"{put(own.question, own.calculated, CUES[ONE])} {ANS}" for own in bare]
        found = self.said(prompts, bare, self.calls.guided, 0.0, self.control.rounds).texts
        for own, text in zip(bare, found, strict=True):
            own.chains.append((0.0, text))
        for own in left:
            own.answer = max(own.chains)[1]

    def said(self, prompts: Sequence[str], states: Sequence[State], how: Calling, heat: Any, number: int) -> Replies:
        """What the model says to prompts, on the account of each problem."""
        made = replies(self.net, self.code, prompts, how, STOP, heat, 1000 * self.seed + number)
        rows = zip(states, *map(self.code.encode, (prompts, made.texts)), made.tokens, strict=True)
        for own, prompt, text, tokens in rows:
            own.tally.add([CLS, *prompt.tolist()], [*text.tolist(), *[0] * (tokens - len(text))])
        return made

    def verdicts(self, prompts: Sequence[str], states: Sequence[State]) -> list[tuple[float, str]]:
        """P(ok) of each check, and the likeliest reason why it would be bad."""
        found = verdicts_of(self.net, self.code, prompts, self.calls.guided)
        for own, prompt, (score, _) in zip(states, self.code.encode(prompts), found, strict=True):
            own.tally.add([CLS, *prompt.tolist()], [0] * (1 + (score < self.control.threshold)))
        return found


def verdicts_of(net: Frozen, code: Codec, prompts: Sequence[str], how: Calling) -> list[tuple[float, str]]:
    """P(ok) = p(ok) / (p(ok) + p(bad)) behind each prompt, and the likeliest reason behind "bad".

    >>> # scores = [score for score, _ in verdicts_of(net, code, ["( ... ) ( check 7 + 3 = 10 )"], Calling(80, 2))]
    """
    pair, reasons = (tuple(int(own[0]) for own in code.encode(words)) for words in ((OK, BAD), REASONS))
    rows, made = [[CLS, *ids.tolist(), pair[1]] for ids in code.encode(list(prompts))], []
    for start in range(0, len(rows), how.batch):
        part = [rows[place % len(rows)] for place in range(start, start + how.batch)]
        filled = padded_prompts(part, how.prompt)
        batch = {"tokens": filled.tokens_BP, "lengths": filled.lengths_B}
        score, reason = ask(_verdicts, net, batch, pair, reasons)
        made += [(float(p), REASONS[int(why)]) for p, why in zip(score, reason, strict=True)]
    return made[: len(rows)]


def _verdicts(model: Any, batch: Any, pair: tuple[int, int], reasons: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    tokens, lengths = jnp.asarray(batch["tokens"]), jnp.asarray(batch["lengths"])
    logits_BTV, rows = model(tokens), jnp.arange(len(tokens))
    first, second = logits_BTV[rows, lengths - 2], logits_BTV[rows, lengths - 1]
    return jax.nn.sigmoid(first[:, pair[0]] - first[:, pair[1]]), jnp.argmax(second[:, jnp.array(reasons)], axis=1)
