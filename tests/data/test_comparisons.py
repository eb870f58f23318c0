"""Comparisons: what is written down is true, the links are what the question needs, splits share no program."""

from __future__ import annotations

import re

import numpy as np
import pytest

from stagejax.data.comparisons import RELATIONS, Comparisons, Link, by_parts, written
from stagejax.data.problems import applied
from stagejax.data.straight_line import answer_of

SOURCE = Comparisons(size=200, steps=(1, 2, 3, 4), others=(0, 1, 2), largest=30, seed=3)


def solved(question: str) -> int:
    """The answer, found by reading the question backwards from who is asked about."""
    told = {}
    *sentences, asked = question.split(" . ")
    for sentence in sentences:
        if start := re.fullmatch(r"(\w+) has (\d+)", sentence):
            told[start[1]] = ("", int(start[2]), "")
        elif found := re.fullmatch(r"(\w+) has (\d+) (more than|less than|times) (\w+)", sentence):
            sign = {word: own for own, word in RELATIONS.items()}[found[3].split()[0]]
            told[found[1]] = (sign, int(found[2]), found[4])
        else:
            raise AssertionError(sentence)

    def value(name: str) -> int:
        sign, n, other = told[name]
        return applied(value(other), sign, n) if sign else n

    return value(re.fullmatch(r"how many has (\w+) \?", asked)[1])  # type: ignore[index]


def test_answers_are_those_of_who_reads_the_question() -> None:
    for record in (SOURCE[i] for i in range(len(SOURCE))):
        assert str(solved(record["question"])) == record["answer"] == str(answer_of(record["program"]))
        assert len(record["links"]) == record["length"] + 1 == len(record["steps"]) == len(record["plan"]) + 1


def test_all_calculations_are_right_and_in_their_range() -> None:
    for record in (SOURCE[i] for i in range(len(SOURCE))):
        for step in (*record["steps"][1:], *record["careful"][1:]):
            sides = [part.split() for part in step.split(" ", 1)[1].split(" = ")]
            values = [int(own[0]) if len(own) == 1 else applied(int(own[0]), own[1], int(own[2])) for own in sides]
            assert len(set(values)) == 1
            assert all(0 <= int(number) <= 30 for number in re.findall(r"\d+", step))


def test_plans_go_back_from_the_question_to_what_is_told() -> None:
    record = written([Link("a", "", 3), Link("b", "+", 1), Link("c", "*", 2)])
    assert record["plan"] == ["c needs b", "b needs a"]
    assert record["given"] == ["c 2 times", "b 1 more", "a 3"]


def test_splits_share_no_program() -> None:
    test = Comparisons("test", 200, steps=(1, 2, 3, 4), seed=9)
    one, two = ({tuple(link[1:] for link in own[i]["links"]) for i in range(200)} for own in (SOURCE, test))
    assert not one & two


def test_others_and_order_are_as_declared() -> None:
    told = [Comparisons(size=40, steps=(2,), others=(2,), ordered=share)[i] for share in (1.0, 0.0) for i in range(40)]
    sentences = [own["question"].split(" . ")[:-1] for own in told]
    assert all(len(own) == 5 for own in sentences)
    names = [[link.name for link in own["links"]] for own in told]
    inorder = [
        [s.split()[0] for s in own if s.split()[0] in name] == name for own, name in zip(sentences, names, strict=True)
    ]
    assert all(inorder[:40])
    assert np.mean(inorder[40:]) < 0.5


def test_results_on_the_way_only_where_there_are_tens_and_ones() -> None:
    assert by_parts(5, "+", 20) == by_parts(25, "-", 5) == by_parts(10, "*", 3) == ""


@pytest.mark.parametrize("wrong", [{"split": "dev"}, {"largest": 5}, {"others": ()}, {"steps": (9,), "others": (1,)}])
def test_what_cannot_be_is_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="need"):
        Comparisons(**wrong)
    with pytest.raises(IndexError):
        SOURCE[200]
