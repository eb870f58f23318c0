"""The first error of a chain: every kind is told from the others, in plain and in careful chains."""

from __future__ import annotations

import pytest

from stagejax.data.comparisons import Comparisons, Link, written
from stagejax.data.solution_errors import CALCULATION, EXTRACTION, MISSING, MISUNDERSTOOD, RIGHT, error_of

LINKS = [Link("cleo", "", 7), Link("ben", "+", 15), Link("ann", "-", 2)]


@pytest.mark.parametrize(
    ("chain", "kind"),
    [
        ("cleo 7 ; ben 7 + 15 = 22 ; ann 22 - 2 = 19", CALCULATION),
        ("cleo 7 ; ben 7 + 15 = 21 ; ann 21 - 2 = 19", CALCULATION),
        ("cleo 7 ; ben 7 + 15 = 17 + 5 = 21 ; ann 21 - 2 = 19", CALCULATION),
        ("cleo 7 ; ben 7 + 15 = 16 + 5 = 22 ; ann 22 - 2 = 19", CALCULATION),
        ("cleo 7 ; ann 7 - 2 = 5", MISSING),
        ("ben 7 + 15 = 22 ; ann 22 - 2 = 20", MISSING),
        ("cleo 7 ; ben 7 + 15 = 22", MISSING),
        ("", MISSING),
        ("cleo 7 ; ben 7 - 15 = 8", MISUNDERSTOOD),
        ("cleo 7 ; dan 7 + 15 = 22", MISUNDERSTOOD),
        ("cleo 8 ; ben 8 + 15 = 23", MISUNDERSTOOD),
        ("cleo 7 ; ben 9 + 15 = 24", MISUNDERSTOOD),
        ("cleo 7 ; ben 7 + 15 = 22 ; ann 22 - 2 = 20 ; dan 20 + 1 = 21", MISUNDERSTOOD),
        ("cleo 7 ; ben ben", MISUNDERSTOOD),
        ("cleo 7 ; ben 7 + 15 = 22 ; ann 22 - 2 = 20", EXTRACTION),
    ],
)
def test_the_first_error(chain: str, kind: str) -> None:
    assert error_of(chain, "19", LINKS) == kind
    assert error_of(chain, "20", LINKS) == RIGHT


def test_right_chains_have_no_error_but_that_of_the_answer() -> None:
    source = Comparisons(size=80, steps=(1, 2, 3, 4), largest=30)
    for record in (source[i] for i in range(80)):
        for name in ("steps", "careful"):
            assert error_of(" ; ".join(record[name]), "none", record["links"]) == EXTRACTION


def test_a_step_that_is_left_out_is_found_wherever_it_is() -> None:
    record = written([*LINKS, Link("dan", "*", 1)])
    for place in range(4):
        steps = [step for at, step in enumerate(record["steps"]) if at != place]
        assert error_of(" ; ".join(steps), "x", [*LINKS, Link("dan", "*", 1)]) in (MISSING, MISUNDERSTOOD)
