"""Judges: reference answers are right, each kind of mistake is told from the others, form is no matter of knowledge."""

from __future__ import annotations

import pytest

from stagejax.data.knowledge.town import Town, TownProse, TownQuestions
from stagejax.data.prompts.enumerations import SEPARATORS, Asked, Enumerations, ThingProse, broken, words
from stagejax.data.reasoning.list_programs import ListPrograms
from stagejax.data.reasoning.mistakes import (
    CODE,
    END,
    FORM,
    HOPS,
    JUDGES,
    LISTS,
    MATH,
    PLAN,
    STEP,
    TASKS,
    judge_hops,
    judge_list,
    judge_problem,
    judge_program,
)
from stagejax.data.reasoning.problems import Problems
from stagejax.data.reasoning.prose import CodeProse, Delimited, StoryProse, SumProse
from stagejax.data.reasoning.written import BRIEF

TOWN = Town(residents=60, newcomers=10, degree=4)
SOURCES = {
    MATH: Problems(size=40, steps=(1, 2, 3, 4), largest=20, wording=BRIEF),
    HOPS: TownQuestions(TOWN, ("told", "new")),
    CODE: Delimited(ListPrograms(size=40)),
    LISTS: Enumerations(size=40),
}


@pytest.mark.parametrize("task", TASKS)
def test_reference_answers_are_right_and_those_of_other_tasks_have_no_form(task: str) -> None:
    source = SOURCES[task]
    for i in range(0, 40, 5):
        assert JUDGES[task](source[i], source[i]["solution"]) == (True, True, None)
        for other in TASKS:
            if other != task:
                said = JUDGES[task](source[i], SOURCES[other][i]["solution"])
                assert (said.right, said.formed, said.mistake) == (False, False, FORM)
        assert JUDGES[task](source[i], "").mistake == FORM
        assert JUDGES[task](source[i], source[i]["solution"] + " ;").formed is False


def test_mistakes_of_word_problems() -> None:
    record = {"answer": 12, "program": "7 + 9 - 4"}
    said = {
        "7 + 9 = 16 ; 16 - 4 = 11 ; ans 11": STEP,
        "7 + 9 = 15 ; 15 - 4 = 11 ; ans 11": STEP,
        "7 + 9 = 16 ; 16 - 4 = 12 ; ans 16": END,
        "7 + 9 = 16 ; ans 16": PLAN,  # a step is missing
        "7 + 9 = 16 ; 7 - 4 = 3 ; ans 3": PLAN,  # not with what came out before
        "9 + 7 = 16 ; 16 + 4 = 20 ; ans 20": PLAN,
        "7 + 9 = ; ans 16": FORM,
        "7 + 9 = 16 ; 16 - 4 = 12": FORM,
        "ans 11": FORM,
    }
    assert {text: judge_problem(record, text).mistake for text in said} == said
    assert judge_problem(record, "ans 12") == (True, False, None)  # as in GSM8K the number alone decides
    gsm8k = {"answer": 12}
    assert judge_problem(gsm8k, "He has 7 and 9. ; ans 12") == (True, True, None)
    assert judge_problem(gsm8k, "He has 12.").mistake == FORM
    assert judge_problem(gsm8k, "He has 7 and 4. ; ans 11").mistake == PLAN


def test_mistakes_of_two_hops() -> None:
    record = TownQuestions(TOWN, ("told",))[0]
    first, second, _ = record["solution"].split(" ; ")
    (r1, _, h, _, b), (r2, _, _, _, t) = first.split(), second.split()
    other = next(TOWN.name(p) for p in range(60) if TOWN.name(p) not in (h, b, t))
    said = {
        f"{r1} of {h} : {other} ; {r2} of {other} : {h} ; ans {h}": STEP,  # a false fact, of which the rest follows
        f"{first} ; {r2} of {b} : {other} ; ans {other}": STEP,
        f"{first} ; ans {b}": PLAN,
        f"{first} ; {r2} of {h} : {other} ; ans {other}": PLAN,
        f"{first} ; {second} ; ans {b}": END,
        f"{first} ; {r2} {b} : {t} ; ans {b}": FORM,
        f"ans {b}": FORM,
    }
    assert {text: judge_hops(record, text).mistake for text in said} == said


def test_mistakes_of_programs_and_lists() -> None:
    cases = (((3, 1, 4), (2, 4)), ((9, 0, 5), (1, 6)))
    record = {"solution": "code : sort ; first 2 ; add 1 ; end", "cases": cases}
    assert judge_program(record, "code : add 1 ; sort ; first 2 ; end") == (True, True, None)  # another that passes
    said = {"code : sort ; first 3 ; add 1 ; end": STEP, "code : sort ; first 2 ; end": PLAN,
            "code : mirror ; end": PLAN, "code : sort ; first ; end": FORM, "sort ; first 2 ; add 1": FORM}  # fmt: skip
    assert {text: judge_program(record, text).mistake for text in said} == said
    asked = {"asked": Asked("trees", 3, "small letters", "bars", "well")}
    said = {"well : oak | elm": PLAN, "well : OAK | ELM | CEDAR": PLAN, "here : oak | elm | cedar": PLAN,
            "well : oak - elm - cedar": PLAN, "well : oak | elm | fig": STEP, "well : oak | elm - cedar": FORM,
            "well : oak | elm | elm": FORM, "well oak | elm | cedar": FORM, "well : oak | elm |": FORM,
            "well : oak | elm | ?": FORM, "well :": FORM}  # fmt: skip
    assert {text: judge_list(asked, text).mistake for text in said} == said
    assert broken(asked["asked"], "note : OAK , FIG") == ("prefix", "separator", "case", "count", "kind")


def test_constraints_of_tests_stand_together_in_no_example() -> None:
    train, test = ({Enumerations(split, 99)[i]["asked"] for i in range(99)} for split in ("train", "test"))
    assert not train & test
    assert {own.separator for own in test} == set(SEPARATORS)


def test_prose_knows_and_does_not_answer() -> None:
    problems = Problems(size=50, steps=(1, 2), largest=20, wording=BRIEF)
    texts = {
        "sums": [SumProse(12, largest=20)[i]["text"] for i in range(12)],
        "stories": [StoryProse(12, problems=problems)[i]["text"] for i in range(12)],
        "code": [CodeProse(20)[i]["text"] for i in range(20)],
        "things": [ThingProse(20)[i]["text"] for i in range(20)],
        "town": [TownProse(TOWN, 9)[i]["text"] for i in range(9)],
    }
    forms = {"sums": "= ans", "stories": "= ans how", "code": "code : end", "things": ": | /", "town": ": ans"}
    for name, own in texts.items():
        assert not set(forms[name].split()) & set(" ".join(own).split()), name
    signs = {"plus": int.__add__, "less": int.__sub__, "times": int.__mul__, "parted": int.__floordiv__}
    for sentence in " ".join(texts["sums"]).split(" ."):
        a, sign, *rest = sentence.split() or ["0", "plus", "0", "makes", "0"]
        n, result = int(rest[-3]), int(rest[-1])
        assert signs[sign](int(a), n) == result
    held = {ListPrograms("test", 40)[i]["solution"] for i in range(40)}
    assert not held & {part.strip() for text in texts["code"] for part in text.split(" .")}
    assert set(" ".join(texts["things"]).split()) <= set(words())
