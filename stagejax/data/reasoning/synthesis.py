"""Further texts out of solved problems: other solutions, other problems, steps taken back, a tutor at work.

The four operators by which a model writes training data from seed problems, with a program as the author: it knows the
right steps, and checks what it writes. Problems are records of `problems.Problems` without asides: sentence k of a
question is step k of its solution. Every operator gives texts whose numbers lie between 0 and `largest`.

Reference: Chen et al. 2025, https://arxiv.org/abs/2501.14002, section 4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from stagejax.data.pipeline import joint_digest
from stagejax.data.reasoning.problems import Wording, answer_of, applied, checked_steps, held_out, program_of
from stagejax.data.reasoning.written import turned
from stagejax.data.sources import Derived

THEN, STUDENT, TEACHER, BACK = "=>", "student", "teacher", "[back]"
#: Words of these texts that no problem has.
MARKS = (THEN, STUDENT, TEACHER, BACK, "right", "wrong", "at", ":")
_NUMBER = re.compile(r"\d+")
_ATTEMPTS = 50  # to draw other numbers that stay in their range

Record = Mapping[str, Any]


class Written(NamedTuple):
    """What an operator wrote of one problem."""

    texts: tuple[str, ...]
    refused: int = 0  # drafts that its check threw away


def solved(question: str, solution: str) -> str:
    """A problem with a solution, as one text.

    >>> solved("ann has 7 . loses 2 . how many ?", "7 - 2 = 5 ; ans 5")
    'ann has 7 . loses 2 . how many ? => 7 - 2 = 5 ; ans 5'
    """
    return f"{question} {THEN} {solution}"


@dataclass(frozen=True)
class Solved(Derived):
    """Records {"text"}: problems with their solutions, as documents for pre-training.

    >>> from stagejax.data.reasoning.problems import Problems
    >>> Solved(Problems(steps=(1,)))[0]["text"][-24:]
    '? => 8 + 4 = 12 ; ans 12'
    """

    def __getitem__(self, index: int) -> dict[str, str]:
        record = self.source[index]
        return {"text": solved(record["question"], record["solution"])}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "solved")


def accepted(solution: str, answer: int, largest: int) -> bool:
    """The check of a draft: every step is right arithmetic, every number in the range, and the answer is the answer.

    >>> accepted("7 + 5 = 12 ; ans 12", 12, 20), accepted("7 + 5 = 12 ; ans 12", 12, 9), accepted("ans 12", 3, 20)
    (True, False, False)
    """
    inside = all(int(number) <= largest for number in _NUMBER.findall(solution))
    return inside and all(checked_steps(solution)) and answer_of(solution) == answer


def diversified(record: Record, largest: int, rng: np.random.Generator) -> Written:
    """Response diversification: up to two other right solutions, which differ from the given one and from each other.

    Drafts are: the operands of sums and products exchanged; two changes in a row taken together (see `gathered`); both.

    >>> record = {"question": "q ?", "solution": "11 + 6 = 17 ; 17 - 4 = 13 ; ans 13", "answer": 13}
    >>> diversified(record, 20, np.random.default_rng(0)).texts
    ('q ? => 6 + 11 = 17 ; 17 - 4 = 13 ; ans 13', 'q ? => 6 - 4 = 2 ; 11 + 2 = 13 ; ans 13')
    """
    own = str(record["solution"])
    steps = steps_of(own)
    places = [k for k in range(len(steps) - 1) if gathered(steps, k) != steps]
    drafts = [[turned(step) for step in steps]]
    if places:
        once = gathered(steps, places[int(rng.integers(len(places)))])
        drafts += [once, [turned(step) for step in once]]
    found, refused = [own], 0
    for draft in drafts:
        text = " ; ".join([*draft, own.rpartition(" ; ")[2]])
        if text in found:
            continue
        if len(found) < 3 and accepted(text, int(record["answer"]), largest):
            found.append(text)
        else:
            refused += len(found) < 3
    return Written(tuple(solved(record["question"], text) for text in found[1:]), refused)


def gathered(steps: list[str], place: int) -> list[str]:
    """The steps with those at `place` and behind it taken together, where both add or take away; else as they are.

    >>> gathered(["3 + 9 = 12", "12 - 5 = 7"], 0), gathered(["3 * 2 = 6", "6 - 5 = 1"], 0)
    (['9 - 5 = 4', '3 + 4 = 7'], ['3 * 2 = 6', '6 - 5 = 1'])
    """
    (a, one, n, *_), (_, two, m, _, end) = steps[place].split(), steps[place + 1].split()
    if one not in "+-" or two not in "+-":
        return steps
    first, second = (n, m) if one == two or int(n) >= int(m) else (m, n)
    sign = "+" if one == two else "-"
    net = applied(int(first), sign, int(second))
    outer = one if one == two or int(n) >= int(m) else two
    return [*steps[:place], f"{first} {sign} {second} = {net}", f"{a} {outer} {net} = {end}", *steps[place + 2 :]]


def expanded(record: Record, wording: Wording, most: int, largest: int, rng: np.random.Generator) -> Written:
    """Query expansion: the problem as a statement gives two new ones, with solutions.

    The first has the same events with other numbers; the second one event more, or, where it has `most`, one less.
    Programs of the test split are refused, as are values out of range, and other numbers are drawn.

    Args:
      record: of problems in this wording.
      most: steps of a problem, at most.

    >>> from stagejax.data.reasoning.problems import Problems
    >>> from stagejax.data.reasoning.written import BRIEF
    >>> record = Problems(steps=(1,), largest=12, wording=BRIEF)[0]
    >>> record["question"]
    'cleo has 2 . gets 10 . how many ?'
    >>> expanded(record, BRIEF, 2, 12, np.random.default_rng(0)).texts[1]
    'cleo has 2 . gets 10 . gives 11 . how many ? => 2 + 10 = 12 ; 12 - 11 = 1 ; ans 1'
    """
    *sentences, question = str(record["question"]).split(" . ")
    told = [(sign, f"{sentence} .") for sign, sentence in zip(signs_of(record), sentences, strict=True)]
    refused, texts = 0, []
    for other in (False, True):
        for _ in range(_ATTEMPTS):
            story = _extended(told, wording, most, rng) if other else told
            draft = _retold(story, question, largest, rng, kept=min(len(told), len(story) - 1) if other else 0)
            if draft is not None:
                texts.append(draft)
                break
            refused += 1
    return Written(tuple(texts), refused)


def _extended(
    told: list[tuple[str, str]], wording: Wording, most: int, rng: np.random.Generator
) -> list[tuple[str, str]]:
    """One event more, or one less."""
    if len(told) > most:
        return told[:-1]
    sign, sentence = wording.clauses[int(rng.integers(len(wording.clauses)))]
    name = told[0][1].split()[0]
    return [*told, (sign, sentence.format(n=0, name=name, friend=name, item=""))]


def _retold(
    told: list[tuple[str, str]], question: str, largest: int, rng: np.random.Generator, kept: int
) -> str | None:
    """The story with the numbers of all sentences but the first `kept` drawn anew; None where the check refuses it."""
    numbers, story, value, steps = [], [], 0, []
    for place, (sign, sentence) in enumerate(told):
        n = int(_NUMBER.search(sentence)[0])  # type: ignore[index]
        if place >= kept:
            n = 2 + int(rng.integers(2)) if sign and sign in "*/" else 1 + int(rng.integers(largest))
        after = applied(value, sign, n) if sign else n
        if sign:
            steps.append(f"{value} {sign} {n} = {after}")
        numbers.append((sign, n))
        story.append(_NUMBER.sub(str(n), sentence))
        value = after
        if not 0 <= value <= largest:
            return None
    solution = " ; ".join([*steps, f"ans {value}"])
    fine = steps and accepted(solution, value, largest) and not held_out(program_of(numbers))
    return solved(" ".join([*story, question]), solution) if fine else None


def retrospective(record: Record, rng: np.random.Generator) -> Written:
    """Retrospective enhancement: a later step stands too early; `BACK` takes it back, and the right ones go on.

    A problem of one step has no later one, and gives nothing.

    >>> record = {"question": "q ?", "solution": "11 + 6 = 17 ; 17 - 4 = 13 ; ans 13"}
    >>> retrospective(record, np.random.default_rng(0)).texts
    ('q ? => 17 - 4 = 13 ; [back] ; 11 + 6 = 17 ; 17 - 4 = 13 ; ans 13',)
    """
    *steps, last = str(record["solution"]).split(" ; ")
    if len(steps) < 2:
        return Written(())
    early = int(rng.integers(len(steps) - 1))
    late = int(rng.integers(early + 1, len(steps)))
    text = " ; ".join([*steps[:early], steps[late], BACK, *steps[early:], last])
    return Written((solved(record["question"], text),))


def tutored(record: Record, attempt: str) -> Written:
    """Tutorship amplification: a student's attempt, the tutor's verdict, and from its first wrong step on the right.

    The tutor is the program that knows the solution. An attempt is right if its answer is, and all its steps are right
    arithmetic. Else the first step is wrong that is not the solution's, its operands in whatever order.

    >>> record = {"question": "q ?", "solution": "11 + 6 = 17 ; 17 - 4 = 13 ; ans 13", "answer": 13}
    >>> tutored(record, "6 + 11 = 17 ; 17 - 4 = 14 ; ans 14").texts
    ('q ? student : 6 + 11 = 17 ; 17 - 4 = 14 ; ans 14 teacher : wrong at 2 : 17 - 4 = 13 ; ans 13',)
    >>> tutored(record, "11 + 6 = 17 ; 17 - 4 = 13 ; ans 13").texts[0][-15:]
    'teacher : right'
    """
    parts = str(record["solution"]).split(" ; ")
    said = [part.strip() for part in attempt.split(" ; ")]
    begin = f"{record['question']} {STUDENT} : {attempt} {TEACHER} :"
    if answer_of(attempt) == record["answer"] and all(checked_steps(attempt)):
        return Written((f"{begin} right",))
    same = [own in (part, turned(part) if "=" in part else part) for own, part in zip(said, parts, strict=False)]
    wrong = same.index(False) if False in same else min(len(same), len(parts) - 1)
    return Written((f"{begin} wrong at {wrong + 1} : {' ; '.join(parts[wrong:])}",))


def spoiled(record: Record, largest: int, rng: np.random.Generator) -> str:
    """A solution in which one result, drawn uniformly, is wrong, and what follows goes on from it as far as it can.

    The control of `tutored`: errors that no student makes.

    >>> record = {"question": "q ?", "solution": "11 + 6 = 17 ; 17 - 4 = 13 ; ans 13"}
    >>> spoiled(record, 20, np.random.default_rng(0))
    '11 + 6 = 17 ; 17 - 4 = 12 ; ans 12'
    """
    steps = steps_of(str(record["solution"]))
    place = int(rng.integers(len(steps)))
    true = int(steps[place].split()[-1])
    value = int(rng.choice([n for n in range(largest + 1) if n != true]))
    found = [*steps[:place], " ".join([*steps[place].split()[:-1], str(value)])]
    for step in steps[place + 1 :]:
        _, sign, n, *_ = step.split()
        after = applied(value, sign, int(n))
        if not 0 <= after <= largest or (sign == "/" and value % int(n)):
            break
        found.append(f"{value} {sign} {n} = {after}")
        value = after
    return " ; ".join([*found, f"ans {value}"])


def steps_of(solution: str) -> list[str]:
    """The steps of a solution, without its answer.

    >>> steps_of("11 + 6 = 17 ; 17 - 4 = 13 ; ans 13")
    ['11 + 6 = 17', '17 - 4 = 13']
    """
    return solution.split(" ; ")[:-1]


def signs_of(record: Record) -> list[str]:
    """The sign of each sentence: none of the first, then those of the steps.

    >>> signs_of({"program": "11 + 6 - 4"})
    ['', '+', '-']
    """
    return ["", *str(record["program"]).split()[1::2]]
