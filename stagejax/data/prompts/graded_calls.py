"""Responses held against the gold one, and how good they are: what a language model learns to judge by."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from stagejax.data.pipeline import joint_digest
from stagejax.data.prompts.tool_calls import GOLD, GRADE, GRADES, NONE, SAID
from stagejax.data.sources import Derived, Record

#: Behind these words a response may be cut.
CUTS = (".", ",", "=", "(")


def pieces(text: str) -> list[str]:
    """A response in pieces, each up to a separator.

    >>> pieces("[ book hotel ( town = rome ) ]")
    ['[ book hotel (', 'town =', 'rome ) ]']
    """
    return [piece.strip() for piece in re.findall(r"(?:\S+ )*?(?:[.,=(](?= |$)|\S+$)", text)]


def graded(said: str, gold: str) -> int:
    """The grade of a response or of its beginning, 0 to 3 of `GRADES`, by pieces that are not those of the gold one.

    0 without a wrong piece, 1 with one, 2 with more; 3 where the first is wrong: another tool, or none instead of one.
    A last piece that is the beginning of the gold one is right; one that is lacking is wrong where the response is at
    its end. An empty beginning is the worst.

    >>> gold = "[ book hotel ( town = rome , day = friday ) ]"
    >>> graded(gold, gold), graded("[ book hotel ( town =", gold), graded(gold.replace("rome", "oslo"), gold)
    (0, 0, 1)
    >>> graded("[ book hotel ( day = friday ) ]", gold), graded("[ find hotel ( town = rome", gold), graded("", gold)
    (2, 3, 3)
    """
    own, wanted, ended = pieces(said), pieces(gold), said.endswith(("]", "."))
    if own and len(own) <= len(wanted) and not ended and wanted[len(own) - 1].startswith(f"{own[-1]} "):
        own[-1] = wanted[len(own) - 1]
    if not own or own[0] != wanted[0]:
        return 3
    wrong = sum(a != b for a, b in zip(own, wanted, strict=False))
    lacking = len(wanted) - len(own)
    return min(wrong + (abs(lacking) if ended else max(-lacking, 0)), 2)


@dataclass(frozen=True)
class GradedCalls(Derived):
    """Examples of judging: a gold response, one to be judged, and its grade; each of the four is drawn as often.

    The one to be judged is the gold one, or has one or several pieces of other responses of the source, or begins with
    a piece of another one; half of them are cut behind a piece. The grade is that of `graded`. Records hold "question"
    and "solution".

    Args:
      source: records with a "solution", such as `ToolCalls`.
      seed: of the draws.

    >>> from stagejax.data.prompts.tool_calls import ToolCalls
    >>> record = GradedCalls(ToolCalls(size=40, level=0))[2]
    >>> record["question"]
    'right [ cancel talk ( guest = eve , city = paris ) ] said [ rate job ( guest = eve , city = paris ) ] grade'
    >>> record["solution"]
    'poor'
    """

    seed: int = 0

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Record:
        rng = np.random.default_rng((self.seed, index))
        gold, wanted = self.source[index]["solution"], int(rng.integers(len(GRADES)))
        said = gold
        for _ in range(20):
            said = _changed(self, gold, wanted, rng)
            if graded(said, gold) == wanted:
                break
        return {"question": judging_prompt(said, gold), "solution": GRADES[graded(said, gold)]}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), str(self.seed))


def judging_prompt(said: str, gold: str) -> str:
    """How a judgement is asked for.

    >>> judging_prompt("[ f (", "no tool fits .")
    'right no tool fits . said [ f ( grade'
    """
    return " ".join(f"{GOLD} {gold} {SAID} {said} {GRADE}".split())


def _changed(examples: GradedCalls, gold: str, grade: int, rng: np.random.Generator) -> str:
    """The gold response, made worse by pieces of others as a grade wants it."""
    own, size = pieces(gold), len(examples.source)

    def other(like: str) -> str:
        for _ in range(20):
            drawn = pieces(examples.source[int(rng.integers(size))]["solution"])
            fit = [piece for piece in drawn[1:] if piece.split()[-1] == like.split()[-1] and piece != like]
            if fit:
                return fit[int(rng.integers(len(fit)))]
        return like

    if grade == 3:
        first = pieces(examples.source[int(rng.integers(size))]["solution"])
        own = first if own[0] == NONE or rng.integers(2) else [first[0], *own[1:]]
    else:
        for place in (1 + rng.permutation(len(own) - 1)[: (0, 1, int(rng.integers(2, 4)))[grade]]).tolist():
            own[place] = other(own[place])
    if rng.integers(2):
        own = own[: int(rng.integers(1, len(own) + 1))]
    return " ".join(own)
