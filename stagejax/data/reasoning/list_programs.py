"""A small language of programs over lists and words: what each is asked for in, how it runs, and what judges it.

A program is statements parted by " ; ", each a verb with a number or without, applied to what the one before it made.
It is read by an interpreter of its own; nothing of it reaches Python's `eval`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from stagejax.data.order import random_words
from stagejax.data.pipeline import joint_digest
from stagejax.data.reasoning.problems import held_out
from stagejax.data.sources import Record, Source

Value = tuple[int, ...] | str | int
#: An input and what the program makes of it.
Case = tuple[Value, Value]

LIST, WORD, INT = "list", "word", "int"
VOWELS = "aeiou"


class NoProgram(ValueError):
    """A text that is no program, or one that cannot run on its input."""


class Verb(NamedTuple):
    """One operation."""

    takes: str
    gives: str
    run: Callable[..., Value]
    asked: tuple[str, ...]  # how it is asked for; {n} is its number
    number: tuple[int, int] | None = None  # the smallest and the largest one


VERBS: dict[str, Verb] = {
    "sort": Verb(LIST, LIST, lambda x: tuple(sorted(x)), ("sort the list", "put it in order")),
    "reverse": Verb(LIST, LIST, lambda x: x[::-1], ("reverse the list", "turn it around")),
    "add": Verb(LIST, LIST, lambda x, n: tuple(v + n for v in x), ("add {n} to each", "raise each by {n}"), (1, 9)),
    "times": Verb(LIST, LIST, lambda x, n: tuple(v * n for v in x), ("make each {n} times as large",), (2, 4)),
    "even": Verb(LIST, LIST, lambda x: tuple(v for v in x if v % 2 == 0), ("keep the even ones", "lose the odd ones")),
    "odd": Verb(LIST, LIST, lambda x: tuple(v for v in x if v % 2), ("keep the odd ones", "lose the even ones")),
    "above": Verb(LIST, LIST, lambda x, n: tuple(v for v in x if v > n), ("keep what is more than {n}",), (2, 9)),
    "first": Verb(LIST, LIST, lambda x, n: x[:n], ("keep the first {n}",), (2, 4)),
    "skip": Verb(LIST, LIST, lambda x, n: x[n:], ("lose the first {n}", "leave out the first {n}"), (1, 3)),
    "unique": Verb(LIST, LIST, lambda x: tuple(dict.fromkeys(x)), ("keep each number once",)),
    "sum": Verb(LIST, INT, sum, ("give the sum", "find the total")),
    "largest": Verb(LIST, INT, lambda x: max(x, default=0), ("give the largest", "find the maximum")),
    "smallest": Verb(LIST, INT, lambda x: min(x, default=0), ("give the smallest", "find the minimum")),
    "count": Verb(LIST, INT, len, ("count them", "find how many there are")),
    "mirror": Verb(WORD, WORD, lambda x: x[::-1], ("spell it backwards", "mirror the word")),
    "upper": Verb(WORD, WORD, str.upper, ("use capital letters",)),
    "twice": Verb(WORD, WORD, lambda x: x + x, ("write it twice", "repeat the word")),
    "head": Verb(WORD, WORD, lambda x, n: x[:n], ("keep the first {n} letters",), (2, 4)),
    "tail": Verb(WORD, WORD, lambda x, n: x[n:], ("drop the first {n} letters",), (1, 3)),
    "novowels": Verb(WORD, WORD, lambda x: "".join(c for c in x if c.lower() not in VOWELS), ("drop the vowels",)),
    "length": Verb(WORD, INT, len, ("give its length", "count the letters")),
    "vowels": Verb(WORD, INT, lambda x: sum(c.lower() in VOWELS for c in x), ("count the vowels",)),
}
_ATTEMPTS = 1000


@functools.lru_cache(maxsize=1 << 14)
def parsed(program: str) -> tuple[tuple[str, int | None], ...]:
    """Verbs with their numbers.

    Raises:
      NoProgram: a statement is none.

    >>> parsed("sort ; add 3 ; sum")
    (('sort', None), ('add', 3), ('sum', None))
    """
    found = []
    for statement in program.split(";"):
        verb, *rest = statement.split() or [""]
        wanted = 0 if verb not in VERBS or VERBS[verb].number is None else 1
        if (
            verb not in VERBS
            or len(rest) != wanted
            or not all(n.isascii() and n.isdigit() and len(n) < 4 for n in rest)
        ):
            raise NoProgram(f"{statement.strip()!r} is no statement")
        found.append((verb, int(rest[0]) if rest else None))
    if len(found) > 8:
        raise NoProgram(f"{len(found)} statements, more than 8")
    return tuple(found)


def kind_of(value: Value) -> str:
    """LIST, WORD or INT."""
    return LIST if isinstance(value, tuple) else WORD if isinstance(value, str) else INT


def run(program: str, value: Value) -> Value:
    """What a program makes of a list of integers or a word.

    Raises:
      NoProgram: it is none, or a statement does not take what the one before it gives.

    >>> run("sort ; add 3 ; first 2", (5, 1, 4)), run("mirror ; upper", "figs"), run("even ; sum", (1, 2, 4))
    ((4, 7), 'SGIF', 6)
    """
    for verb, n in parsed(program):
        own = VERBS[verb]
        if kind_of(value) != own.takes:
            raise NoProgram(f"{verb!r} takes a {own.takes}, not {value!r}")
        value = own.run(value) if n is None else own.run(value, n)
    return value


def passes(program: str, cases: Sequence[Case]) -> bool:
    """Whether a program runs, and makes of every input what it should: another program than the reference may.

    >>> cases = (((5, 1, 4), 5), ((2, 2), 2))
    >>> [passes(program, cases) for program in ("largest", "sort ; reverse ; first 1 ; sum", "sum", "5")]
    [True, True, False, False]
    """
    try:
        return all(run(program, given) == wanted for given, wanted in cases)
    except NoProgram:
        return False


@dataclass(frozen=True)
class ListPrograms(Source):
    """Programs that are asked for in words, in the order in which they run or from the last statement back.

    Records hold "question", "solution" (the reference program), "kind" ("list" or "word"), and "cases": three inputs
    with what the reference makes of them, which no prompt shows. A program belongs to the train or to the test split by
    its hash, so no test program was trained on. Every statement of a reference matters: without it some case comes out
    otherwise.

    Args:
      split: "train" or "test".
      size: number of records; they may repeat a program.
      steps: how many statements a program may have, each as often.
      seed: of the draws.

    Reference: after HumanEval (Chen et al. 2021, https://arxiv.org/abs/2107.03374): right is what passes hidden cases.

    >>> record = ListPrograms()[3]
    >>> record["question"]
    'take a list : reverse the list , then keep each number once'
    """

    split: str = "train"
    size: int = 4000
    steps: tuple[int, ...] = (2, 3)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.split not in ("train", "test") or not self.steps or not 1 <= min(self.steps) <= max(self.steps) <= 4:
            raise ValueError(
                f"split={self.split!r}, steps={self.steps}: need split 'train' or 'test', and 1 to 4 steps"
            )

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < self.size:
            raise IndexError(f"record {index} of {self.size}")
        return dict(_record(self, index))

    def digest(self) -> str:
        return joint_digest(str(self), *sorted(VERBS))


Statements = list[tuple[str, int | None]]


@functools.lru_cache(maxsize=1 << 15)
def _record(source: ListPrograms, index: int) -> Record:
    """A record, drawn until its program is of the split and has no statement to spare."""
    for attempt in range(_ATTEMPTS):
        draw = np.random.default_rng(random_words(source.seed, np.array([index * _ATTEMPTS + attempt]), 2)[0])
        verbs = _drawn(draw, source.steps[draw.integers(len(source.steps))])
        program = " ; ".join(verb if n is None else f"{verb} {n}" for verb, n in verbs)
        inputs = [_input(draw, VERBS[verbs[0][0]].takes) for _ in range(3)]
        cases = tuple((given, run(program, given)) for given in inputs)
        if held_out(program) == (source.split == "test") and _needed(verbs, cases):
            return {
                "question": _asked(draw, verbs),
                "solution": program,
                "kind": kind_of(inputs[0]),
                "cases": cases,
            }
    raise ValueError(f"{source}: no program found for record {index}. Give it other `steps`.")


def _drawn(draw: np.random.Generator, steps: int) -> Statements:
    """Statements that fit, of which only the last may give a number."""
    kind, found = (LIST, WORD)[draw.integers(5) // 3], []
    for step in range(steps):
        fit = [name for name, v in VERBS.items() if v.takes == kind and (v.gives == kind or step == steps - 1)]
        verb = fit[draw.integers(len(fit))]
        number = VERBS[verb].number
        found.append((verb, None if number is None else int(draw.integers(number[0], number[1] + 1))))
    return found


def _input(draw: np.random.Generator, kind: str) -> Value:
    size = int(draw.integers(5, 9))
    if kind == WORD:
        return "".join(VOWELS[draw.integers(5)] if draw.random() < 0.4 else "bcdfglmnprst"[draw.integers(12)]
                       for _ in range(size))  # fmt: skip
    return tuple(draw.integers(0, 15, size).tolist())


def _needed(verbs: Statements, cases: Sequence[Case]) -> bool:
    """Whether no statement can be left out."""
    written = [verb if n is None else f"{verb} {n}" for verb, n in verbs]
    fewer = [" ; ".join(written[:i] + written[i + 1 :]) for i in range(len(written))] if len(written) > 1 else []
    return not any(passes(program, cases) for program in fewer)


def _asked(draw: np.random.Generator, verbs: Statements) -> str:
    """The words of a program."""
    said = [VERBS[verb].asked[draw.integers(len(VERBS[verb].asked))].format(n=n) for verb, n in verbs]
    what = f"take a {VERBS[verbs[0][0]].takes} : "
    return what + (" , then ".join(said) if draw.random() < 0.5 else " , after you ".join(said[::-1]))
