"""Adaptive prompting: problems that are solved step by step, abreast, each by a controller of its own.

A controller asks a frozen model for a step, has it checked, and accepts it or asks for another in another way; it goes
back where that fails, and makes steps larger or smaller. No answer is known to it.

Reference: Think Beyond Size: Adaptive Prompting, 2024, https://arxiv.org/abs/2410.08130, as far as its abstract says.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.data.reasoning.guided_steps import (
    ANS,
    BAD,
    CUES,
    OK,
    ONE,
    READ,
    REASONS,
    SUM,
    calculations,
    check,
    check_all,
    operands,
    put,
)
from stagejax.data.tokenizers import CLS, Codec
from stagejax.decode import padded_prompts
from stagejax.inference.answering import ask
from stagejax.inference.frozen import Frozen, flops_of_one
from stagejax.inference.reasoning.adaptive_control import COIN, NOBODY, ORACLE, Accepted, Control, State, Verdict, flaw
from stagejax.inference.reasoning.two_calls import Calling, Replies, replies

STOP = "("  # no reply has it: SEP ends them
#: (number of the problem, accepted calculations, what is said) -> whether it is right.
Judge = Callable[[int, Sequence[str], Sequence[str]], bool]


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
