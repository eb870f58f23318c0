"""DigiRL: critics see success alone, arms have equal episodes and updates, moments pass to the online stage."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.preference_rl.digirl_offline_to_online import (
    CRITICS,
    DIGIRL,
    EXPERIMENT,
    GOING_ON,
    OFFLINE,
    preset,
)
from stagejax import Plan
from stagejax.data.control.phone_tasks import goals_of
from stagejax.names import slug

pytestmark = pytest.mark.slow  # many programs are compiled
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def of_arm(results: dict[str, Any], arm: str, stage: str) -> Any:
    return results[f"0/{slug(arm)}/{stage}"]


def test_eyes_are_frozen_behind_the_first_stage(finished: Any) -> None:
    results, _, _ = finished
    eyes = {path: leaf for path, leaf in flat(results["eyes"]).items() if path.startswith("vision/")}
    last = of_arm(results, DIGIRL, "online").member("policy")
    assert all(np.array_equal(leaf, flat(last)[path]) for path, leaf in eyes.items())
    sft, moved = flat(results["sft"]), flat(last)
    assert any(not np.array_equal(sft[path], moved[path]) for path in moved if path not in eyes)
    assert results["eyes"].history.train["loss"][-1] < results["eyes"].history.train["loss"][0]
    assert results["sft"].history.train["loss"][-1] < results["sft"].history.train["loss"][0]


def test_arms_have_as_many_episodes_and_updates_and_only_their_critics(finished: Any) -> None:
    results, _, _ = finished
    for arm in SMOKE.arms:
        result = of_arm(results, arm, "online")
        assert set(result.model) == {"policy", "store", *CRITICS.get(arm, ("instruction", "step"))}
        state = result.state()
        assert int(state["policy"].step) == SMOKE.online * SMOKE.updates[2]
        filled = int((np.asarray(state["store"].rest["lengths"]) > 0).sum())
        assert filled == SMOKE.logged + SMOKE.episodes * SMOKE.online
        assert result.cost.sampled_tokens > 0


def test_critics_pass_with_their_moments_and_the_store_goes_on(finished: Any) -> None:
    results, _, _ = finished
    online = of_arm(results, DIGIRL, "online")
    rows = {row[0]: row[3] for row in online.handover if "moments" in row[0]}
    assert {f"{name}: moments mu" for name in ("policy", "instruction", "step")} <= set(rows)
    assert set(rows.values()) == {"carry"}
    log, store = (result.state()["store"].rest for result in (results["0/log"], online))
    there = np.asarray(log["lengths"]) > 0
    kept = np.asarray(store["actions"])[-int(there.sum()) - SMOKE.episodes * SMOKE.online :][: int(there.sum())]
    np.testing.assert_array_equal(kept, np.asarray(log["actions"])[there])
    assert {"kept", "cutoff", "instruction_held", "step_held", "right"} <= set(online.history.train)


def test_online_episodes_are_on_other_devices_than_those_of_the_log(finished: Any) -> None:
    results, _, _ = finished
    log, store = (results[name].state()["store"].rest for name in ("0/log", f"0/{slug(DIGIRL)}/online"))
    logged, new = np.asarray(log["screens"])[-SMOKE.logged :], np.asarray(store["screens"])
    new = new[-SMOKE.episodes * SMOKE.online :]
    assert not {first.tobytes() for first in logged[:, 0]} & {first.tobytes() for first in new[:, 0]}
    stages = [results[name].stage for name in ("0/log", f"0/{slug(DIGIRL)}/online", "0/redesigned")]
    assert len({stage.seed for stage in stages}) == len({stage.data.seed for stage in stages}) == 3


def test_what_training_is_asked_for_is_in_no_test_and_icons_change(finished: Any) -> None:
    results, report, _ = finished
    store = of_arm(results, DIGIRL, "online").state()["store"].rest
    asked = {tuple(goal) for goal in np.asarray(store["goals"])[np.asarray(store["lengths"]) > 0].tolist()}
    tested = {tuple(goal) for goals in goals_of(SMOKE.phone, "test") for goal in goals.tolist()}
    assert asked
    assert not asked & tested
    redesigned = results["0/redesigned"].stage.step
    assert redesigned.collect.emulator.era == redesigned.learn.emulator.era == 1
    assert [row[0] for row in report.tables[1].rows][-2:] == [DIGIRL, GOING_ON]
    limits = results["limits"].value
    assert limits["a script that sees the state"] > limits["random taps"]
    for name in ("tests/sft/0", "tests/0/going-on/1"):
        assert len(results[name].value["right"]) == SMOKE.tests[0] * SMOKE.tests[1]
        assert results[name].cost.flops > 0


def test_rates_are_chosen_by_validation_and_all_are_charged(finished: Any) -> None:
    results, report, _ = finished
    row = next(row for row in report.tables[3].rows if row[0] == DIGIRL)
    tried = {float(rate): of_arm(results, DIGIRL, f"{rate}/online") for rate in row[1].split(", ")}
    assert set(SMOKE.rates) <= set(tried)
    assert len(tried) <= len(SMOKE.rates) + 2
    assert {result.steps for result in tried.values()} == {SMOKE.pilot}
    success = {rate: result.history.last("success") for rate, result in tried.items()}
    assert success[row[3]] == max(success.values())
    assert len(tried) > len(SMOKE.rates) or row[4] == ""  # an end is gone past
    assert of_arm(results, DIGIRL, "online").stage.optimizer["policy"].peak == row[3]
    arm = next(arm for arm in report.arms if arm.name == DIGIRL)
    charged = {result.name for result in (*arm.results, *arm.charged)}
    assert {r.name for r in tried.values()} | {"eyes", "sft", "0/log", "0/instruction", "0/step"} <= charged


def test_a_plan_tests_no_claim_and_all_arms_of_long_are_as_long() -> None:
    cfg = replace(SMOKE, arms=preset("long").arms)
    plan = Plan.on("data=1", price=False)
    report = EXPERIMENT.pipeline(plan, cfg)
    assert {claim.verdict for claim in report.claims} == {"not tested"}
    results = {result.name: result for result in plan.results}
    total = cfg.offline[2] + cfg.online
    for arm in cfg.arms:
        names = ("offline",) if arm == OFFLINE else ("offline", "online")
        stages = [of_arm(results, arm, name).stage for name in names]
        assert sum(stage.steps for stage in stages) == total
        for stage in stages:
            learn = getattr(stage.step, "learn", stage.step)
            assert (learn.updates[2], learn.rows, learn.capacity) == (cfg.updates[2], cfg.rows, cfg.capacity)
    assert results["0/longer/log"].stage.steps * cfg.episodes == cfg.logged + cfg.online * cfg.episodes
