"""Recipes: the order is the house's, variants share it, and no recipe is of two splits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stagejax.data import EmptySource
from stagejax.data.reasoning.recipes import HOUSES, NAMES, SPLITS, THEN, Lessons, Recipes, customs, recipes_of

DONE = {
    "swap": lambda a, b: (b, a),
    "rise": lambda a, b: ((a + 1) % 10, (b + 1) % 10),
    "twice": lambda a, b: (a * 2 % 10, b * 2 % 10),
    "flip": lambda a, b: (9 - a, 9 - b),
    "thrice": lambda a, b: (a * 3 % 10, b * 3 % 10),
    "step": lambda a, b: ((a + 3) % 10, b),
    "dip": lambda a, b: (a, (b - 2) % 10),
    "lean": lambda a, b: ((b + 2) % 10, a),
    "pour": lambda a, b: ((a + 5) % 10, b * 3 % 10),
    "part": lambda a, b: (a * 7 % 10, (b + 1) % 10),
}


def parts(record: dict) -> tuple[str, list[str], tuple[int, int], list[str]]:
    """House, operations as told, digits, and operations as done."""
    house, *told, a, b = record["question"].split()
    return house, told, (int(a), int(b)), record["solution"].split()[:-3:3]


@pytest.mark.parametrize("ordered", [True, False])
def test_solutions_are_what_the_operations_make(ordered: bool) -> None:
    source = Recipes(size=60, operations=(2, 3, 4), ordered=ordered)
    for record in source:
        for each in (record, *record["exams"]):
            house, told, digits, done = parts(each)
            assert sorted(told) == sorted(done)
            said = []
            for name in done:
                digits = DONE[name](*digits)
                said += [name, *map(str, digits)]
            assert each["solution"] == " ".join([*said, "ans", *map(str, digits)])
            assert each["answer"] == 10 * digits[0] + digits[1]
            if ordered:
                order = [NAMES[i] for i in customs(HOUSES.index(house))]
                assert done == sorted(done, key=order.index)


@pytest.mark.parametrize("ordered", [True, False])
def test_variants_have_the_same_recipe_in_the_same_order_and_other_digits(ordered: bool) -> None:
    for record in Recipes(size=40, ordered=ordered):
        house, told, digits, done = parts(record)
        others = [parts(each) for each in record["exams"]]
        assert len(others) == 3
        assert all((other[0], other[1], other[3]) == (house, told, done) for other in others)
        assert len({digits, *(other[2] for other in others)}) == 4


def test_other_orders_are_drawn_and_nothing_else_differs() -> None:
    right, other = Recipes(size=300), Recipes(size=300, ordered=False)
    assert [own["question"] for own in right] == [own["question"] for own in other]
    same = np.mean([parts(a)[3] == parts(b)[3] for a, b in zip(right, other, strict=True)])
    assert 0.1 < same < 0.25  # one order of six


def test_a_recipe_is_of_one_split_and_the_first_records_have_one_each() -> None:
    of = {split: set(recipes_of(split, (3,), 8)) for split in SPLITS}
    assert sum(map(len, of.values())) == len(set.union(*of.values())) == 8 * 120
    source = Recipes("test", size=len(of["test"]))
    assert len({(parts(own)[0], *sorted(parts(own)[1])) for own in source}) == len(source)
    house, told, _, _ = parts(source[0])
    assert (HOUSES.index(house), tuple(sorted(map(NAMES.index, told)))) in of["test"]


def test_lessons_are_a_solved_problem_before_a_variant() -> None:
    source = Recipes(size=3)
    for own, lesson in zip(source, Lessons(source), strict=True):
        exam = own["exams"][0]
        assert lesson["question"] == f"{own['question']} {own['solution']} {THEN} {exam['question']}"
        assert (lesson["solution"], lesson["answer"]) == (exam["solution"], exam["answer"])
    source.tokenizer().encode([Lessons(source)[0]["question"]])
    assert Lessons(source).digest() != source.digest() != replace(source, seed=1).digest()


def test_what_there_is_not_is_an_error() -> None:
    with pytest.raises(ValueError, match="give one of the splits"):
        Recipes("elsewhere")
    with pytest.raises(ValueError, match="operations"):
        Recipes(operations=(11,))
    with pytest.raises(ValueError, match="houses"):
        Recipes(houses=9)
    with pytest.raises(IndexError):
        Recipes(size=2)[2]
    with pytest.raises(EmptySource, match="Give more operations or houses"):
        Recipes("dev", operations=(10,), houses=1)[0]
