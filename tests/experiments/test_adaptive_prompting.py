"""Adaptive prompting: problems of no training text, arms that differ in what they say, equal tokens, honest claims."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from smoke import smoke_run

from experiments.reasoning.adaptive_prompting import (
    CHAINED,
    CHANGED,
    CHECKED_VOTE,
    EXPERIMENT,
    FULL,
    HELD,
    IRRELEVANT,
    LARGE,
    LONG,
    LUCK,
    SETS,
    SKILLS,
    VOTE,
    Found,
    corpus,
    preset,
    problems,
    questions,
)
from stagejax.data.reasoning.guided_steps import complexity
from stagejax.inference.reasoning.adaptive_control import Control

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def test_no_program_of_a_test_is_read_or_chosen_by() -> None:
    read = {problems(SMOKE)[i]["program"] for i in range(len(problems(SMOKE)))}
    valid, test = ({own["program"] for own in questions(SMOKE, side)} for side in (True, False))
    assert not read & valid
    assert not (read | valid) & test
    assert len(questions(SMOKE)) == 3 * SMOKE.tests
    assert len(questions(SMOKE, True)) == 3 * SMOKE.valid


def test_sets_are_as_declared() -> None:
    large = replace(SMOKE, tests=8)
    found: dict[str, list[tuple[int, int]]] = {name: [] for name in SETS}
    for own in questions(large):
        changes = len(own["steps"])
        found[own["set"]].append((changes, complexity(own["question"]) - changes))
    assert {changes for changes, _ in found[HELD]} == {1, 2, 3, 4}
    assert {changes for changes, _ in found[LONG]} == {5, 6, 7}
    assert {others for _, others in found[HELD] + found[LONG]} == {0, 1}
    assert {others for _, others in found[IRRELEVANT]} == {2}


def test_all_skills_are_read() -> None:
    texts, sums = corpus(SMOKE, 0).parts
    assert len(texts.data.source) == len(problems(SMOKE)) * len(SKILLS)
    assert {texts.data.source[i]["skill"] for i in range(len(SKILLS))} == set(SKILLS)
    row = texts.take(np.arange(1))
    assert SMOKE.words.decode(row["targets"][0][row["weights"][0] > 0]).count("?") == 0
    assert "=" in sums.source[0]["text"]


def test_an_arm_changes_one_thing() -> None:
    usual = Control()
    for label, how in CHANGED.items():
        own = replace(usual, **how)
        assert (own == usual) is (label in (FULL, "fixed steps"))


class Made:
    """What was said, without a run."""

    def __init__(self, value: dict[str, Any]) -> None:
        self.value = value


def found_with() -> Found:
    """The controller is right in all, the chain in the first half; of three samples the last two are right."""
    wanted = [own["answer"] for own in questions(SMOKE)]
    half, size = len(wanted) // 2, len(wanted)
    cfg = replace(SMOKE, samples=3)
    samples = [answer for own in wanted for answer in ("", own, own)]
    judged = [[0.9, True, True], [0.1, False, False]]
    value = {"answer": wanted, "tokens": [45] * size, "drawn": [30] * size, "calls": [9] * size, "judged": judged}
    said = {
        FULL: {0: Made({**value, "corrections": [[False, True], [True, True]]})},
        CHAINED: {0: Made({"answer": [*wanted[:half], *[None] * (size - half)]})},
        VOTE: {0: Made({"answer": samples, "drawn": [10] * len(samples), "read": [20] * len(samples)})},
        CHECKED_VOTE: {0: Made({"ok": [0.9, 0.1, 0.1] * size, "tokens": [15] * len(samples)})},
    }
    return Found(cfg, {}, said)


def test_votes_have_as_many_tokens_as_the_controller() -> None:
    found = found_with()
    assert found.votes(VOTE, 0) == 3  # 20 read and 10 drawn each: 40 are too few
    assert found.votes(CHECKED_VOTE, 0) == 1  # 20 and 25
    assert found.cost(VOTE, "tokens") == [50.0]
    assert found.cost(CHECKED_VOTE, "tokens") == found.cost(FULL, "tokens") == [45.0]
    assert found.cost(VOTE, "samples") == [3.0]
    assert found.accuracy(VOTE) == [100.0]
    assert found.accuracy(CHECKED_VOTE) == [0.0]


def test_measures() -> None:
    found = found_with()
    assert found.accuracy(FULL, HELD) == found.accuracy(FULL, changes=5) == [100.0]
    assert found.apart(FULL, CHAINED) == [50.0]
    assert found.turned(FULL, CHAINED, False, True) == [50.0]
    assert found.corrected(FULL, False, True) == [100 / len(questions(SMOKE))]
    assert found.corrected(FULL, True, False) == [0.0]
    assert found.validator(FULL, "AUC") == [100.0]
    assert 0 <= found.guess() < 60


def test_of_equal_options_the_first_is_chosen() -> None:
    answers = [own["answer"] for own in questions(SMOKE, True)]
    found = Found(SMOKE)
    tries = {
        0.5: Made({"answer": answers}),
        0.2: Made({"answer": answers}),
        0.8: Made({"answer": [None] * len(answers)}),
    }
    found.said.update({f"{FULL}/{own}": {0: made} for own, made in tries.items()})
    assert found.chosen(FULL, 0, tries) == 0.5
    assert found.tried[FULL][0] == {0.5: 100.0, 0.2: 100.0, 0.8: 0.0}
    assert found.extra(LUCK, 0) == tuple(tries.values())


@pytest.mark.slow
def test_smoke_run(finished: Any) -> None:
    results, found, folder = finished
    losses = results["0/small"].history.train["loss"]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    count = len(questions(SMOKE))
    full = results["0/adaptive"].value
    assert len(full["answer"]) == len(full["tokens"]) == count
    assert results["0/adaptive"].cost.sampled_tokens == sum(full["drawn"])
    assert len(results["0/vote"].value["answer"]) == SMOKE.samples * count
    assert all(own[0] is None for own in results["0/no-validator"].value["judged"])
    own = {arm.name: arm for arm in found.arms}
    assert set(own) >= {CHAINED, VOTE, CHECKED_VOTE, LARGE, *CHANGED}
    assert own[LARGE].results[0].digest == results["0/large"].digest
    assert len(own[FULL].charged) == len(SMOKE.thresholds) + 1
    assert (folder / "report.html").exists()
    assert all(c.verdict != "not tested" for c in found.claims)
