"""Strategy library: equal budgets of the teacher, libraries that grow and name no case, and the rules of the claims."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from smoke import smoke_run

from experiments.distillation.strategy_library import (
    ALONE,
    ARMS,
    EXAMPLES,
    EXPERIMENT,
    FIRST,
    GENERAL,
    LIBRARY,
    ONCE,
    OTHER,
    OTHER_ALONE,
    RANDOM,
    RETRIEVED,
    TEACHER,
    TUNED,
    VISITED,
    Found,
    judged,
    preset,
    satisfaction,
)
from stagejax import Plan
from stagejax.data.dialogue.service_language import directives, masked
from stagejax.inference.prompts.guidance import library_of
from stagejax.names import slug
from stagejax.result import Result

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def made(seen: float, unseen: float) -> Result:
    return Result("", "make", "", 1, value={"seen": [seen] * 4, "unseen": [unseen] * 4})


def found_of(**content: list[float]) -> Found:
    """Satisfaction by arm, one a seed; the same for both kinds of customers."""
    labels = {"alone": ALONE, "general": GENERAL, "random": RANDOM, "library": LIBRARY, "first": FIRST,
              "visited": VISITED, "once": ONCE, "examples": EXAMPLES, "tuned": TUNED, "other_alone": OTHER_ALONE,
              "other": OTHER}  # fmt: skip
    base = {name: [0.4] * 3 for name in labels} | {"library": [0.8] * 3, "other": [0.7] * 3} | content
    tests = {labels[name]: {seed: made(own, own) for seed, own in enumerate(by)} for name, by in base.items()}
    return Found(preset("laptop"), tests=tests)


def test_claims_are_judged_by_the_rules_of_the_docstring() -> None:
    def verdicts(**content: list[float]) -> list[bool]:
        return [claim.verdict == "holds" for claim in judged(found_of(**content))]

    assert verdicts() == [True] * 5
    assert verdicts(general=[0.76] * 3) == [False, True, True, True, True]
    assert verdicts(tuned=[0.79] * 3) == [False, True, True, True, True]
    assert verdicts(tuned=[0.77] * 3)[0]
    assert verdicts(other=[0.67] * 3)[1] is False  # 0.27 of 0.40
    assert verdicts(other=[0.69] * 3)[1]
    assert verdicts(visited=[0.81] * 3) == [True, True, False, True, True]
    assert verdicts(visited=[0.8] * 3, once=[0.9] * 3)[2]
    assert verdicts(examples=[0.9, 0.7, 0.78])[3] is False
    assert verdicts(random=[0.85] * 3)[3] is False
    assert verdicts(first=[0.6, 0.85, 0.8])[4] is False


def test_customers_of_both_kinds_are_told_apart() -> None:
    found = Found(preset("laptop"), tests={LIBRARY: {0: made(0.2, 0.6)}}, fixed={ALONE: made(0.5, 0.5)})
    assert found.content(LIBRARY, "seen") == [0.2]
    assert found.content(LIBRARY, "unseen") == [0.6]
    assert found.content(LIBRARY) == [pytest.approx(0.4)]
    assert len(found.content(ALONE)) == 3
    assert satisfaction(Result("", "make", "", 1)) == []


@pytest.mark.slow
def test_a_plan_tests_no_claim() -> None:
    plan = Plan.on("data=1", price=False)
    report = EXPERIMENT.pipeline(plan, replace(preset("laptop"), seeds=(0,)))
    assert {claim.verdict for claim in report.claims} == {"not tested"}
    tests = {result.name for result in plan.results if result.name.endswith("/test")}
    assert {f"0/{slug(label)}/test" for label in (*RETRIEVED, GENERAL, RANDOM, TUNED, OTHER)} <= tests


@pytest.mark.slow
def test_libraries_grow_name_no_case_and_cost_what_is_said(finished: Any) -> None:
    results, report, _ = finished
    for label in (LIBRARY, FIRST):
        done = [results[f"0/{slug(label)}/{number}"].value for number in range(SMOKE.rounds)]
        for before, after in itertools.pairwise(done):
            assert after["entries"][: len(before["entries"])] == before["entries"]
        for entry in library_of(done[-1]):
            assert masked(entry.scenario) == entry.scenario
            assert masked(entry.text) == entry.text
    rounds = [results[f"0/{slug(LIBRARY)}/{number}"].value for number in range(SMOKE.rounds)]
    first = [results[f"0/{slug(FIRST)}/{number}"].value for number in range(SMOKE.rounds)]
    replies = results["0/replies"].value
    assert all(one["queries"] <= own["queries"] for own, one in zip(rounds, first, strict=True))
    assert replies["queries"] == len(replies["states"]) <= sum(own["queries"] for own in rounds)
    for own in rounds:
        assert own["queries"] >= 2 * len(own["states"])
        assert own["mastered"] <= len(own["states"]) <= SMOKE.how.scenarios
        assert set(own["states"]) <= set(own["visited"])
    assert len(results["0/visited"].value["states"]) <= SMOKE.rounds * SMOKE.how.scenarios
    charged = {arm.group: {one.name for one in arm.charged} for arm in report.arms}
    for label in (LIBRARY, FIRST, ONCE, VISITED, EXAMPLES, TUNED, GENERAL, RANDOM, OTHER):
        assert "teacher" in charged[label]
    assert {f"0/{slug(LIBRARY)}/{number}" for number in range(SMOKE.rounds)} <= charged[TUNED] & charged[OTHER]


@pytest.mark.slow
def test_every_arm_is_tested_with_the_same_customers_and_told(finished: Any) -> None:
    results, report, _ = finished
    titles = {table.title: table for table in report.tables}
    assert [row[0] for row in titles["Satisfaction of test customers"].rows] == list(ARMS)
    for name, result in results.items():
        if name.endswith("/test"):
            assert (len(result.value["seen"]), len(result.value["unseen"])) == SMOKE.test
            assert all(0 <= own <= 1 for own in satisfaction(result))
            assert result.cost.sampled_tokens > 0
    for label in (LIBRARY, RANDOM, GENERAL):
        text = results[f"0/{slug(label)}/test"].value
        assert 0 <= text["guided"] <= 1
    assert results[f"{slug(TEACHER)}/test"].value["guided"] == 0
    assert len(report.claims) == 5
    rows = results["0/rows"].value
    assert np.array_equal(rows["tokens"].shape, rows["weights"].shape)
    assert (rows["weights"].sum(1) > 0).all()
    losses = results["student"].history.train["loss"]
    assert losses[-1] < 0.7 * losses[0]
    for row in titles["The library"].rows:
        assert len(directives(row[1])) >= 1
