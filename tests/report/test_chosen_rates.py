"""Choices from grids: the best, the first of equals, and what was spent on all of them."""

from __future__ import annotations

from stagejax.report.choices import Choices


def test_the_best_is_taken_and_all_that_was_tried_is_charged() -> None:
    choices, scores = Choices(), {1.0: 0.2, 2.0: 0.7, 3.0: 0.7}
    assert choices.best("rate", (1.0, 2.0, 3.0), lambda x: (scores[x], (f"net {x:g}",))) == 2.0  # the first of equals
    assert choices.spent == {"rate": ("net 1", "net 2", "net 3")}
    assert choices.table("note").rows == (("rate", "1, 2, 3", "0.2, 0.7, 0.7", 2.0, ""),)


def test_in_a_plan_the_first_is_taken() -> None:
    assert Choices().best("rate", (3.0, 1.0), lambda _: (float("nan"), ())) == 3.0
