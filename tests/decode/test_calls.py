"""Calls as text: what is of the form, and when two responses have the same calls."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.data.vocabulary.words import Words
from stagejax.decode import Samples
from stagejax.decode.calls import Call, SameCalls, parsed, same_calls

GOLD = "[ find film ( city = rome , day = friday ) , rate car ( user = eve ) ]"


def test_calls_are_read_and_sorted() -> None:
    assert parsed(GOLD) == (
        Call("find film", (("city", "rome"), ("day", "friday"))),
        Call("rate car", (("user", "eve"),)),
    )
    assert parsed("[ f ( ) ]") == (Call("f", ()),)


@pytest.mark.parametrize(
    "text",
    [
        "", "[ ]", "no tool fits .", "[ f ( a = x )", "f ( a = x )", "[ f ( a = ) ]", "[ f ( = x ) ]", "[ f ( a x ) ]",
        "[ f ( a = x , ) ]", "[ f ( a = x ) , ]", "[ ( a = x ) ]", "[ f ( a = x ) g ( a = x ) ]", "[ f ( a = x = y ) ]",
        "[ f ( a = x , a = x ) ]", "[ f ( a = x ) ] ]", "[ [ f ( a = x ) ]",
    ],
)  # fmt: skip
def test_what_is_no_list_of_calls_is_none(text: str) -> None:
    assert parsed(text) is None
    assert not same_calls(text, GOLD)


def test_order_does_not_matter_and_all_else_does() -> None:
    assert same_calls("[ rate car ( user = eve ) , find film ( day = friday , city = rome ) ]", GOLD)
    for other in ("oslo", "rome , day = monday", "rome , size = 2"):
        assert not same_calls(GOLD.replace("rome", other), GOLD)
    assert not same_calls(GOLD.replace("find film", "find car"), GOLD)
    assert not same_calls("[ rate car ( user = eve ) ]", GOLD)
    twice = "[ f ( a = x ) , f ( a = x ) ]"
    assert not same_calls("[ f ( a = x ) ]", twice)
    assert same_calls(twice, twice)


def test_where_nothing_fits_every_response_without_a_call_is_right() -> None:
    assert same_calls("no tool fits .", "no tool fits .")
    assert same_calls("no", "no tool fits .")
    assert not same_calls("[ f ( a", "no tool fits .")


def test_the_rule_wants_an_end_and_reads_the_response_alone() -> None:
    code = Words(("[", "f", "(", "a", "=", "x", "y", ")", "]"))
    (gold, other) = code.encode(["[ f ( a = x ) ]", "[ f ( a = y ) ]"])
    rows = np.zeros((1, 3, 14), np.int32)
    for row, said in zip(rows[0], (gold, other, gold), strict=True):
        row[:11] = [1, *gold[:1], *said, 2]
    ends, stops = jnp.full((1, 3), 11), jnp.array([[1, 1, 0]])
    samples = Samples(jnp.asarray(rows), jnp.full((1, 3), 2), ends, stops, None, None)
    batch = {"gold": np.array([[*gold, 2, 0, 0]])}
    assert jax.jit(SameCalls(code.decode))(samples, batch).tolist() == [[1.0, 0.0, 0.0]]
