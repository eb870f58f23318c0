"""Leaks are found wherever they stand, and only they."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data.selection.leakage import leaked


@settings(max_examples=60, deadline=None)
@given(
    train=st.lists(st.integers(0, 3), min_size=4, max_size=60),
    held=st.lists(st.integers(0, 3), min_size=4, max_size=40),
    length=st.integers(1, 4),
)
def test_it_is_what_a_search_finds(train: list[int], held: list[int], length: int) -> None:
    places = range(len(train) - length + 1)
    spans = [held[i : i + length] for i in range(0, len(held) - length + 1, length)]
    found = [any(train[i : i + length] == span for i in places) for span in spans]
    assert leaked(np.array(train), np.array(held), length) == pytest.approx(np.mean(found))


def test_no_span_no_share() -> None:
    with pytest.raises(ValueError, match="no spans of length=32"):
        leaked(np.arange(100), np.arange(31))
