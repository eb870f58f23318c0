"""Straight-line programs: arithmetic as Python's own, states without names, and an error for all that is no program."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data.reasoning.straight_line import NotExecutable, answer_of, evaluated, parsed, traced

NUMBERS = (Fraction(3), Fraction(1, 2), Fraction(7))


def expressions() -> st.SearchStrategy[str]:
    leaves = st.sampled_from(["n0", "n1", "n2"]) | st.integers(0, 30).map(str)

    def extend(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        two = st.tuples(inner, st.sampled_from(["+", "-", "*", "/", " - ", " * "]), inner).map("".join)
        return two | inner.map("({})".format) | inner.map("-{}".format)

    return st.recursive(leaves, extend, max_leaves=8)


@settings(deadline=None)
@given(expressions())
def test_arithmetic_is_pythons_own_on_fractions(text: str) -> None:
    names = {f"n{i}": n for i, n in enumerate(NUMBERS)} | {"Fraction": Fraction}
    own = re.sub(r"\b\d+\b", r"Fraction(\g<0>)", text)
    try:
        wanted = eval(own, {"__builtins__": {}}, names)
    except ZeroDivisionError:
        with pytest.raises(NotExecutable, match="zero"):
            traced(f"answer = {text}", NUMBERS)
        return
    assert answer_of(f"answer = {text}", NUMBERS) == wanted


@settings(deadline=None)
@given(st.text(alphabet='nt01 =;+-*/().\n"_a', max_size=30))
def test_any_text_is_a_program_or_a_promised_error(text: str) -> None:
    try:
        steps = traced(text, NUMBERS)
    except NotExecutable:
        return
    assert len(steps) == sum(bool(line.strip()) for line in re.split(r"[;\n]", text))


def test_an_expression_may_be_long() -> None:
    assert answer_of("answer = 1" + " + 1" * 149) == 150


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("t0 + 1", "no assignment"),
        ("1 = 2", "no assignment"),
        ("t0 = ", "too early"),
        ("t0 = (1 + 2", "not closed"),
        ("t0 = 1 2", "nothing can follow"),
        ("t0 = t1 ; t1 = 1", "'t1' has no value"),
        ("t0 = n9", "'n9' has no value"),
        ("t0 = n0 / (n0 - 3)", "zero"),
        ("t0 = 1 ** 2", "stands where"),
        ("t0 = f(1)", "nothing can follow"),
        ("t0 = 'x'", "begins with no"),
        ("t0 = " + "(" * 90 + "1" + ")" * 90, "levels deep"),
        (" ; ".join(["t = 99"] + ["t = t * t"] * 20), "bits"),
        ("t = " + "9" * 5000, "characters"),
        ("t = 1" + " + 1" * 1000, "numbers, names and signs"),
    ],
)
def test_what_cannot_be_executed_says_why(program: str, says: str) -> None:
    with pytest.raises(NotExecutable, match=re.escape(says)):
        traced(program, NUMBERS)
    assert answer_of(program, NUMBERS) is None


def test_a_state_is_all_values_whatever_their_names_and_order() -> None:
    first = traced("a = n0 + n2 ; b = n0 * 2", NUMBERS)
    second = traced("x = 2 * n0 ; y = n2 + n0", NUMBERS)
    assert first[0].state != second[0].state
    assert first[1].state == second[1].state == tuple(sorted((*NUMBERS, Fraction(10), Fraction(6))))
    assert traced("n0 = n0 + 1", NUMBERS)[0].state == tuple(sorted((Fraction(4), *NUMBERS[1:])))


def test_statements_are_equal_by_their_trees() -> None:
    (first,), (second,), (third,) = (traced(f"t = {text}", NUMBERS) for text in ("n0+n1", "((n0) + n1)", "n1 + n0"))
    assert first.code == second.code != third.code
    assert evaluated(parsed("2 - 3 - 4"), {}) == -5
    assert evaluated(parsed("12 / 3 / 2"), {}) == 2


def test_the_answer_is_the_first() -> None:
    assert answer_of("answer = n0 ; answer = n2", NUMBERS) == 3
    assert answer_of("t0 = n0", NUMBERS) is None
