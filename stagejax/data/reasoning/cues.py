"""Sentences that ask for a way of solving a problem, each in many wordings, some of which are kept for tests."""

from __future__ import annotations

import functools
import hashlib
import itertools
from dataclasses import dataclass


@dataclass(frozen=True)
class Cue:
    """All wordings that take one of the alternatives at each place; one of `every` is kept for tests, by its hash.

    Args:
      places: alternatives at each place, of one word or of several.
      every: about one wording of so many is kept for tests.

    >>> cue = Cue((("think", "reason"), ("step by step .", "in steps .")), every=2)
    >>> cue.known, cue.unseen
    (('think step by step .', 'reason step by step .'), ('think in steps .', 'reason in steps .'))
    """

    places: tuple[tuple[str, ...], ...]
    every: int = 4

    @property
    def known(self) -> tuple[str, ...]:
        """Wordings to train with."""
        return _split(self)[0]

    @property
    def unseen(self) -> tuple[str, ...]:
        """Wordings to test with; each of their words is in one of the known."""
        return _split(self)[1]

    def words(self) -> set[str]:
        """All words."""
        return {word for place in self.places for text in place for word in text.split()}


@functools.cache
def _split(cue: Cue) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The wordings to train with, and those to test with."""
    texts = [" ".join(own) for own in itertools.product(*cue.places)]
    kept = [hashlib.sha256(text.encode()).digest()[0] % cue.every == 0 for text in texts]
    known, unseen = (tuple(itertools.compress(texts, [own is side for own in kept])) for side in (False, True))
    return known, unseen


DIRECT, CHAIN, PLANNED, CAREFUL, PROGRAM = "direct", "chain", "plan", "careful plan", "program"
_WE, _STEPS = ("let us", "please"), ("step by step .", "one step at a time .", "in small steps .")
_PLAN = ("devise a plan", "make a plan", "write a plan")
_OUT = ("and carry it out", "then carry it out", "and solve it")
#: What asks for each way; that for a careful plan has the words of that for a plan, and more.
CUES = {
    DIRECT: Cue((_WE, ("just say", "only give", "give"), ("the result", "the answer"), ("at once .", "directly ."))),
    CHAIN: Cue((_WE, ("think", "reason", "go"), _STEPS), every=3),
    PLANNED: Cue((_WE, _PLAN, _OUT, _STEPS)),
    CAREFUL: Cue((_WE, ("extract", "list", "note"), ("the variables",), _PLAN, _OUT, ("with care .", "carefully ."))),
    PROGRAM: Cue((_WE, ("write", "make"), ("a program", "code"), ("for it .", "to run ."))),
}
#: What is said before an answer.
CONCLUSION = Cue((("so", "therefore", "thus", "hence"), ("the answer", "the result", "it"), ("is",)))
