"""GrowCLIP at smoke size: the search tries what may grow on new data, inherits with momentum, and is paid for."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.growth.grow_clip import (
    APART,
    EXPERIMENT,
    GROW,
    LARGE,
    RANDOM,
    SMALL,
    base,
    preset,
    price,
    space,
    stage,
    trial,
)
from stagejax import Plan
from stagejax.search.gain import steepest

pytestmark = pytest.mark.slow  # a smoke run of minutes
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def test_the_search_picks_what_its_scores_say(finished: Any) -> None:
    results, report, _ = finished
    scores = {
        c: (results[f"growclip/0/1/{c}"].history.last("loss"), price(SMOKE, model))
        for c, model in space(SMOKE, base(SMOKE), 1).items()
    }
    assert set(scores) == {"none", "image", "width"}
    grew = report.tables[1].rows[0][3]
    assert grew == steepest(scores, "none")
    assert results["growclip/0/1"].model == space(SMOKE, base(SMOKE), 1)[grew]


def test_candidates_are_judged_on_held_out_pairs_of_the_new_data() -> None:
    judged = trial(SMOKE, "trial", 0, 1, base(SMOKE)).evaluate.data.source
    assert judged.split == "valid"
    assert [part.relations for part in judged.parts] == [("left of", "above")]
    learned = stage(SMOKE, "train", 0, 1, base(SMOKE), 1).data.source
    assert [part.relations for part in learned.parts] == [("left of",), ("left of", "above")]


def test_every_arm_spends_the_budget_and_pays_for_its_search(finished: Any) -> None:
    _, report, _ = finished
    small = price(SMOKE, base(SMOKE))
    for arm in report.arms:
        assert abs(arm.cost.flops - sum(SMOKE.budget) * small) <= 2 * price(SMOKE, arm.results[-1].model), arm.name
    grown = next(arm for arm in report.arms if arm.name == GROW)
    trials = [result for result in grown.results if result.name.count("/") == 3 and result.kind == "train"]
    assert len(trials) == 3
    assert all(result.steps == SMOKE.search_steps and result.cost.eval_flops == 0 for result in trials)
    assert sum(result.cost.flops for result in trials) > 3 * SMOKE.search_steps * small


def test_every_arm_is_measured_against_the_fixed_small_model_of_its_own_seed() -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), replace(SMOKE, seeds=(0, 1)))
    against = {arm.name: arm.against for arm in report.arms}
    assert against[GROW] == SMALL
    assert against[f"{GROW}, seed 1"] == f"{SMALL}, seed 1"


def test_momentum_mixes_old_and_fresh(finished: Any) -> None:
    results, _, _ = finished
    fresh, pure, mixed = (flat(results[f"{name}/0/1/start"]) for name in ("m-0", "m-1", "growclip"))
    for path, leaf in mixed.items():
        np.testing.assert_allclose(leaf, 0.9 * pure[path] + 0.1 * fresh[path], atol=1e-6, err_msg=path)
    receipt = results["m-1/0/1/start"].receipt
    if results["m-1/0/1"].model == base(SMOKE):
        assert receipt["loss_after"] == pytest.approx(receipt["loss_before"], abs=1e-6)


def test_growth_stays_within_its_limits() -> None:
    sizes = space(SMOKE, base(SMOKE), 1)
    assert sizes["width"].image.embed == 24
    assert sizes["image"].image.layers == 2
    assert list(space(SMOKE, sizes["image"], 1)) == ["none", "width"]
    assert list(space(replace(SMOKE, capacity=(1.0, 1.0)), base(SMOKE), 1)) == ["none"]


def test_without_a_shared_encoder_there_are_more_parameters_and_as_many_flops() -> None:
    plan = Plan.on("data=1", price=False)
    report = EXPERIMENT.pipeline(plan, replace(SMOKE, controls=(LARGE, APART, RANDOM)))
    assert {LARGE, APART} <= {arm.name for arm in report.arms}
    planned = {stage.name: stage.parameters for stage in plan.stages}
    assert planned["no-shared-encoder/0/0"] > planned["fixed-small/0/0"]
    assert price(SMOKE, base(SMOKE).unshared()) == price(SMOKE, base(SMOKE))


def test_a_plan_tests_no_claim() -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=2", price=False), SMOKE)
    assert {claim.verdict for claim in report.claims} == {"not tested"}
