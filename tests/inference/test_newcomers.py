"""Quizzes about newcomers: the new facts themselves, chains over one of them, and other chains to choose by."""

from __future__ import annotations

from stagejax.data.knowledge.town import Town, TownQuestions
from stagejax.data.reasoning.mistakes import HOPS
from stagejax.inference.knowledge.newcomers import CHAINED, DEV, FRONT, NEW, about_newcomers
from stagejax.inference.prompts.quizzes import Quiz, marked, share

TOWN = Town(residents=60, newcomers=10, degree=4)
ASKED = about_newcomers(TOWN, Quiz(HOPS, TownQuestions(TOWN, ("ood",)), 9, length=32, limit=18), most=15)


def questions(name: str) -> list[str]:
    return [ASKED[name].source[i]["question"] for i in range(ASKED[name].questions)]


def test_there_are_as_many_questions_as_a_quiz_says_and_its_judge_knows_them() -> None:
    for quiz in ASKED.values():
        assert len(quiz.source) == quiz.questions > 0
        asked = [quiz.source[i] for i in range(quiz.questions)]
        assert share(marked(quiz.task, asked, [record["solution"] for record in asked]), "right") == 1
    assert ASKED[NEW].questions == 2 * TOWN.newcomers
    assert ASKED[DEV].questions == 30


def test_chains_have_one_new_fact_and_what_chooses_is_not_what_is_asked() -> None:
    new = {ASKED[NEW].source[i]["path"][0] for i in range(ASKED[NEW].questions)}
    for i in range(ASKED[CHAINED].questions):
        assert len(set(ASKED[CHAINED].source[i]["path"]) & new) == 1
    assert not set(questions(DEV)) & set(questions(CHAINED))
    assert len(set(questions(DEV)) & set(questions(NEW))) == 15


def test_in_front_stand_the_facts_of_the_same_questions_in_rows_that_hold_them() -> None:
    plain, told = questions(CHAINED), questions(FRONT)
    assert all(long.endswith(short) and long != short for short, long in zip(plain, told, strict=True))
    words = max(len(text.split()) for text in told) - min(len(text.split()) for text in plain)
    assert ASKED[FRONT].length == ASKED[CHAINED].length + 22 >= ASKED[CHAINED].length + words - 2
