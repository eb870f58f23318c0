"""Distinct-n by hand."""

import pytest

from stagejax.decode.diversity import distinct


def test_distinct_is_by_all_texts_together() -> None:
    assert distinct([["a", "b", "c"], ["a", "b"]], 1) == pytest.approx(3 / 5)
    assert distinct([["a", "b", "c"], ["a", "b"]], 2) == pytest.approx(2 / 3)  # ab, bc, ab
    assert distinct(["你好", "你好", "好你"], 2) == pytest.approx(2 / 3)
    assert distinct(["abcd"], 2) == 1.0
    assert distinct(["aaaa"], 2) == pytest.approx(1 / 3)
    assert distinct([], 2) == distinct(["a", ""], 2) == 0.0
    with pytest.raises(ValueError, match="n=0"):
        distinct(["ab"], 0)
