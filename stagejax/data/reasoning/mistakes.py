"""What is wrong with a wrong answer: its form, or what it says.

Form is what a reader of examples can imitate without knowing anything: the marks, the order, the end. An answer that
has the form of its task and is wrong is a mistake of reasoning, of one of these kinds:

    plan    other steps than those that are asked for: another operation, relation, statement, too many or too few
    step    the steps that are asked for, of which one says something false: arithmetic, a fact, a number
    end     right steps, and another answer than theirs
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from stagejax.data.knowledge.town import RELATIONS
from stagejax.data.prompts.enumerations import broken
from stagejax.data.reasoning.list_programs import NoProgram, parsed, passes
from stagejax.data.reasoning.problems import answer_of, checked_steps

MATH, HOPS, CODE, LISTS = TASKS = ("word problems", "two hops", "programs", "lists")
FORM, PLAN, STEP, END = KINDS = ("form", "plan", "step", "end")
_NUMBER = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")
_HOP = re.compile(rf"({'|'.join(RELATIONS)}) of ([a-z_]+) : ([a-z_]+)")


class Judged(NamedTuple):
    """An answer under its task's verifier."""

    right: bool
    formed: bool  # whether it has the form of the task's answers
    mistake: str | None  # one of KINDS, where it is not right


def _judged(right: bool, formed: bool, plan: bool = True, step: bool = True) -> Judged:
    kind = FORM if not formed else PLAN if not plan else STEP if not step else END
    return Judged(right, formed, None if right else kind)


def judge_problem(record: Mapping[str, Any], text: str) -> Judged:
    """A word problem: right is the number behind the last "ans", as in GSM8K; the form is steps, each closed, and it.

    Where the record has no "program", as those of GSM8K, the form is any text with " ; ans " and a number behind it,
    and mistakes of reasoning are not told apart: all are `PLAN`.

    >>> record = {"answer": 12, "program": "7 + 5"}
    >>> [judge_problem(record, said).mistake for said in ("7 + 5 = 12 ; ans 12", "7 + 5 = 11 ; ans 11", "12")]
    [None, 'step', 'form']
    >>> [judge_problem(record, said).mistake for said in ("7 - 5 = 2 ; ans 2", "7 + 5 = 12 ; ans 11")]
    ['plan', 'end']
    """
    answer, (*steps, end) = answer_of(text), text.split(" ; ")
    right = answer == record["answer"]
    if "program" not in record:
        return _judged(right, answer is not None and bool(steps), plan=False)
    found = [_NUMBER.fullmatch(step) for step in steps]
    formed = bool(steps) and all(found) and re.fullmatch(r"ans \d+", end) is not None
    if not formed:
        return _judged(right, False)
    start, *wanted = re.split(r" (?=[-+*/] )", record["program"])
    said = [(own[1], own[2], own[3], own[4]) for own in found if own]
    chained = [start, *(own[3] for own in said)]
    plan = [f"{sign} {n}" for _, sign, n, _ in said] == wanted and [own[0] for own in said] == chained[:-1]
    return _judged(right, True, plan, all(checked_steps(" ; ".join(steps))))


def judge_hops(record: Mapping[str, Any], text: str) -> Judged:
    """A question about a `Town`: right is the name behind "ans"; the form is facts, and it.

    >>> from stagejax.data.knowledge.town import Town, TownQuestions
    >>> record = TownQuestions(Town(residents=40, newcomers=6, degree=3), ("told",))[0]
    >>> judge_hops(record, record["solution"]), judge_hops(record, "ans " + record["answer"]).formed
    (Judged(right=True, formed=True, mistake=None), False)
    """
    *steps, end = text.split(" ; ")
    found = [_HOP.fullmatch(step) for step in steps]
    last = re.fullmatch(r"ans ([a-z_]+)", end)
    right = last is not None and last[1] == record["answer"]
    if not steps or not all(found) or last is None:
        return _judged(right, False)
    said = [own.groups() for own in found if own]
    wanted, told = record["solution"].split(" ; ")[:-1], [own.groups() for own in map(_HOP.fullmatch, steps) if own]
    asked = [own.groups() for own in map(_HOP.fullmatch, wanted) if own]
    heads = [asked[0][1], *(tail for _, _, tail in said)]
    plan = [r for r, _, _ in said] == [r for r, _, _ in asked] and [h for _, h, _ in said] == heads[:-1]
    return _judged(right, True, plan, told == asked)


_PROGRAM = re.compile(r"code : (.+) ; end")


def judge_program(record: Mapping[str, Any], text: str) -> Judged:
    """A program between "code :" and "; end", right if it passes the hidden cases; another one than asked is no plan.

    >>> record = {"solution": "code : first 2 ; sum ; end", "cases": (((3, 1, 4), 4), ((2, 0, 1), 2))}
    >>> [judge_program(record, f"code : {said} ; end").mistake for said in ("first 2 ; sum", "first 3 ; sum", "sum")]
    [None, 'step', 'plan']
    >>> judge_program(record, "first 2 ; sum").mistake, judge_program(record, "code : the sum ; end").mistake
    ('form', 'form')
    """
    found = _PROGRAM.fullmatch(text)
    try:
        verbs = [verb for verb, _ in parsed(found[1])] if found else None
    except NoProgram:
        verbs = None
    if found is None or verbs is None:
        return _judged(False, False)
    wanted = [verb for verb, _ in parsed(_PROGRAM.fullmatch(record["solution"])[1])]  # type: ignore[index]
    return _judged(passes(found[1], record["cases"]), True, verbs == wanted, False)


def judge_list(record: Mapping[str, Any], text: str) -> Judged:
    """A list under constraints: right if it breaks none; what is in it is a step, all others are the plan.

    >>> from stagejax.data.prompts.enumerations import Asked
    >>> record = {"asked": Asked("birds", 2, "capitals", "dashes", "note")}
    >>> [judge_list(record, said).mistake for said in ("note : OWL - CROW", "note : OWL , CROW", "note : OWL - PEAR")]
    [None, 'plan', 'step']
    """
    found = broken(record["asked"], text)
    if found is None:
        return _judged(False, False)
    return _judged(not found, True, plan=not set(found) - {"kind"}, step=False)


#: By task.
JUDGES: Mapping[str, Callable[[Mapping[str, Any], str], Judged]] = {
    MATH: judge_problem,
    HOPS: judge_hops,
    CODE: judge_program,
    LISTS: judge_list,
}
