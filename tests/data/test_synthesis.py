"""What operators write is right arithmetic about train programs, in range, and differs from what it was made of."""

from __future__ import annotations

import numpy as np
import pytest

from stagejax.data.reasoning.kinds_of_problems import KINDS
from stagejax.data.reasoning.problems import Problems, answer_of, checked_steps, held_out
from stagejax.data.reasoning.synthesis import (
    BACK,
    MARKS,
    STUDENT,
    TEACHER,
    THEN,
    accepted,
    diversified,
    expanded,
    gathered,
    retrospective,
    spoiled,
    steps_of,
    tutored,
)
from stagejax.data.reasoning.written import turned

LARGEST = 9
RECORDS = [
    (kind, source[i])
    for kind, own in KINDS.items()
    for source in [Problems(size=60, steps=(1, 2, 3, 4, 5), largest=LARGEST, wording=own, seed=3)]
    for i in range(60)
]


def solution(text: str) -> str:
    return text.partition(f" {THEN} ")[2]


def program_of(text: str) -> str:
    """The start and operations of a solution that goes from left to right."""
    steps = [step.split() for step in steps_of(solution(text))]
    return " ".join([steps[0][0], *(f"{sign} {n}" for _, sign, n, *_ in steps)])


def test_other_solutions_are_right_and_different() -> None:
    rng, many = np.random.default_rng(0), 0
    for _, record in RECORDS:
        made = diversified(record, LARGEST, rng)
        many += len(made.texts)
        assert len({record["solution"], *map(solution, made.texts)}) == len(made.texts) + 1 <= 3
        for text in made.texts:
            assert text.startswith(f"{record['question']} {THEN} ")
            assert accepted(solution(text), record["answer"], LARGEST)
    assert many > 60


def test_a_single_difference_has_no_other_solution() -> None:
    record = {"question": "q ?", "solution": "7 - 2 = 5 ; ans 5", "answer": 5}
    assert diversified(record, LARGEST, np.random.default_rng(0)).texts == ()


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (["3 + 2 = 5", "5 + 4 = 9"], ["2 + 4 = 6", "3 + 6 = 9"]),
        (["9 - 2 = 7", "7 - 4 = 3"], ["2 + 4 = 6", "9 - 6 = 3"]),
        (["3 + 2 = 5", "5 - 4 = 1"], ["4 - 2 = 2", "3 - 2 = 1"]),
        (["9 - 2 = 7", "7 + 1 = 8"], ["2 - 1 = 1", "9 - 1 = 8"]),
        (["9 - 2 = 7", "7 + 2 = 9"], ["2 - 2 = 0", "9 - 0 = 9"]),
        (["9 - 2 = 7", "7 * 1 = 7"], ["9 - 2 = 7", "7 * 1 = 7"]),
    ],
)
def test_two_changes_together(steps: list[str], expected: list[str]) -> None:
    assert gathered(steps, 0) == expected
    assert all(checked_steps(" ; ".join([*expected, "ans 0"])))


def test_a_draft_out_of_range_is_refused() -> None:
    record = {"question": "q ?", "solution": "9 - 6 = 3 ; 3 - 3 = 0 ; ans 0", "answer": 0}
    assert diversified(record, 9, np.random.default_rng(0)).texts[0] == "q ? => 6 + 3 = 9 ; 9 - 9 = 0 ; ans 0"
    made = diversified(record, 8, np.random.default_rng(0))
    assert made.texts == ()
    assert made.refused > 0


def test_new_problems_are_of_train_programs_and_solved() -> None:
    rng, sizes = np.random.default_rng(0), set()
    for kind, record in RECORDS:
        for place, text in enumerate(expanded(record, KINDS[kind], 5, LARGEST, rng).texts):
            question = text.partition(f" {THEN} ")[0]
            steps = steps_of(solution(text))
            answer = answer_of(solution(text))
            assert answer is not None
            assert accepted(solution(text), answer, LARGEST)
            assert not held_out(program_of(text))
            assert question.endswith(KINDS[kind].question)
            told = [n for n in question.replace(".", "").split() if n.isdigit()]
            assert told == [steps[0].split()[0], *(step.split()[2] for step in steps)]
            if place and len(steps) != record["steps"]:
                sizes.add(len(steps) - record["steps"])
    assert sizes == {1, -1}


def test_a_step_taken_back_is_a_later_one() -> None:
    rng = np.random.default_rng(0)
    for _, record in RECORDS:
        made = retrospective(record, rng)
        if record["steps"] == 1:
            assert made.texts == ()
            continue
        parts = solution(made.texts[0]).split(" ; ")
        at = parts.index(BACK)
        own = record["solution"].split(" ; ")
        assert parts[: at - 1] + parts[at + 1 :] == own
        assert own.index(parts[at - 1]) >= 0
        assert any(parts[at - 1] == step for step in own[at:-1])


def verdict(record: dict[str, object], attempt: str) -> str:
    return tutored(record, attempt).texts[0].partition(f" {TEACHER} : ")[2]


def test_the_tutor_finds_the_first_wrong_step_and_goes_on_rightly() -> None:
    record = {"question": "q ?", "solution": "2 + 6 = 8 ; 8 / 2 = 4 ; 4 - 1 = 3 ; ans 3", "answer": 3}
    assert verdict(record, "6 + 2 = 8 ; 8 / 2 = 4 ; 4 - 1 = 3 ; ans 3") == "right"
    assert verdict(record, "2 + 6 = 9 ; ans 9") == f"wrong at 1 : {record['solution']}"
    assert verdict(record, "2 + 6 = 8 ; 8 / 2 = 4 ; 4 - 1 = 3 ; ans 4") == "wrong at 4 : ans 3"
    assert verdict(record, "2 + 6 = 8") == "wrong at 2 : 8 / 2 = 4 ; 4 - 1 = 3 ; ans 3"
    assert verdict(record, "") == f"wrong at 1 : {record['solution']}"
    assert verdict(record, "2 + 6 = 7 ; 8 / 2 = 4 ; 4 - 1 = 3 ; ans 3").startswith("wrong at 1")  # right by luck
    text = tutored(record, "2 + 6 = 9 ; ans 9").texts[0]
    assert text.startswith(f"q ? {STUDENT} : 2 + 6 = 9 ; ans 9 {TEACHER} :")


def test_random_errors_are_errors_in_one_step_that_are_carried_on() -> None:
    rng = np.random.default_rng(0)
    for _, record in RECORDS:
        attempt = spoiled(record, LARGEST, rng)
        known = checked_steps(attempt)
        assert known.count(False) == 1
        first = known.index(False)
        assert steps_of(attempt)[:first] == steps_of(record["solution"])[:first]
        assert verdict(record, attempt).startswith(f"wrong at {first + 1} : {steps_of(record['solution'])[first]}")


def test_marks_are_words() -> None:
    assert all(" " not in mark for mark in MARKS)
    assert turned("2 + 3 = 5") == "3 + 2 = 5"
