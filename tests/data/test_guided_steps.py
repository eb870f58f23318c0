"""Guided steps: what is right is right, what is spoilt is wrong, and all of it can be read back."""

from __future__ import annotations

import re

import numpy as np
import pytest

from stagejax.data.reasoning import guided_steps as steps
from stagejax.data.reasoning.planned_problems import PlannedProblems
from stagejax.data.reasoning.problems import Problems
from stagejax.data.reasoning.written import BRIEF
from stagejax.data.together import Together

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
        text = own["text"]
        assert code.decode(code.encode([text])[0]) == text
        assert text.startswith(f"( {record['question']} ) ")
        learned = re.sub(r"\(.*?\)", "", text).strip()
        state, *turns = re.findall(r" \) ([^()]*)\( ([^()]*) \) ?(?=([^()]*))", text)
        done = [part.strip() for part in state[0].split(";") if part.strip()]
        assert steps.right_step(record, done, ())
        if own["skill"] in seen:
            asked = re.findall(r"\( ([^()]*) \) ((?:ok|bad)[^()]*)", text)
            assert len(asked) == {steps.STEP: 4, steps.WHOLE: 2}[own["skill"]]
            for said, verdict in asked:
                step = said.rpartition("check ")[2]
                before = done if step != "all" else [part.strip() for part in said.split(";")[:-1]]
                found = () if step == "all" else steps.calculations(step)
                assert found is not None
                right = steps.right_step(record, before, found)
                assert right is (verdict.strip() == steps.OK)
                seen[own["skill"]].append(right)
        elif own["skill"] == steps.CORRECTED:
            assert steps.BAD in text.split()
            assert steps.BAD not in learned.split()
        elif own["skill"] in (steps.CHAIN, steps.REFINED):
            assert learned == " ; ".join([*record["steps"], f"ans {record['answer']}"])
        assert not turns or own["skill"] in seen
    assert all(0.3 < np.mean(own) < 0.7 for own in seen.values())


def test_complexity_counts_irrelevant_numbers() -> None:
    for record in RECORDS:
        asides = len(record["steps"]) % 2
        assert steps.complexity(record["question"]) == len(record["steps"]) + asides
        assert len(steps.clauses(record["question"])) == len(record["steps"])
