"""Wrong solutions: exactly one error of the named kind, values in range, another answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagejax.data.reasoning.corrupted import ERRORS, EXTRA, MISSING, OPERAND, OPERATION, SLIP, chain, corrupted
from stagejax.data.reasoning.problems import Problems, answer_of, checked_steps

PROBLEMS = Problems(size=64, steps=(1, 2, 3), largest=12)


@given(st.integers(0, 63), st.sampled_from(ERRORS), st.integers(0, 99))
def test_an_error_is_one_of_its_kind_and_changes_the_answer(index: int, error: str, seed: int) -> None:
    record = PROBLEMS[index]
    wrong = corrupted(record["solution"], error, 12, np.random.default_rng(seed))
    if wrong is None:
        assert error in (MISSING, OPERATION, SLIP, OPERAND, EXTRA)
        return
    assert answer_of(wrong) not in (None, record["answer"])
    right = checked_steps(wrong)
    assert right.count(False) == (error == SLIP)
    (start, moves), steps = chain(record["solution"]), len(right)
    assert steps == len(moves) + {MISSING: -1, EXTRA: 1}.get(error, 0)
    if steps == len(moves):
        told = [(step.split()[1], int(step.split()[2])) for step in wrong.split(" ; ")[:-1]]
        signs = sum(a[0] != b[0] for a, b in zip(told, moves, strict=True))
        numbers = sum(a[1] != b[1] for a, b in zip(told, moves, strict=True))
        assert (signs, numbers) == {OPERAND: (0, 1), OPERATION: (1, 0), SLIP: (0, 0)}[error]
    assert steps == 0 or int(wrong.split()[0]) == start
    assert all(0 <= int(word) <= 12 for word in wrong.split() if word.isdigit())


@pytest.mark.parametrize("error", ERRORS)
def test_every_kind_is_found_for_most_problems(error: str) -> None:
    found = [corrupted(record["solution"], error, 12, np.random.default_rng(0)) for record in PROBLEMS]
    assert sum(each is not None for each in found) > 48


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of"):
        corrupted("7 + 5 = 12 ; ans 12", "typo", 12, np.random.default_rng(0))
    with pytest.raises(ValueError, match="no chain"):
        chain("ans 12")
