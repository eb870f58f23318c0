"""Solutions of a strong model: right whatever their way, and detours that come with one wording alone."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from stagejax.data.reasoning.problems import Problems, answer_of, checked_steps
from stagejax.data.reasoning.written import BAGGED, BRIEF, Reading, Written, words_of

PROBLEMS = Problems(size=200, steps=(2,), largest=12, asides=1, wording=BRIEF)
PLAIN, DETOURS = Written(PROBLEMS), Written(PROBLEMS, detours=1.0)


def test_every_step_is_right_arithmetic_and_every_answer_right() -> None:
    for source in (PLAIN, DETOURS):
        for record in source:
            assert all(checked_steps(record["solution"]))
            assert answer_of(record["solution"]) == record["answer"]
            assert len(checked_steps(record["solution"])) == 2 + 2 * record["detour"]


def undone(there: list[str], back: list[str], n: str) -> bool:
    """Whether a step adds or takes n, and the next one, from its result, the opposite."""
    signs = {there[1], back[1]} == {"+", "-"}
    return signs and n in there[0:3:2] and n in back[0:3:2] and there[4] in back[0:3:2]


def test_a_detour_goes_there_and_back_over_the_number_of_the_aside() -> None:
    taken = [record for record in DETOURS if record["detour"]]
    assert 60 < len(taken) < 110  # of half of the problems, where the numbers allow
    for record in taken:
        owned = re.search(r"owns (\d+)", record["question"])
        assert owned is not None
        steps = [step.split() for step in record["solution"].split(" ; ")[:-1]]
        assert any(undone(there, back, owned[1]) for there, back in itertools.pairwise(steps)), record
    assert not any("owns" not in record["question"] for record in taken)


@pytest.mark.slow
def test_sums_stand_in_both_orders_and_a_share_takes_a_detour() -> None:
    orders = [PLAIN[i]["solution"] == PROBLEMS[i]["solution"] for i in range(200)]
    assert 60 < sum(orders) < 150
    some = Written(PROBLEMS, detours=0.5)
    both = [(a["detour"], b["detour"]) for a, b in zip(some, DETOURS, strict=True)]
    assert all(a <= b for a, b in both)
    assert 0.3 < sum(a for a, _ in both) / sum(b for _, b in both) < 0.7
    assert sum(record["detour"] for record in PLAIN) == 0


def test_a_wrong_share_is_refused_and_digests_differ() -> None:
    with pytest.raises(ValueError, match="share"):
        Written(PROBLEMS, detours=1.5)
    assert len({PLAIN.digest(), DETOURS.digest(), Written(PROBLEMS, 0.5).digest()}) == 3


def test_text_to_read_holds_no_solution() -> None:
    code, sources = words_of((BRIEF, BAGGED), 12), [Reading(PROBLEMS), Reading(Problems(size=50, wording=BAGGED))]
    facts = [sources[0][i]["text"] for i in range(1, 400, 2)]
    assert all(all(checked_steps(text)) for text in facts)
    assert np.mean([len(checked_steps(text)) for text in facts]) > 5
    assert {word for text in facts for word in text.split()} >= {"+", "-", "*", "/", "0", "12"}
    for source in sources[:1]:
        for i in range(0, 400, 2):
            text = source[i]["text"]
            assert "ans" not in text
            assert "=" not in text
            half = text.split()
            assert half[: len(half) // 2] == half[len(half) // 2 :]
            code.encode([text])
