"""Greedy search over parts: what it finds, what it asks for, and in which order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stagejax.search.greedy import greedy


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_it_finds_the_least_of_each_part_where_parts_are_apart(needed: list[int]) -> None:
    def score(tried: tuple[int, ...]) -> float:
        return float(sum(min(a, b) for a, b in zip(tried, needed, strict=True)))

    found, scores = greedy((5,) * len(needed), (1, 2, 3, 4), score)
    assert found == tuple(needed)
    assert all(scores[tried] == score(tried) for tried in scores)


def test_candidates_are_tried_in_turn_behind_what_was_found() -> None:
    asked = []

    def score(tried: tuple[int, ...]) -> float:
        asked.append(tried)
        return 1.0 if tried in ((9, 9), (3, 9)) else 0.5

    assert greedy((9, 9), (1, 3), score)[0] == (3, 9)
    assert asked == [(9, 9), (1, 9), (3, 9), (3, 1), (3, 3)]


def test_what_is_not_known_is_never_enough() -> None:
    assert greedy((9, 9), (1,), lambda tried: float("nan"))[0] == (9, 9)
