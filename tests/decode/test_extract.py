"""Extractors: commas, signs, words around, and nothing to find."""

from __future__ import annotations

import pytest

from stagejax.decode.extract import number


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [("12 , 13", "12", "13"), ("is 1,000", "1000", "1000"), ("-3.50 dollars", "-3.5", "-3.5"), ("0.0", "0", "0")],
)
def test_numbers(text: str, first: str, last: str) -> None:
    assert number(text) == first
    assert number(text, last=True) == last


def test_no_number() -> None:
    assert number("ann") is None
