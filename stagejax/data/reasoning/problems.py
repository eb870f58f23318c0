"""Generated arithmetic word problems with worked solutions, and the verifier that solves them by reading them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from stagejax.data.order import random_words
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Record, Source
from stagejax.data.vocabulary.words import Words

NAMES = ("ann", "ben", "cleo", "dan", "eve", "finn")
ITEMS = ("apples", "books", "coins", "dolls", "eggs", "figs")


class Wording(NamedTuple):
    """How a problem is told: sentences with {name}, {friend}, {item} and the number {n}; none of them ambiguous."""

    start: str
    clauses: tuple[tuple[str, str], ...]  # (one of + - * /, sentence)
    asides: tuple[str, ...]  # sentences with a number that changes nothing
    question: str


PLAIN = Wording(
    "{name} has {n} {item} .",
    (
        ("+", "{name} finds {n} more ."),
        ("+", "{friend} gives {name} {n} ."),
        ("-", "{name} loses {n} ."),
        ("-", "{name} gives {n} to {friend} ."),
        ("*", "now {name} makes it {n} times as many ."),
        ("/", "{name} keeps one of {n} equal parts ."),
    ),
    ("{friend} owns {n} {item} .", "{friend} is {n} years old ."),
    "how many does {name} have ?",
)
UNSEEN = Wording(
    "there are {n} {item} in the bag of {name} .",
    (
        ("+", "{n} more are put in ."),
        ("-", "{n} fall out ."),
        ("*", "soon there are {n} times as many ."),
        ("/", "only one of {n} equal parts is left ."),
    ),
    ("the bag of {friend} holds {n} .",),
    "how many are in the bag of {name} ?",
)
SPLITS = ("train", "test", "test/0", "test/1")
_ATTEMPTS = 10_000  # to draw a program of the split whose values stay in their range
_SOLUTION = ("ans", ";", "=", "+", "-", "*", "/")


@dataclass(frozen=True)
class Problems(Source):
    """Word problems about one number that changes several times, and stays a whole number from 0 to `largest`.

    Records hold "question", "solution" (a chain of steps, then the answer), "answer" (an integer), "program" (the
    steps alone) and "steps" (their number). A program belongs to the train or to the test split by its hash, so no test
    problem was trained on, whatever the sizes, seeds and wordings. Nor do the halves of the test split share a program.

    Args:
      split: "train", "test", or "test/0" and "test/1", its halves: such as for choices and for figures.
      size: number of records; they may repeat a program.
      steps: how many operations a problem may have, each as often.
      largest: of all values and of the numbers added.
      asides: how many sentences with numbers that do not matter.
      wording: the sentences; `UNSEEN` ones test transfer from `PLAIN`.
      seed: of the draws.

    >>> record = Problems(steps=(2,))[0]
    >>> record["question"]
    'finn has 11 apples . finn finds 15 more . finn gives 14 to cleo . how many does finn have ?'
    >>> record["solution"], record["program"], record["answer"]
    ('11 + 15 = 26 ; 26 - 14 = 12 ; ans 12', '11 + 15 - 14', 12)
    """

    split: str = "train"
    size: int = 4000
    steps: tuple[int, ...] = (2, 3, 4, 5)
    largest: int = 30
    asides: int = 0
    wording: Wording = PLAIN
    seed: int = 0

    def __post_init__(self) -> None:
        if self.split not in SPLITS or not self.steps or min(self.steps) < 1 or self.largest < 6:
            raise ValueError(
                f"split={self.split!r}, steps={self.steps}, largest={self.largest}: need a split of {SPLITS}, steps of "
                "at least 1, and largest of at least 6"
            )

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < self.size:
            raise IndexError(f"record {index} of {self.size}")
        for attempt in range(_ATTEMPTS):  # one program of five is one of the test split, one of ten of each half
            draw = _draws(self.seed, index, attempt)
            numbers = self._program(draw)
            if numbers is not None and self._owns(program_of(numbers)):
                return self._record(numbers, draw)
        raise ValueError(f"{self}: no problem found for record {index}. Raise `largest`, or lower `steps`.")

    def digest(self) -> str:
        return joint_digest(str(self))

    def tokenizer(self) -> Words:
        """One token a word and a number, for these problems in both wordings and their solutions."""
        return Words(vocabulary(self.largest))

    def told(self, program: list[tuple[str, int]], index: int) -> Record:
        """A program as a record in these words, whoever made it and whatever its split: index draws names and asides.

        >>> Problems().told([("", 8), ("-", 3)], 0)["solution"]
        '8 - 3 = 5 ; ans 5'
        """
        return self._record(program, _draws(self.seed, index, 0))

    def _owns(self, program: str) -> bool:
        if held_out(program) == (self.split == "train"):
            return False
        return self.split in ("train", "test") or _half(program) == self.split[-1]

    def _program(self, draw: Iterator[int]) -> list[tuple[str, int]] | None:
        """Start and operations, or None where a value leaves its range."""
        value = 1 + next(draw) % self.largest
        found, signs = [("", value)], sorted({sign for sign, _ in self.wording.clauses})
        for _ in range(self.steps[next(draw) % len(self.steps)]):
            sign = signs[next(draw) % len(signs)]
            n = 1 + next(draw) % self.largest if sign in "+-" else 2 + next(draw) % 2
            if sign == "/" and value % n:
                return None
            value = applied(value, sign, n)
            if not 0 <= value <= self.largest:
                return None
            found.append((sign, n))
        return found

    def _record(self, numbers: list[tuple[str, int]], draw: Iterator[int]) -> Record:
        names = list(NAMES)
        name = names.pop(next(draw) % len(names))
        item = ITEMS[next(draw) % len(ITEMS)]

        def told(sentence: str, n: int) -> str:
            return sentence.format(name=name, friend=names[next(draw) % len(names)], item=item, n=n)

        middle, value, chain = [], numbers[0][1], []
        for sign, n in numbers[1:]:
            ways = [sentence for own, sentence in self.wording.clauses if own == sign]
            middle.append(told(ways[next(draw) % len(ways)], n))
            after = applied(value, sign, n)
            chain.append(f"{value} {sign} {n} = {after}")
            value = after
        for _ in range(self.asides):
            sentence = self.wording.asides[next(draw) % len(self.wording.asides)]
            middle.insert(next(draw) % (len(middle) + 1), told(sentence, 1 + next(draw) % self.largest))
        parts = [told(self.wording.start, numbers[0][1]), *middle, told(self.wording.question, 0)]
        return {
            "question": " ".join(parts),
            "solution": " ; ".join([*chain, f"ans {value}"]),
            "answer": value,
            "program": program_of(numbers),
            "steps": len(chain),
        }


def _draws(seed: int, index: int, attempt: int) -> Iterator[int]:
    number = np.array([index * _ATTEMPTS + attempt])
    for block in range(1, 64):  # a problem needs one or two
        yield from (random_words(seed, number, 64 * block)[0, -64:] >> 11).tolist()


def applied(value: int, sign: str, n: int) -> int:
    """One operation; a division is one without remainder.

    >>> applied(8, "/", 2)
    4
    """
    return {"+": value + n, "-": value - n, "*": value * n, "/": value // n if n else value}[sign]


def program_of(numbers: list[tuple[str, int]]) -> str:
    """A start and operations, as text that is read from left to right.

    >>> program_of([("", 13), ("+", 3)])
    '13 + 3'
    """
    return " ".join(f"{sign} {n}".strip() for sign, n in numbers)


def held_out(program: str) -> bool:
    """Whether a program belongs to the test split: one of five does, by its hash."""
    return hashlib.sha256(program.encode()).digest()[0] % 5 == 0


def _half(program: str) -> str:
    """By a byte that gives both halves all four operations and as many problems of one step, for numbers up to 12."""
    return str(hashlib.sha256(program.encode()).digest()[4] % 2)


def vocabulary(largest: int) -> tuple[str, ...]:
    """Every word of both wordings and of solutions, and the numbers 0 to `largest`."""
    sentences = [s for w in (PLAIN, UNSEEN) for s in (w.start, *(s for _, s in w.clauses), *w.asides, w.question)]
    words = {word for sentence in sentences for word in sentence.split() if not word.startswith("{")}
    words |= {*NAMES, *ITEMS, *_SOLUTION}
    return (*sorted(words), *map(str, range(largest + 1)))


def solve(question: str) -> int | None:
    """The answer to a problem in `PLAIN` or `UNSEEN` words, found by reading it; None where it is no such problem.

    >>> solve("ann has 7 apples . ben owns 9 apples . ann loses 2 . how many does ann have ?")
    5
    """
    for wording in (PLAIN, UNSEEN):
        sentences = [part.strip() + " ." for part in question.strip().removesuffix("?").split(" . ")]
        begin = _read(wording.start, sentences[0])
        if begin is None:
            continue
        value, name = int(begin["n"]), begin["name"]
        for sentence in sentences[1:-1]:
            clauses = ((sign, _read(clause, sentence)) for sign, clause in wording.clauses)
            found = [(sign, int(got["n"])) for sign, got in clauses if got and got.get("name", name) == name]
            if not found and not any(_read(aside, sentence) for aside in wording.asides):
                return None
            value = applied(value, *found[0]) if found else value
        return value
    return None


def _read(sentence: str, text: str) -> dict[str, str] | None:
    """The names and numbers of a sentence, where `text` is one of that form."""
    pattern = re.escape(sentence)
    for field, kind in (("name", "[a-z]+"), ("friend", "[a-z]+"), ("item", "[a-z]+"), ("n", "[0-9]+")):
        pattern = pattern.replace(re.escape("{" + field + "}"), f"(?P<{field}>{kind})")
    found = re.fullmatch(pattern, text)
    return found.groupdict() if found else None


def answer_of(solution: str) -> int | None:
    """The integer behind the last "ans"; also one written digit by digit. None without one.

    >>> answer_of("7 + 5 = 12 ; ans 12"), answer_of("7 + 5 = 1 2 ; ans 1 2"), answer_of("7 + 5 = 12")
    (12, 12, None)
    """
    found = re.fullmatch(r"\s*(-?[\d ]*\d)\s*", solution.rpartition("ans")[2]) if "ans" in solution else None
    return int(found[1].replace(" ", "")) if found else None


def checked_steps(solution: str) -> list[bool]:
    """For each step "a + b = c" of a solution, whether it is right arithmetic; a step of another form is not.

    >>> checked_steps("7 + 5 = 12 ; 12 - 3 = 8 ; ans 8")
    [True, False]
    """
    found = []
    for step in solution.split(";"):
        if "ans" in step or not step.strip():
            continue
        match = re.fullmatch(r"([\d ]+)([-+*/])([\d ]+)=([-\d ]+)", step.strip())
        ints = [int(match[k].replace(" ", "") or -1) for k in (1, 3, 4)] if match else []
        whole = bool(match) and (match[2] != "/" or (ints[1] > 0 and ints[0] % ints[1] == 0))  # type: ignore[index]
        found.append(whole and applied(ints[0], match[2], ints[1]) == ints[2])  # type: ignore[index]
    return found


@dataclass(frozen=True)
class RightAnswer:
    """The verifier of `Problems`: 1 where the completion's answer is that of the question, which it solves itself.

    Args:
      steps: the steps must be right arithmetic, too.

    >>> right = RightAnswer()
    >>> problem = "ann has 7 apples . ann loses 2 . how many does ann have ?"
    >>> right(problem, "7 - 2 = 5 ; ans 5"), right(problem, "7 - 2 = 6 ; ans 6"), right(problem, "7 - 2 = 5")
    (1.0, 0.0, 0.0)
    """

    steps: bool = False

    def __call__(self, prompt: str, completion: str) -> float:
        answer = answer_of(completion)
        right = answer is not None and answer == solve(prompt)
        return float(right and (not self.steps or all(checked_steps(completion))))
