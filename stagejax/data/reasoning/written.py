"""Word problems with solutions as a strong model writes them, each in its own way; and as text without solutions."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from stagejax.data.order import random_words, uniforms
from stagejax.data.pipeline import joint_digest
from stagejax.data.reasoning.problems import ITEMS, NAMES, Problems, Wording, applied
from stagejax.data.sources import Record, Source
from stagejax.data.vocabulary.words import Words

#: `Problems` in few words, so that prompt and answer fit into 48 tokens; and the same told otherwise, to test transfer.
BRIEF = Wording(
    "{name} has {n} .",
    (
        ("+", "finds {n} ."),
        ("+", "gets {n} ."),
        ("-", "loses {n} ."),
        ("-", "gives {n} ."),
        ("*", "times {n} ."),
        ("/", "splits in {n} ."),
    ),
    ("{friend} owns {n} {item} .", "{friend} is {n} ."),
    "how many ?",
)
BAGGED = Wording(
    "bag holds {n} .",
    (("+", "in go {n} ."), ("-", "out go {n} ."), ("*", "now {n} times ."), ("/", "parted in {n} .")),
    BRIEF.asides,
    "what remains ?",
)


def words_of(wordings: tuple[Wording, ...], largest: int) -> Words:
    """One token a word of problems in these wordings and of their solutions; the numbers 0, 1, ... stand in order.

    >>> code = words_of((BRIEF, BAGGED), 12)
    >>> code.decode(code.encode(["ann has 7 . loses 2 . how many ? 7 - 2 = 5 ; ans 5"])[0])
    'ann has 7 . loses 2 . how many ? 7 - 2 = 5 ; ans 5'
    """
    told = [s for w in wordings for s in (w.start, *(s for _, s in w.clauses), *w.asides, w.question)]
    words = {word for s in told for word in s.split() if not word.startswith("{")}
    return Words((*sorted(words | {*NAMES, *ITEMS, "ans", *";=+-*/"}), *map(str, range(largest + 1))))


#: The sentence that invites a detour: its number changes nothing.
_OWNED = re.compile(r"[a-z]+ owns (\d+) [a-z]+")


@dataclass(frozen=True)
class Written(Source):
    """`Problems` whose sums and products stand in either order, and of which some take a spurious, harmless detour.

    A detour adds the number that a friend owns where the problem speaks of it, and takes it away again (or the other
    way round, where the sum would be too large). Every step is right arithmetic and so is the answer; but the two steps
    have no reason in the question, and come with one wording alone: what a learner takes over from it is a spurious
    correlation. Records are those of the problems, with another "solution", and "detour", 1 where it takes one.

    Args:
      problems: with asides, some of which speak of what a friend owns.
      detours: share of the problems with such an aside whose solution takes a detour, where the numbers allow one.

    Raises:
      ValueError: the share is not between 0 and 1.

    >>> record = Written(Problems(steps=(1,), asides=1), detours=1.0)[6]
    >>> record["question"]
    'finn has 4 eggs . now finn makes it 2 times as many . ann owns 14 eggs . how many does finn have ?'
    >>> record["solution"], record["detour"]
    ('2 * 4 = 8 ; 8 + 14 = 22 ; 22 - 14 = 8 ; ans 8', 1)
    """

    problems: Problems
    detours: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.detours <= 1:
            raise ValueError(f"detours={self.detours} is a share: it must be between 0 and 1")

    @property
    def split(self) -> str:  # type: ignore[override]
        return self.problems.split

    def of_split(self, split: str) -> Source:
        return replace(self, problems=self.problems.of_split(split))

    def __len__(self) -> int:
        return len(self.problems)

    def __getitem__(self, index: int) -> Record:
        record, draw = self.problems[index], random_words(self.problems.seed + 5, np.array([index]), 64)[0]
        *steps, last = record["solution"].split(" ; ")
        wanted = float(uniforms(draw)[0]) < self.detours
        way = self._detour(record["question"], steps) if wanted else None
        if way is not None:
            place, detour = way
            steps[place:place] = detour
        told = [
            turned(step) if int(word >> np.uint64(63)) else step for step, word in zip(steps, draw[1:], strict=False)
        ]
        return {**record, "solution": " ; ".join([*told, last]), "detour": int(way is not None)}

    def digest(self) -> str:
        return joint_digest(self.problems.digest(), str(self.detours))

    def _detour(self, question: str, steps: list[str]) -> tuple[int, tuple[str, str]] | None:
        """Before which step, and the two steps there and back."""
        for place, sentence in enumerate(question.split(" . ")[1:-1]):
            found = _OWNED.fullmatch(sentence)
            if not found:
                continue
            value, n = int(steps[place].split()[0] if place < len(steps) else steps[-1].split()[-1]), int(found[1])
            for there, back, other in (("+", "-", value + n), ("-", "+", value - n)):
                if 0 <= other <= self.problems.largest:
                    return place, (f"{value} {there} {n} = {other}", f"{other} {back} {n} = {value}")
        return None


@dataclass(frozen=True)
class Reading(Source):
    """Text about problems without their solutions: each problem told twice, and behind it some arithmetic.

    What a learner can take from it are the words, how to copy, and single facts; never which fact a problem needs.

    Args:
      problems: of these two records each: "text" is one twice, or facts with numbers up to their largest.
      facts: in a text, at most.

    >>> text = Reading(Problems(steps=(1,)), facts=3)
    >>> text[2]["text"].count("how many"), text[3]["text"]
    (2, '21 / 3 = 7 ; 7 - 1 = 6 ; 15 / 3 = 5')
    """

    problems: Problems
    facts: int = 6
    split: str = "train"

    def __len__(self) -> int:
        return 2 * len(self.problems)

    def __getitem__(self, index: int) -> dict[str, str]:
        place, odd = divmod(index, 2)
        if not odd:
            return {"text": " ".join([self.problems[place]["question"]] * 2)}
        largest, found = self.problems.largest, []
        for word in random_words(self.problems.seed + 9, np.array([place]), 16 * self.facts)[0] >> np.uint64(8):
            a, b, c = (int(word) // largest**k % largest + 1 for k in range(3))
            sign = "+-*/"[int(word) // largest**3 % 4]
            b = 2 + b % 2 if sign in "*/" else b
            a = a * b if sign == "/" else a
            a, b = (b, a) if sign == "*" and c % 2 else (a, b)
            if a <= largest and 0 <= applied(a, sign, b) <= largest:
                found.append(f"{a} {sign} {b} = {applied(a, sign, b)}")
        return {"text": " ; ".join(found[: self.facts])}

    def digest(self) -> str:
        return joint_digest(self.problems.digest(), str(self.facts))


def turned(step: str) -> str:
    """A sum or a product with its operands exchanged; another step as it is.

    >>> turned("7 + 5 = 12"), turned("7 - 5 = 2")
    ('5 + 7 = 12', '7 - 5 = 2')
    """
    a, sign, b, *rest = step.split()
    return " ".join([b, sign, a, *rest]) if sign in "+*" else step
