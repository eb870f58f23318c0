"""Sums and list programs in running text: what a model may know of them before it has seen how answers are written."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from stagejax.data.pipeline import joint_digest
from stagejax.data.reasoning.list_programs import VERBS, ListPrograms
from stagejax.data.reasoning.problems import Problems, applied
from stagejax.data.sources import Derived, Record, Source

_SUMS = {
    "+": "{a} plus {n} makes {c} .",
    "-": "{a} less {n} leaves {c} .",
    "*": "{n} times {a} makes {c} .",
    "/": "{a} parted in {n} gives {c} .",
}


@dataclass(frozen=True)
class _Drawn(Source):
    """Documents of `group` sentences that are drawn each by itself."""

    documents: int
    group: int = 4
    seed: int = 0
    split: str = "train"

    def __len__(self) -> int:
        return self.documents

    def __getitem__(self, index: int) -> Record:
        places = range(len(self))[index] * self.group + np.arange(self.group)
        return {"title": "", "text": " ".join(self.sentence(np.random.default_rng([self.seed, p])) for p in places)}

    def sentence(self, draw: np.random.Generator) -> str:
        raise NotImplementedError

    def digest(self) -> str:
        return joint_digest(repr(self), self[0]["text"])


@dataclass(frozen=True)
class SumProse(_Drawn):
    """Sums, differences, products and parts in words, all numbers from 0 to `largest`: {"title": "", "text"}.

    >>> SumProse(documents=2, group=3)[0]["text"]
    '3 plus 1 makes 4 . 4 plus 2 makes 6 . 6 parted in 2 gives 3 .'
    """

    largest: int = 20

    def sentence(self, draw: np.random.Generator) -> str:
        while True:
            sign = "+-*/"[draw.integers(4)]
            n = int(draw.integers(1, self.largest + 1) if sign in "+-" else draw.integers(2, 4))
            a = int(draw.integers(self.largest + 1))
            c = applied(a, sign, n)
            if 0 <= c <= self.largest and (sign != "/" or a % n == 0):
                return _SUMS[sign].format(a=a, n=n, c=c)


@dataclass(frozen=True)
class StoryProse(_Drawn):
    """Problems that are told and not asked: their sentences without the question, and without an answer.

    >>> from stagejax.data.reasoning.written import BRIEF
    >>> StoryProse(documents=1, group=1, problems=Problems(wording=BRIEF))[0]["text"]
    'dan has 4 . splits in 2 . times 2 .'
    """

    problems: Problems = field(default_factory=Problems)

    def sentence(self, draw: np.random.Generator) -> str:
        told = self.problems[int(draw.integers(len(self.problems)))]["question"]
        return told.removesuffix(" ?").rpartition(" . ")[0] + " ."


@dataclass(frozen=True)
class CodeProse(_Drawn):
    """Programs as they stand, and what their statements are called: {"title": "", "text"}.

    >>> CodeProse(documents=1, group=2)[0]["text"]
    'even ; skip 2 . first 2 ; count .'
    """

    programs: ListPrograms = field(default_factory=ListPrograms)

    def sentence(self, draw: np.random.Generator) -> str:
        if draw.integers(2):
            return self.programs[int(draw.integers(len(self.programs)))]["solution"] + " ."
        verb = [*VERBS][draw.integers(len(VERBS))]
        own = VERBS[verb]
        n = None if own.number is None else int(draw.integers(own.number[0], own.number[1] + 1))
        called = own.asked[draw.integers(len(own.asked))].format(n=n)
        return f"to {called} there is {verb if n is None else f'{verb} {n}'} ."


@dataclass(frozen=True)
class Delimited(Derived):
    """Records of `ListPrograms`, whose solutions stand between "code :" and "; end".

    >>> Delimited(ListPrograms())[3]["solution"]
    'code : reverse ; unique ; end'
    """

    def __getitem__(self, index: int) -> Record:
        record = self.source[index]
        return {**record, "solution": f"code : {record['solution']} ; end"}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "delimited")


def words(largest: int) -> tuple[str, ...]:
    """All words of these sources, and those of the requests of `ListPrograms`, each once."""
    sums = {word for way in _SUMS.values() for word in way.split() if not word.startswith("{")}
    phrases = {word for own in VERBS.values() for way in own.asked for word in way.split() if word != "{n}"}
    fixed = {
        "to",
        "there",
        "is",
        ".",
        ";",
        "take",
        "a",
        "list",
        "word",
        ":",
        ",",
        "then",
        "after",
        "you",
        "code",
        "end",
    }
    return (*sorted(sums | phrases | {*VERBS} | fixed), *map(str, range(largest + 1)))
