"""Word problems with masked numbers: equations come to the answers, rationales name what counts, broken ones fail."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagejax.data.reasoning.masked_problems import MaskedProblems, computed, masked, prefix, rationale, right
from stagejax.data.reasoning.problems import Problems

NUMBERS = [8.0, 12.0, 3.0]


def test_equations_come_to_the_answers() -> None:
    source = Problems(size=80, steps=(1, 2, 3), asides=1)
    made = MaskedProblems(source, longest=60)
    assert 0 < len(made) <= len(source)
    for record in (made[i] for i in range(len(made))):
        assert right(record, record["label"])
        assert len(record["numbers"]) == record["question"].count("number")
        used = {word for word in record["label"].split() if word.startswith("number")}
        quoted = record["rationale"].split(" ; ")
        assert all(any(word in quote.split() for quote in quoted) for word in used)
        aside = {f"number{k}" for k in range(len(record["numbers"]))} - used
        said = [quote for quote in quoted if not quote.startswith(("add", "take", "share"))]
        assert len(said) == len(used)
        assert aside  # a number that does not count


def test_masked_and_plain_records_are_read_alike() -> None:
    plain = {"question": "Jan's 9 toys cost 4 . 2 broke . How many?", "equation": "( 9.0 - 2.0 )", "answer": 7.0}
    text, numbers = masked(plain)
    told = {"question_masked": text, "numbers": numbers}
    assert masked(told) == (text, [9.0, 4.0, 2.0])
    assert rationale(text, "- number0 number2").split(" ; ")[-1] == "take number2 from number0"


@given(st.recursive(st.integers(0, 9), lambda part: st.tuples(part, st.sampled_from("+-*"), part), max_leaves=6))
def test_prefix_form_says_what_the_infix_form_does(tree: object) -> None:
    def written(node: object) -> str:
        return f"( {written(node[0])} {node[1]} {written(node[2])} )" if isinstance(node, tuple) else str(node)

    infix = written(tree)
    words = [word if word in "+-*" else f"number{word}" for word in prefix(infix).split()]
    assert computed(" ".join(words), [float(k) for k in range(10)]) == eval(infix)


@pytest.mark.parametrize(
    "label",
    ["", "+ number0", "number0 number1", "/ number0 number9", "+ number0 x", "number", "0", "number-3", "/ number0 0"],
)
def test_broken_equations_are_wrong(label: str) -> None:
    assert computed(label, NUMBERS) is None
    assert not right({"label": "number0", "numbers": NUMBERS, "answer": 8.0}, label)


def test_another_equation_with_the_same_answer_is_right() -> None:
    record = {"label": "+ number0 number1", "numbers": NUMBERS, "answer": 20.0}
    assert right(record, "+ number1 number0")
    assert not right(record, "- number1 number0")
    assert not right(record, "/ number1 - number0 number0")


def test_equations_with_numbers_that_are_not_told_are_left_out() -> None:
    from stagejax.data.reasoning.masked_problems import _label

    record = {"question": "a dozen and 2 more", "equation": "( 12.0 + 2.0 )", "answer": 14.0}
    assert _label(record, [2.0]) is None
    assert _label({**record, "equation": "( 2.0 + 2.0 )"}, [2.0]) is None  # one number is not used twice
