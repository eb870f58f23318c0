"""The first error of a chain: every kind is told from the others, in plain and in careful chains."""

from __future__ import annotations

import pytest

from stagejax.data.reasoning.planned_problems import PlannedProblems, changes_of
from stagejax.data.reasoning.problems import Problems
from stagejax.data.reasoning.solution_errors import CALCULATION, EXTRACTION, MISSING, MISUNDERSTOOD, RIGHT, error_of
from stagejax.data.reasoning.written import BRIEF

CHANGES = changes_of("7 + 15 - 2")


@pytest.mark.parametrize(
    ("chain", "kind"),
    [
        ("7 + 15 = 22 ; 22 - 2 = 19", CALCULATION),
        ("7 + 15 = 21 ; 21 - 2 = 19", CALCULATION),
        ("7 + 15 = 17 + 5 = 21 ; 21 - 2 = 19", CALCULATION),
        ("7 + 15 = 16 + 5 = 22 ; 22 - 2 = 19", CALCULATION),
        ("7 - 2 = 5", MISSING),
        ("7 + 15 = 22", MISSING),
        ("", MISSING),
        ("7 - 15 = 8", MISUNDERSTOOD),
        ("7 + 4 = 11", MISUNDERSTOOD),
        ("8 + 15 = 23 ; 23 - 2 = 21", MISUNDERSTOOD),
        ("7 + 15 = 22 ; 21 - 2 = 19", MISUNDERSTOOD),
        ("7 + 15 = 22 ; 22 - 2 = 20 ; 20 - 1 = 19", MISUNDERSTOOD),
        ("7 + 15", MISUNDERSTOOD),
        ("7 + 15 = 22 ; 22 - 2 = 20", EXTRACTION),
    ],
)
def test_the_first_error(chain: str, kind: str) -> None:
    assert error_of(chain, "19", CHANGES) == error_of(chain, None, CHANGES) == kind
    assert error_of(chain, "20", CHANGES) == RIGHT


def test_division_with_a_remainder_is_a_wrong_calculation() -> None:
    assert error_of("7 / 2 = 3", "3", changes_of("8 / 2")) == MISUNDERSTOOD
    assert error_of("8 + 1 = 9 ; 9 / 2 = 4", "4", changes_of("8 + 1 / 3")) == MISUNDERSTOOD
    assert error_of("8 + 1 = 8 ; 8 / 3 = 2", "2", changes_of("8 + 1 / 3")) == CALCULATION


def test_right_chains_have_no_error_but_that_of_the_answer() -> None:
    source = PlannedProblems(Problems(size=80, steps=(1, 2, 3, 4), largest=30, wording=BRIEF))
    for record in (source[i] for i in range(80)):
        for name in ("steps", "careful"):
            chain = " ; ".join(record[name])
            assert error_of(chain, None, record["changes"]) == EXTRACTION
            assert error_of(" ; ".join(record[name][:-1]), None, record["changes"]) == MISSING
