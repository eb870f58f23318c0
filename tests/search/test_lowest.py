"""The lowest of some numbers, and of further ones while it lies at an end of them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagejax.search.lowest import lowest


def bowl(bottom: float):
    """Losses that are least at a number, and what was asked for."""
    asked: list[float] = []

    def loss(number: float) -> tuple[float, tuple[str, ...]]:
        asked.append(number)
        return abs(math.log(number / bottom)), (f"pilot {number:g}", f"score {number:g}")

    return loss, asked


def test_the_first_of_equals_is_taken_and_all_is_spent() -> None:
    losses = {3.0: 0.5, 1.0: 0.25, 2.0: 0.25}
    found = lowest((3.0, 1.0, 2.0), lambda number: (losses[number], (number,)))
    assert (found.best, found.tried, found.losses) == (1.0, (3.0, 1.0, 2.0), (0.5, 0.25, 0.25))
    assert found.spent == (3.0, 1.0, 2.0)
    assert found.cells == ("1, 2, 3", "0.25, 0.25, 0.5", 1.0, "yes")  # in order, for a reader


@pytest.mark.parametrize(("bottom", "beyond", "tried"), [
    (2e-3, 3, (1e-3, 2e-3, 4e-3)),  # between: nothing more
    (1.0, 2, (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2)),  # as many as may be, by the ratio at that end
    (8e-3, 3, (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2)),  # until one is worse
    (5e-4, 3, (1e-3, 2e-3, 4e-3, 5e-4, 2.5e-4)),
    (1.0, 0, (1e-3, 2e-3, 4e-3)),
])  # fmt: skip
def test_further_numbers_are_tried_while_the_best_lies_at_an_end(bottom: float, beyond: int, tried: tuple) -> None:
    loss, asked = bowl(bottom)
    found = lowest((1e-3, 2e-3, 4e-3), loss, beyond)
    assert tuple(asked) == found.tried == tried
    assert found.at_an_end == (bottom == 1.0)
    assert len(found.spent) == 2 * len(tried)


def test_one_number_alone_has_no_ends() -> None:
    loss, asked = bowl(1.0)
    assert not lowest((0.1,), loss, 4).at_an_end
    assert asked == [0.1]


def test_a_plan_takes_the_first_and_tries_no_more() -> None:
    assert lowest((3.0, 1.0), lambda _: (math.nan, ()), 4)[:2] == (3.0, (3.0, 1.0))


def test_numbers_a_hair_apart_are_still_gone_beyond() -> None:
    loss, _ = bowl(9.0)
    assert lowest((1.0, 1.001), loss, 1).tried == pytest.approx((1.0, 1.001, 1.002001))


@pytest.mark.parametrize("numbers", [(), (0.0, 1.0), (-1.0, 1.0)])
def test_what_has_no_ratio_is_refused(numbers: tuple[float, ...]) -> None:
    loss, asked = bowl(1.0)
    with pytest.raises(ValueError, match="numbers to try, above 0 where beyond=2"):
        lowest(numbers, loss, 2)
    assert not asked


def test_what_diverges_at_every_number_is_looked_for_below_the_first() -> None:
    found = lowest((0.1, 1.0), lambda number: (math.inf if number > 0.005 else number, ()), 2)
    assert (found.best, found.tried) == (0.001, (0.1, 1.0, 0.01, 0.001))


@given(
    st.lists(st.floats(1e-6, 1e3), min_size=2, max_size=6, unique_by=lambda number: f"{number:.2g}"),
    st.floats(1e-9, 1e6),
    st.integers(0, 5),
)
def test_no_number_that_was_tried_is_better_and_none_is_tried_twice(
    numbers: list[float], bottom: float, beyond: int
) -> None:
    loss, asked = bowl(bottom)
    found = lowest(numbers, loss, beyond)
    assert len(set(asked)) == len(asked) <= len(numbers) + beyond
    assert min(found.losses) == found.losses[found.tried.index(found.best)]
    assert found.at_an_end <= (len(asked) == len(numbers) + beyond)  # at an end only when it may go no further
