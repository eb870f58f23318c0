"""BASH and RAC: rows are made by the current weights, controls match, arms have equal steps, and both answers count."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from smoke import smoke_run

from experiments.objective.self_generated_tokens_bash_rac import (
    ANNEALED,
    BASH,
    CHANGED,
    EXPERIMENT,
    INLINE,
    ONLINE,
    RAC,
    RANDOM,
    SFT,
    examined,
    preset,
    tuned,
    ways,
)
from stagejax import Plan
from stagejax.inference.prompts.drafting import CORRECT
from stagejax.inference.prompts.self_generated import OwnTokens, rows_of
from stagejax.names import slug

SMOKE = preset("smoke")
TASK = SMOKE.tasks[0]
finished = smoke_run(EXPERIMENT, SMOKE)


def best(results: Any) -> float:
    """The eps whose BASH is best on development pairs."""
    return max(SMOKE.eps, key=lambda eps: results[f"problems/0/bash-{eps:g}/1/dev"].value)


def named(results: Any, arm: str) -> str:
    return f"problems/0/bash-{best(results):g}" if arm == BASH else f"problems/0/{slug(arm)}"


def rows(results: Any, arm: str, number: int) -> dict[str, np.ndarray]:
    return results[f"{named(results, arm)}/{number}/rows"].value


@pytest.mark.slow  # the run, for all tests of it
def test_rows_of_a_round_are_made_by_the_weights_that_it_begins_with(finished: Any) -> None:
    results, _, _ = finished
    way, data = OwnTokens(best(results)), tuned(SMOKE, TASK, "again", 1e-3, 0).data
    before = results[f"{named(results, BASH)}/0"]
    numbers = (SMOKE.pairs, 2 * SMOKE.pairs)
    again = {
        net.name: rows_of(net, data, numbers, (TASK.prompt, TASK.answer), way, 0)
        for net in (before, results["problems/base"])
    }
    made = rows(results, BASH, 1)
    np.testing.assert_array_equal(again[before.name]["tokens"], made["tokens"])
    assert (again["problems/base"]["tokens"] != made["tokens"]).any()
    for name in again[before.name]:
        np.testing.assert_array_equal(again[before.name][name], made[name])


@pytest.mark.slow
def test_all_arms_learn_the_same_pairs_and_gold_alone(finished: Any) -> None:
    results, _, _ = finished
    for number in range(SMOKE.rounds):
        gold = rows(results, SFT, number)
        for arm in (BASH, RANDOM, CHANGED, ONLINE, ANNEALED):
            own = rows(results, arm, number)
            np.testing.assert_array_equal(own["targets"], gold["targets"])
            np.testing.assert_array_equal(own["weights"], gold["weights"])
            changed = (own["tokens"] != gold["tokens"]).any()
            assert changed == (arm != ONLINE and not (arm == ANNEALED and number == 0))
        own, noise, matched = (rows(results, arm, number)["replaced"] for arm in (BASH, RANDOM, CHANGED))
        assert noise.sum() > own.sum()
        assert number or not (matched & ~own).any()  # later weights differ
        for arm in (RAC, INLINE):
            own, half = rows(results, arm, number), SMOKE.pairs // 2
            corrected = (own["tokens"] == CORRECT).any(1)
            assert corrected.sum() <= half
            assert corrected.sum() == half or arm == INLINE
            for row in np.flatnonzero(corrected):
                learned = own["targets"][row][own["weights"][row] > 0]
                reference = gold["targets"][row][gold["weights"][row] > 0]
                assert learned[0] == CORRECT
                np.testing.assert_array_equal(learned[1:], reference if arm == RAC else reference[1 - len(learned) :])


@pytest.mark.slow
def test_arms_have_equal_steps_and_generation_and_searches_are_charged(finished: Any) -> None:
    results, report, _ = finished
    arms = {arm.name: arm for arm in report.arms}
    assert len(arms) == 2 * len(SMOKE.arms)
    assert {arm.cost.steps for arm in arms.values()} == {SMOKE.rounds * SMOKE.steps}
    for arm in (SFT, RANDOM, ONLINE):
        assert sum(int(rows(results, arm, j)["stepped"].sum()) for j in range(SMOKE.rounds)) == 0
    for arm in (BASH, CHANGED, RAC, INLINE, ANNEALED):
        made = [results[f"{named(results, arm)}/{j}/rows"] for j in range(SMOKE.rounds)]
        assert all(any(own is charged for charged in arms[f"problems: {arm}"].charged) for own in made)
        assert all(own.cost.sampled_tokens > 0 and own.cost.flops > 0 for own in made)
    cost = {arm: arms[f"problems: {arm}"].cost.flops for arm in SMOKE.arms}
    assert cost[BASH] == cost[SFT] < cost[ONLINE]
    searched = {r.name for r in arms[f"problems: {RANDOM}"].charged}
    assert {f"problems/0/bash-{eps:g}/1" for eps in SMOKE.eps} <= searched
    assert all("problems/rate/0.01" in {r.name for r in arm.charged} for name, arm in arms.items() if "prob" in name)


@pytest.mark.slow
def test_both_answers_are_counted(finished: Any) -> None:
    results, report, _ = finished
    for arm in (SFT, RAC):
        last = results[f"{named(results, arm)}/1"]
        found = results[f"{last.name}/examined"].value
        assert found["twice tokens"] > found["first tokens"]
        assert found == examined(SMOKE, TASK, last, arm)
    assert "twice" not in results[f"{named(results, BASH)}/1/examined"].value
    assert len(report.claims) == 5
    assert {claim.verdict for claim in report.claims} <= {"holds", "does not hold"}


def test_eps_is_annealed_and_controls_have_that_of_bash() -> None:
    cfg = replace(preset("smoke"), rounds=3, eps=(0.1, 0.5))
    assert [ways(cfg, ANNEALED, 0.1)(number).eps for number in range(3)] == [0.0, 0.25, 0.5]
    assert (
        ways(cfg, BASH, 0.1)(0).eps == ways(cfg, RANDOM, 0.1)(0).like.eps == ways(cfg, CHANGED, 0.1)(2).like.eps == 0.1
    )
    assert ways(cfg, SFT, 0.1)(1) == ways(cfg, ONLINE, 0.1)(1)


@pytest.mark.slow
def test_a_plan_tests_no_claim() -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), SMOKE)
    assert {claim.verdict for claim in report.claims} == {"not tested"}
