"""What a frozen model answers to problems under static prompts and under a controller, as artifacts of a run.

An artifact is {"answer", ...}, lists by problem, or by sample; "read", "drawn" and "tokens" count tokens:
read by the model where prefixes are kept, drawn, and both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stagejax.data.reasoning.guided_steps import ANS, again, check_all, put, right_step
from stagejax.data.sources import Record
from stagejax.data.tokenizers import Codec
from stagejax.decode.vote import majority_vote
from stagejax.inference.frozen import Frozen
from stagejax.inference.reasoning.adaptive_control import Control
from stagejax.inference.reasoning.adaptive_prompts import STOP, Calls, Solving, verdicts_of
from stagejax.inference.reasoning.two_calls import Calling, replies

Said = dict[str, list[Any]]
Records = Sequence[Record]


def answer_of(text: str) -> str:
    """What stands behind the last mark of an answer; "" where there is none.

    >>> answer_of("7 + 3 = 10 ; ans 10"), answer_of("7 + 3 = 10")
    ('10', '')
    """
    return text.rpartition(f"{ANS} ")[2] if f"{ANS} " in text else ""


def parts(text: str) -> list[str]:
    """The steps of a chain, as a state has them.

    >>> parts("7 + 3 = 10 ; ans 10")
    ['7 + 3 = 10', 'ans 10']
    """
    return [part.strip() for part in text.split(";") if part.strip()]


def drawn_tokens(said: Said) -> int:
    """How many tokens were drawn, for `run.make`.

    >>> drawn_tokens({"drawn": [9, 11]})
    20
    """
    return int(sum(said["drawn"]))


def chains(
    net: Frozen, code: Codec, how: Calling, records: Records, cue: str, n: int = 1, heat: float = 0.0, seed: int = 0
) -> Said:
    """Whole solutions in one call, n of each problem side by side, each with what it drew.

    >>> # said = chains(Frozen.of(result), code, Calling(144, 48), records, STEPS)
    """
    prompts = [put(own["question"], (), cue) for own in records for _ in range(n)]
    made = replies(net, code, prompts, how, STOP, heat, seed)
    read = [1 + len(own) for own in code.encode(prompts)]
    return _said(made.texts, read, made.tokens, [1] * len(read))


def rewritten(net: Frozen, code: Codec, how: Calling, records: Records, first: Said) -> Said:
    """Every chain once more, behind itself, whether it is right or not: self-refinement without a verdict.

    >>> # again = rewritten(Frozen.of(result), code, Calling(144, 48), records, said)
    """
    prompts = [put(own["question"], (), again(parts(text))) for own, text in zip(records, first["said"], strict=True)]
    made = replies(net, code, prompts, how, STOP)
    more = [len(a) - len(b) for a, b in zip(code.encode(prompts), _states(code, records), strict=True)]
    read, drawn = ([a + b for a, b in zip(first[name], own, strict=True)]
                   for name, own in (("read", more), ("drawn", made.tokens)))  # fmt: skip
    return _said(made.texts, read, drawn, [2] * len(read))


def _states(code: Codec, records: Records) -> list[Any]:
    """What is read of every problem before its first step."""
    return code.encode([f"( {own['question']} ) (" for own in records])


def _said(texts: list[str], read: list[int], drawn: list[int], calls: list[int]) -> Said:
    tokens = [a + b for a, b in zip(read, drawn, strict=True)]
    answers = [answer_of(text) for text in texts]
    return {"said": texts, "answer": answers, "read": read, "drawn": drawn, "tokens": tokens, "calls": calls}


def checked(net: Frozen, code: Codec, how: Calling, records: Records, samples: Said) -> Said:
    """P(ok) of each whole chain that was drawn, as "ok", and the tokens that its check takes.

    >>> # scores = checked(Frozen.of(result), code, Calling(144, 48), records, said)["ok"]
    """
    n = len(samples["said"]) // len(records)
    prompts = [put(records[at // n]["question"], (), check_all(parts(own))) for at, own in enumerate(samples["said"])]
    before = _states(code, records)
    tokens = [len(own) - len(before[at // n]) + 1 for at, own in enumerate(code.encode(prompts))]
    return {"ok": [ok for ok, _ in verdicts_of(net, code, prompts, how)], "tokens": tokens}


def voted(samples: Said, of: int, n: int, checks: Said | None = None) -> list[Any]:
    """The majority's answer of the first n of `of` samples of each problem; weighted by their checks, where there are.

    >>> samples = {"answer": ["7", "", "8", "8"]}
    >>> voted(samples, 4, 4), voted(samples, 4, 4, {"ok": [0.9, 0.9, 0.2, 0.2]}), voted(samples, 2, 1)
    (['8'], ['7'], ['7', '8'])
    """
    answers = [answer or None for answer in samples["answer"]]
    weights = [1.0] * len(answers) if checks is None else checks["ok"]
    starts = range(0, len(answers), of)
    return [majority_vote(answers[at : at + n], weights[at : at + n]).answer for at in starts]


def vote_cost(samples: Said, of: int, n: int, checks: Said | None = None) -> dict[str, float]:
    """ "tokens", "drawn" and "calls" of a problem, for a vote of n samples: its prompt is read once.

    >>> vote_cost({"read": [20, 20], "drawn": [10, 12]}, of=2, n=2)
    {'tokens': 42.0, 'drawn': 22.0, 'calls': 2}
    """
    drawn = np.reshape(samples["drawn"], (-1, of))[:, :n].sum(1).mean()
    more = 0.0 if checks is None else np.reshape(checks["tokens"], (-1, of))[:, :n].sum(1).mean()
    verdicts = 0 if checks is None else n
    tokens = np.mean(samples["read"]) + drawn + more
    return {"tokens": float(tokens), "drawn": float(drawn + verdicts), "calls": n + verdicts}


def led(net: Frozen, code: Codec, calls: Calls, records: Records, control: Control, seed: int, *full: Said) -> Said:
    """What a controller comes to; and, by the problems' programs, how its verdicts and corrections were.

    "judged": of steps behind right ones P(ok), whether they were accepted, whether they are right; "corrections":
    whether the first rejected step behind right ones was right, and whether the accepted one is; "shares": of steps and
    of whole solutions that were rejected, which a coin takes over from `full`.

    >>> # said = led(Frozen.of(result), code, calls, records, Control(), 0)
    """

    def right(place: int, before: Sequence[str], said: Sequence[str]) -> bool:
        return right_step(records[place], before, said)

    if full:
        control = replace(control, shares=(full[0]["shares"][0], full[0]["shares"][1]))
    states = Solving(net, code, calls, control, seed, right).solve([own["question"] for own in records])
    judged, corrections, steps, wholes = [], [], [], []
    for own in states:
        wholes += own.wholes
        steps += [verdict.valid for _, said, verdict in own.judged if said]
        judged += [[verdict.ok, verdict.valid, right(own.place, before, said)] for before, said, verdict in own.judged
                   if said and right(own.place, before, ())]  # fmt: skip
        corrections += [[right(own.place, before, said) for said in both] for before, *both in own.corrections
                        if right(own.place, before, ())]  # fmt: skip
    shares = [float(np.mean([not valid for valid in own])) if own else 0.0 for own in (steps, wholes)]
    counts = {name: [own.tally.numbers()[name] for own in states] for name in ("calls", "drawn", "tokens")}
    found = {"answer": [own.answer for own in states], "judged": judged, "corrections": corrections, "shares": shares}
    return found | counts


def validated(judged: Sequence[Sequence[Any]]) -> dict[str, float]:
    """How verdicts on steps were, of `led`'s "judged"; NaN for what there was none of.

    "AUC" of P(ok), of those that were asked for; shares of "right steps", of "right ones accepted" and "wrong ones
    accepted", by all checks together.

    >>> validated([[0.9, True, True], [0.2, False, False], [0.5, False, True], [0.6, True, False]])["AUC"]
    0.75
    """
    valid, right = (np.array([own[k] for own in judged], bool) for k in (1, 2))

    def share(of: Any) -> float:
        return float(np.mean(of)) if len(of) else float("nan")

    good, bad = (
        np.array([own[0] for own in judged if own[0] is not None and own[2] is side]) for side in (True, False)
    )
    wins = (good[:, None] > bad) + 0.5 * (good[:, None] == bad)
    rates = {"right ones accepted": share(valid[right]), "wrong ones accepted": share(valid[~right])}
    return {"AUC": share(wins.ravel()), "right steps": share(right), **rates}
