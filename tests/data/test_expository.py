"""Prose tells facts that hold, all of those that problems need, and asks nothing."""

from __future__ import annotations

import re

import pytest

from stagejax.data.reasoning.expository import WORDS, Expository
from stagejax.data.reasoning.kinds_of_problems import KINDS, kind_of, vocabulary
from stagejax.data.reasoning.problems import Problems, applied, checked_steps
from stagejax.data.reasoning.synthesis import Solved, steps_of

PROSE = Expository(9, size=400)
TEXTS = [PROSE[i]["text"] for i in range(400)]
FACT = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")


def test_facts_hold_and_nothing_is_asked() -> None:
    for text in TEXTS:
        assert "?" not in text
        for a, sign, b, c in FACT.findall(text):
            assert applied(int(a), sign, int(b)) == int(c)
            assert checked_steps(f"{a} {sign} {b} = {c}") == [True]
            assert max(int(a), int(b), int(c)) <= 9


def test_every_fact_that_a_problem_needs_is_told() -> None:
    told = {" ".join(fact) for text in TEXTS for fact in [(a, s, b) for a, s, b, _ in FACT.findall(text)]}
    for own in KINDS.values():
        problems = Problems(size=60, steps=(3,), largest=9, wording=own)
        for i in range(60):
            assert {step.partition(" = ")[0] for step in steps_of(problems[i]["solution"])} <= told


def test_records_are_a_function_of_seed_and_number() -> None:
    assert PROSE[7] == Expository(9, size=400)[7] != Expository(9, size=400, seed=1)[7]
    assert PROSE.digest() != Expository(9, size=400, seed=1).digest()
    with pytest.raises(ValueError, match="at least 6"):
        Expository(3)
    with pytest.raises(IndexError):
        PROSE[400]


def test_one_vocabulary_knows_all_words() -> None:
    code = vocabulary(9, 0).train(iter(()))
    for own in KINDS.values():
        source = Problems(size=20, steps=(2, 5), largest=9, wording=own)
        for i in range(20):
            text = Solved(source)[i]["text"]
            assert code.decode(code.encode([text])[0]) == text
            assert KINDS[kind_of(source[i]["question"])] == own
    assert code.decode(code.encode([TEXTS[0]])[0]) == TEXTS[0]
    assert set("+-*/=") <= set(WORDS)
