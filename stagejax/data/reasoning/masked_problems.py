"""Arithmetic word problems with masked numbers: the equation, the reason for it, and a verifier that computes it."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record, Source

#: What an operation on a first and a second operand is called.
SAID = {"+": "add {b} to {a}", "-": "take {b} from {a}", "*": "take {a} times {b}", "/": "share {a} among {b}"}
_PIECES = re.compile(r"\d+(?:\.\d+)?|'s|\w+|[^\w\s]")
_MASK = re.compile(r"number(\d+)")
_BESIDE = 1  # words on each side of a number that a rationale quotes; no marks
_ENDS = (".", "?", ",")


@dataclass(frozen=True)
class MaskedProblems(Derived):
    """Problems with `number0`, `number1`, ... for their numbers, and equations in prefix form over these.

    Records hold "question", "label" (the equation), "rationale" (each number of the equation in its words, then each
    operation as a sentence, innermost first), "numbers" and "answer". Problems of one masked text are one record, and
    those are left out whose equation has a number that the text has not.

    Args:
      source: of the dataset `svamp`, masked with prefix equations or in plain text with infix ones; or `Problems`.
      longest: words of a question at most; longer ones are left out.

    Reference: Patel et al. 2021 (SVAMP), https://arxiv.org/abs/2103.07191, section 4.

    >>> from stagejax.data.reasoning.problems import Problems
    >>> record = MaskedProblems(Problems(size=1, steps=(2,)))[0]
    >>> record["question"]
    'finn has number0 apples . finn finds number1 more . finn gives number2 to cleo . how many does finn have ?'
    >>> record["label"], record["rationale"].split(" ; ")[-2:]
    ('- + number0 number1 number2', ['add number1 to number0', 'take number2 from result'])
    """

    longest: int = 40

    def __len__(self) -> int:
        return len(_read(self.source, self.longest))

    def __getitem__(self, index: int) -> Record:
        return _read(self.source, self.longest)[index]

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"{SAID} {_BESIDE} {self.longest}")


@functools.lru_cache(maxsize=16)
def _read(source: Source, longest: int) -> list[Record]:
    found: dict[str, Record] = {}
    for record in (source[i] for i in range(len(source))):
        question, numbers = masked(record)
        label = _label(record, numbers)
        if label is not None and len(question.split()) <= longest:
            reasons = {"rationale": rationale(question, label), "label": label}
            own = {"question": question, "numbers": numbers, "answer": float(record["answer"])}
            found.setdefault(question, own | reasons)
    return list(found.values())


def masked(record: Record) -> tuple[str, list[float]]:
    """The question in lower case with its numbers masked, and the numbers.

    >>> masked({"question": "Jan's 9 toys cost 4.5. How many?"})
    ("jan 's number0 toys cost number1 . how many ?", [9.0, 4.5])
    """
    if "question_masked" in record:
        return record["question_masked"].lower(), [float(number) for number in record["numbers"]]
    pieces, numbers = _PIECES.findall(record["question"].lower()), []
    for at, piece in enumerate(pieces):
        if piece[0].isdigit():
            pieces[at] = f"number{len(numbers)}"
            numbers.append(float(piece))
    return " ".join(pieces), numbers


def _label(record: Record, numbers: list[float]) -> str | None:
    """The equation in prefix form over masks; None where a number of it is not in the text."""
    if "question_masked" in record:
        words = record["equation"].split()
        return " ".join(words) if all(word in SAID or word.startswith("number") for word in words) else None
    words, free = prefix(record.get("equation") or record["program"]).split(), list(range(len(numbers)))
    for at, word in enumerate(words):
        if word not in SAID:
            places = [place for place in free if numbers[place] == float(word)]
            if not places:
                return None
            words[at] = f"number{places[0]}"
            free.remove(places[0])
    return " ".join(words)


def prefix(infix: str) -> str:
    """An infix expression in prefix form: inner brackets first, then from left to right.

    >>> prefix("( ( 8.0 + 12.0 ) - 3.0 )"), prefix("9 - 2 + 1")
    ('- + 8.0 12.0 3.0', '+ - 9 2 1')
    """
    words = iter(infix.split())

    def operand() -> str:
        word = next(words)
        return rest() if word == "(" else word

    def rest() -> str:
        said = operand()
        for sign in words:
            if sign == ")":
                return said
            said = f"{sign} {said} {operand()}"
        return said

    return rest()


def rationale(question: str, label: str) -> str:
    """Why: each number that counts between its neighbours, in the order of the text, and what is done with them.

    >>> rationale("jan has number0 toys . number1 broke . how many are left ?", "- number0 number1")
    'has number0 toys ; number1 broke ; take number1 from number0'
    """
    words, used = question.split(), set(label.split())
    quotes = []
    for at, word in enumerate(words):
        if word in used:
            before, behind = words[max(0, at - _BESIDE) : at], words[at + 1 : at + 1 + _BESIDE]
            quotes.append(" ".join(own for own in (*before, word, *behind) if own not in _ENDS))
    steps: list[str] = []

    def say(sign: str, a: str, b: str) -> str:
        steps.append(SAID[sign].format(a=a, b=b))
        return "result"

    _folded(iter(label.split()), say, str)
    return " ; ".join([*quotes, *steps])


def computed(label: str, numbers: Sequence[float]) -> float | None:
    """What a prefix equation comes to; None where it is none, divides by zero or has a number that is not there.

    >>> computed("- + number0 number1 number2", [8.0, 12.0, 3.0]), computed("- number0", [8.0]), computed("", [8.0])
    (17.0, None, None)
    """
    words = iter(label.split())
    try:
        value = _folded(words, _applied, lambda word: numbers[_place(word)])
    except (StopIteration, ValueError, IndexError, ZeroDivisionError, OverflowError):
        return None
    return value if next(words, None) is None else None


def right(record: Record, said: str) -> bool:
    """Whether a label is that of a record: an equation comes to the answer, any other label is the same text.

    >>> right({"label": "- number0 number1", "numbers": [9.0, 2.0], "answer": 7.0}, "- number0 number1")
    True
    """
    if "numbers" not in record:
        return said == record["label"]
    value = computed(said, record["numbers"])
    return value is not None and math.isclose(value, record["answer"], rel_tol=1e-3, abs_tol=1e-3)


def _folded(words: Iterator[str], operation: Any, number: Any) -> Any:
    """A prefix expression, from the inside out."""
    word = next(words)
    if word not in SAID:
        return number(word)
    first = _folded(words, operation, number)
    return operation(word, first, _folded(words, operation, number))


def _place(word: str) -> int:
    """Which number a mask stands for."""
    found = _MASK.fullmatch(word)
    if found is None:
        raise ValueError(f"{word!r} is no mask such as number0")
    return int(found[1])


def _applied(sign: str, a: float, b: float) -> float:
    return {"+": a.__add__, "-": a.__sub__, "*": a.__mul__, "/": a.__truediv__}[sign](b)
