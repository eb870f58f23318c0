"""Guided steps: what is right is right, what is spoilt is wrong, and all of it can be read back."""

from __future__ import annotations

import numpy as np
import pytest

from stagejax.data import guided_steps as steps
from stagejax.data.planned_problems import PlannedProblems
from stagejax.data.problems import Problems
from stagejax.data.together import Together
from stagejax.data.written import BRIEF

SOURCE = PlannedProblems(
    Together(tuple(Problems(size=12, steps=(n,), largest=20, asides=n % 2, wording=BRIEF) for n in (1, 2, 3, 4)))
)
RECORDS = [SOURCE[i] for i in range(len(SOURCE))]


@pytest.mark.parametrize("guide", steps.GUIDES)
def test_guided_steps_are_read_as_the_next_right_ones(guide: str) -> None:
    for record in RECORDS:
        for done in range(len(record["steps"]) + 1):
            said = steps.calculations(steps.guided(record, done, guide))
            assert said is not None
            assert len(said) == (2 if guide == steps.TWO and done + 2 <= len(record["steps"]) else 1)
            assert steps.right_step(record, record["steps"][:done], said)


def test_spoilt_steps_are_wrong_and_what_they_are_called() -> None:
    rng = np.random.default_rng(0)
    kinds = set()
    for record in RECORDS:
        for done in range(len(record["steps"]) + 1):
            for _ in range(8):
                step, kind = steps.spoilt(record, done, 20, rng)
                kinds.add(kind)
                said = steps.calculations(step)
                assert said == (step,)
                assert not steps.right_step(record, record["steps"][:done], said)
                if kind == steps.AGAIN:
                    assert step in record["steps"][:done]
                if kind in (steps.SUM, steps.READ) and not step.startswith(steps.ANS):
                    a, sign, b, result = steps.operands(step)
                    right = steps.applied(int(a), sign, int(b))
                    assert (right == int(result)) is (kind == steps.READ)
                    assert 0 <= int(result) <= 20
    assert kinds == set(steps.REASONS)


def test_derailed_solutions_end_in_an_answer_and_are_wrong() -> None:
    rng = np.random.default_rng(1)
    for record in RECORDS * 3:
        chain = steps.derailed(record, 20, rng)
        assert chain[-1].startswith(steps.ANS)
        assert not steps.right_step(record, chain, ())
        assert all(steps.calculations(step) for step in chain)


def test_texts_have_the_verdicts_of_their_steps() -> None:
    code = steps.vocabulary(20)
    texts = steps.GuidedSteps(SOURCE, 20)
    assert len(texts) == len(SOURCE) * len(texts.skills)
    seen: dict[str, list[bool]] = {steps.STEP: [], steps.WHOLE: []}
    for index in range(len(texts)):
        own, record = texts[index], RECORDS[index // len(texts.skills)]
        assert code.decode(code.encode([own["prompt"]])[0]) == own["prompt"]
        assert code.decode(code.encode([own["reply"]])[0]) == own["reply"]
        before, _, after = own["prompt"].partition(" a: ")
        assert before == f"q: {record['question']}"
        if own["skill"] in seen:
            state, _, said = after.removesuffix(" is").rpartition("check ")
            done = [part.strip() for part in state.split(";") if part.strip()]
            found = () if said == "all" else steps.calculations(said)
            assert found is not None
            right = steps.right_step(record, done, found)
            assert right is (own["reply"] == steps.OK)
            seen[own["skill"]].append(right)
        elif own["skill"] == steps.CORRECTED:
            assert steps.BAD in after.split()
            assert steps.calculations(own["reply"])
        elif own["skill"] in (steps.CHAIN, steps.REFINED):
            assert own["reply"] == " ; ".join([*record["steps"], f"ans {record['answer']}"])
    assert all(0.3 < np.mean(own) < 0.7 for own in seen.values())


def test_complexity_counts_irrelevant_numbers() -> None:
    for record in RECORDS:
        asides = len(record["steps"]) % 2
        assert steps.complexity(record["question"]) == len(record["steps"]) + asides
        assert len(steps.clauses(record["question"])) == len(record["steps"])
