"""Measures of judges: the extremes of a perfect judge, one that says A, and one that says nothing."""

from __future__ import annotations

import numpy as np

from stagejax.report.pairwise import judged_in_both_orders

KINDS, LONGER = ["a"] * 3 + ["b"], np.array([1, -1, 0, 2])


def judged(first: int, second: int) -> dict[str, float]:
    return judged_in_both_orders(np.tile([first, second], (4, 1)), KINDS, LONGER)


def test_extremes() -> None:
    right, says_first, wrong, silent = judged(0, 1), judged(0, 0), judged(1, 0), judged(-1, -1)
    assert [found["accuracy"] for found in (right, says_first, wrong, silent)] == [1, 0.5, 0, 0]
    assert [found["consistent"] for found in (right, says_first, wrong, silent)] == [1, 0, 1, 0]
    assert [found["first"] for found in (right, says_first, wrong)] == [0.5, 1, 0.5]
    assert np.isnan(silent["first"])
    assert silent["parsed"] == 0


def test_accuracy_is_the_mean_of_kinds() -> None:
    said = np.array([[0, 1], [0, 1], [0, 1], [1, 0]])
    found = judged_in_both_orders(said, KINDS, LONGER)
    assert (found["a"], found["b"], found["accuracy"], found["both right"]) == (1, 0, 0.5, 0.75)
    assert (found["worse longer"], found["worse shorter"]) == (0.5, 1)
    assert np.isnan(judged_in_both_orders(said, KINDS, np.zeros(4, int))["worse longer"])
