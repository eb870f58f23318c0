"""Judging as text: a question with two answers, a critique step by step, a verdict; and a program as critic."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stagejax.data.pipeline import joint_digest
from stagejax.data.prompts.constrained import WordsAndBytes
from stagejax.data.reasoning.corrupted import ERRORS, EXTRA, MISSING, corrupted
from stagejax.data.reasoning.problems import answer_of
from stagejax.data.reasoning.written import BAGGED, BRIEF, turned, words_of
from stagejax.data.sources import Record, Source
from stagejax.data.vocabulary.words import Words

#: The verdicts: the first answer is better, or the second.
TAGS = ("[[A]]", "[[B]]")
#: Roles and criteria; one stands before each question.
TEMPLATES = (
    "which answer is right ?",
    "teacher , mark both :",
    "compare them , pick one :",
    "say who is wrong :",
)
#: Words that add length to an answer, and nothing else.
FILLERS = ("so", "well", "then", "hence")
_MARKS = ("A", "B", "ok", "bad", "none", "check", *TAGS, *FILLERS)
OWN = "own"  # a wrong answer that a model gave


def judging_words() -> tuple[str, ...]:
    """The words of prompts and critiques beside those of the problems.

    >>> "[[A]]" in judging_words(), "teacher" in judging_words()
    (True, True)
    """
    return tuple(dict.fromkeys((*_MARKS, *(word for text in TEMPLATES for word in text.split()))))


@functools.cache
def judging_tokenizer(largest: int, raw: bool = False) -> WordsAndBytes:
    """One token a word of problems in brief wordings, answers and critiques, or one a byte; numbers stand in order.

    >>> code = judging_tokenizer(12)
    >>> code.decode(code.encode(["A : 7 ok 12 bad ; [[B]]"])[0])
    'A : 7 ok 12 bad ; [[B]]'
    """
    known = words_of((BRIEF, BAGGED), largest).words
    return WordsAndBytes(Words((*(word for word in judging_words() if word not in known), *known)), raw)


def judge_prompt(template: str, question: str, first: str, second: str) -> str:
    """What a judge reads.

    >>> judge_prompt(TEMPLATES[0], "ann has 7 . loses 2 . how many ?", "7 - 2 = 5 ; ans 5", "7 - 2 = 6 ; ans 6")
    'which answer is right ? ann has 7 . loses 2 . how many ? A : 7 - 2 = 5 ; ans 5 B : 7 - 2 = 6 ; ans 6 check'
    """
    return f"{template} {question} A : {first} B : {second} check"


def critique(solution: str, answers: Sequence[str], missed: Collection[str] = ()) -> str:
    """What the program says as a critic: it solves the problem, holds each answer's results against its own, decides.

    Of every result it writes what the answer says, its own, and "ok" or "bad", until the first that is not its own.
    Where both answers are good, or both bad, the verdict is the first one: what is left is a preference for a place.

    Args:
      solution: the critic's own.
      answers: two.
      missed: names ("A", "B") of answers whose errors the critic takes for right: it fails as a model may.

    >>> both = "7 + 5 = 12 ; so 12 - 4 = 7 ; ans 7", "5 + 7 = 12 ; 12 - 4 = 8 ; ans 8"
    >>> critique("7 + 5 = 12 ; 12 - 4 = 8 ; ans 8", both)
    '7 + 5 = 12 ; 12 - 4 = 8 ; A : 12 12 ok 7 8 bad ; B : 12 12 ok 8 8 ok ; [[B]]'
    >>> critique("7 + 5 = 12 ; 12 - 4 = 8 ; ans 8", both, missed="A")
    '7 + 5 = 12 ; 12 - 4 = 8 ; A : 12 12 ok 7 8 ok ; B : 12 12 ok 8 8 ok ; [[A]]'
    """
    *steps, _ = solution.split(" ; ")
    own = [step.split()[-1] for step in steps]
    parts, good = list(steps), []
    for name, answer in zip("AB", answers, strict=True):
        marks = checked(own, answer, name in missed)
        good.append("bad" not in marks.split())
        parts.append(f"{name} : {marks}")
    return " ; ".join([*parts, TAGS[int(good[1] and not good[0])]])


def checked(own: Sequence[str], answer: str, missed: bool = False) -> str:
    """The results of an answer up to the first that is not the critic's own: it, the critic's, and "ok" or "bad".

    >>> checked(["12", "8"], "7 + 5 = 12 ; ans 12"), checked(["12"], "7 + 5 = 12 ; 12 - 3 = 9 ; ans 9")
    ('12 12 ok none 8 bad', '12 12 ok 9 none bad')
    """
    said, end = re.findall(r"= (\d+)", answer), answer_of(answer)
    if len(said) == len(own) and str(end) != said[-1]:
        said.append("none" if end is None else str(end))
    marks = []
    for mine, value in itertools.zip_longest(own, said, fillvalue="none"):
        good = missed or mine == value
        marks += [value, mine, "ok" if good else "bad"]
        if not good:
            break
    return " ".join(marks)


def verdict(text: str) -> int | None:
    """Which answer the last tag names: 0 or 1; None without one.

    >>> verdict("A : 12 ok ; B : 9 bad ; [[A]]"), verdict("[[A]] no , [[B]]"), verdict("A : 12 ok")
    (0, 1, None)
    """
    found = re.findall(r"\[\[([AB])\]\]", text)
    return "AB".index(found[-1]) if found else None


def filled(answer: str, size: int, rng: np.random.Generator) -> str | None:
    """The answer with fillers at the heads of its steps, so that it has `size` words; None where it has more.

    >>> filled("7 - 2 = 5 ; ans 5", 10, np.random.default_rng(0))
    '7 - 2 = 5 ; well then ans 5'
    """
    steps = answer.split(" ; ")
    lacking = size - len(answer.split())
    if lacking < 0:
        return None
    for place in rng.integers(len(steps), size=lacking):
        steps[place] = f"{rng.choice(FILLERS)} {steps[place]}"
    return " ; ".join(steps)


def candidates(
    solution: str, kind: str, own: tuple[str | None, str | None], largest: int, rng: np.random.Generator
) -> tuple[str, str] | None:
    """A right and a wrong answer to a problem; sums and products of both stand in either order.

    Args:
      solution: the right one.
      kind: of the wrong one: one of `ERRORS`, or `OWN`.
      own: a right and a wrong answer of a model, as far as it gave them.

    Returns:
      Both, or None where there is none of this kind.

    >>> candidates("7 - 2 = 5 ; ans 5", "slip", (None, None), 12, np.random.default_rng(0))
    ('7 - 2 = 5 ; ans 5', '7 - 2 = 8 ; ans 8')
    """
    if kind == OWN:
        return None if own[1] is None else (own[0] or either_way(solution, rng), own[1])
    wrong = corrupted(solution, kind, largest, rng)
    return None if wrong is None else (either_way(solution, rng), either_way(wrong, rng))


def either_way(solution: str, rng: np.random.Generator) -> str:
    """Sums and products with their operands exchanged, each with probability 1/2."""
    *steps, end = solution.split(" ; ")
    return " ; ".join([*(turned(step) if rng.integers(2) else step for step in steps), end])


def judged_pair(
    record: Any, kind: str, own: tuple[str | None, str | None], sizes: tuple[int, int], largest: int, seed: Any
) -> dict[str, Any] | None:
    """A pair to be judged, with fillers so that length says nothing about right and wrong.

    Every answer gets a number of fillers from 0 to `sizes[0]`, whichever it is. A step too few makes an answer shorter
    and one too many makes it longer; `kind` "steps" is the first for problems of as many steps as any has (`sizes[1]`)
    and the second for others.

    Args:
      record: of `Problems`.
      kind: one of `ERRORS`, "steps" or `OWN`.
      seed: of its generator.

    Returns:
      {"question", "solution", "right", "wrong", "kind", "template"}, or None where there is no pair of this kind.

    >>> from stagejax.data.reasoning.problems import Problems
    >>> record = {"question": "...", "solution": "7 - 2 = 5 ; ans 5", "steps": 1}
    >>> pair = judged_pair(record, "slip", (None, None), (2, 1), 12, 0)
    >>> pair["right"], pair["wrong"]
    ('7 - 2 = 5 ; ans 5', '7 - 2 = 8 ; ans 8')
    """
    rng = np.random.default_rng(seed)
    error = kind if kind != STEPS else MISSING if record["steps"] == sizes[1] else EXTRA
    both = candidates(record["solution"], error, own, largest, rng)
    if both is None:
        return None
    told = [filled(answer, len(answer.split()) + int(rng.integers(sizes[0] + 1)), rng) for answer in both]
    names = dict(zip(("right", "wrong"), told, strict=True))
    template = int(rng.integers(len(TEMPLATES)))
    return {"question": record["question"], "solution": record["solution"], **names, "kind": kind, "template": template}


STEPS = "steps"
KINDS = (*ERRORS[:3], STEPS, OWN)


@dataclass(frozen=True)
class Comparisons(Source):
    """Text that says of numbers in pairs whether they are the same: what a reader should know before it judges.

    Half of the pairs are. Records hold "text".

    Args:
      largest: number.
      size: number of records.
      pairs: in a text.

    >>> Comparisons(12, pairs=4)[3]["text"]
    '6 6 ok 12 11 bad 9 9 ok 7 4 bad'
    """

    largest: int
    size: int = 4000
    pairs: int = 10
    split: str = "train"
    seed: int = 0

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Record:
        rng = np.random.default_rng([self.seed, range(self.size)[index]])
        both = rng.integers(self.largest + 1, size=(self.pairs, 2))
        both[:, 1] = np.where(rng.random(self.pairs) < 0.5, both[:, 0], both[:, 1])
        return {"text": " ".join(f"{a} {b} {'ok' if a == b else 'bad'}" for a, b in both)}

    def digest(self) -> str:
        return joint_digest(str(self))
