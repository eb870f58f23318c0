"""What is written down beside a calculation is true, and of the changes that the problem has."""

from __future__ import annotations

import re

from stagejax.data.reasoning.planned_problems import PlannedProblems, by_parts, changes_of, written
from stagejax.data.reasoning.problems import Problems, applied
from stagejax.data.reasoning.straight_line import answer_of
from stagejax.data.reasoning.written import BRIEF

SOURCE = PlannedProblems(Problems(size=150, steps=(1, 2, 3, 4), largest=30, asides=1, wording=BRIEF))


def test_programs_and_chains_have_the_answer() -> None:
    for record in (SOURCE[i] for i in range(len(SOURCE))):
        assert str(answer_of(record["code"])) == record["answer"]
        assert record["steps"][-1].split()[-1] == record["careful"][-1].split()[-1] == record["answer"]
        assert len(record["changes"]) == len(record["plan"]) == len(record["given"]) == len(record["steps"]) + 1


def test_all_calculations_are_right_and_in_their_range() -> None:
    for record in (SOURCE[i] for i in range(len(SOURCE))):
        for step in (*record["steps"], *record["careful"]):
            sides = [part.split() for part in step.split(" = ")]
            values = [int(own[0]) if len(own) == 1 else applied(int(own[0]), own[1], int(own[2])) for own in sides]
            assert len(set(values)) == 1
            assert all(0 <= int(number) <= 30 for number in re.findall(r"\d+", step))


def test_variables_are_the_relevant_numbers_in_their_order() -> None:
    assert written(changes_of("8 * 2 / 4"))["given"] == ["start 8", "2 times", "4 parts"]
    for record in (SOURCE[i] for i in range(20)):
        numbers = [re.findall(r"\d+", item)[0] for item in record["given"]]
        assert numbers == re.findall(r"\d+", record["program"])
        assert len(re.findall(r"\d+", record["question"])) == len(numbers) + 1


def test_results_on_the_way_only_where_there_are_tens_and_ones() -> None:
    assert by_parts(5, "+", 20) == by_parts(25, "-", 5) == by_parts(10, "*", 3) == by_parts(24, "/", 12) == ""


def test_the_digest_is_its_own() -> None:
    assert SOURCE.digest() != SOURCE.source.digest()
    assert SOURCE.of_split("test").split == "test"
