"""Multi-level training at smoke size: down and up by the paper's maps, mixed with what was saved, and paid for."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.growth.multi_level import (
    EXPERIMENT,
    SCRATCH,
    SMALL,
    STACK,
    THREE,
    V_CYCLE,
    model,
    preset,
    stage,
    step_flops,
)
from stagejax import Plan

pytestmark = pytest.mark.slow  # a smoke run of minutes
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def test_every_arm_learns(finished: Any) -> None:
    results, _, _ = finished
    for name, result in results.items():
        if result.kind == "train" and len(result.history.evals) > 1:  # a pilot is scored at its end alone
            held_out = [row["loss"] for row in result.history.evals]
            assert held_out[-1] < held_out[0], name


def test_the_rates_are_those_that_ended_best_on_records_that_no_stage_reads(finished: Any) -> None:
    results, report, _ = finished
    for name, result in results.items():
        if result.kind == "train":
            read, held = result.stage.data.source.train, result.stage.evaluate.data.source.test
            apart = replace(read, start=0, stop=SMOKE.kept)
            assert read.start == SMOKE.kept
            assert held == (apart if name.startswith("rates/") else read.source.of_split("test"))
    pilots = {name: result for name, result in results.items() if name.startswith("rates/scratch/")}
    assert len(pilots) > len(SMOKE.rates)  # of two rates the best is at an end
    best = min(pilots.values(), key=lambda result: result.history.last("loss"))
    chosen = best.stage.optimizer.peak
    for name in ("scratch/0", "v-cycle/0/1/warm", "v-cycle/0", "half/0"):
        assert results[name].stage.optimizer.peak == chosen, name
    for name in ("small/0", "v-cycle/0/1/below", "three-levels/0/2/warm"):
        assert results[name].stage.optimizer.peak == SMOKE.small_rates[0], name
    assert [(row[0], row[3]) for row in report.tables[1].rows] == [(SCRATCH, chosen), (SMALL, SMOKE.small_rates[0])]


def test_scratch_and_small_models_have_the_same_candidates_and_the_dossiers_steps() -> None:
    laptop = preset("laptop")
    assert laptop.rates == laptop.small_rates
    assert (laptop.steps, laptop.warm_steps, laptop.small_steps, laptop.large_steps) == (600, 30, 300, 300)


def test_coalescing_averages_layers_in_pairs_and_sums_what_reads(finished: Any) -> None:
    results, _, _ = finished
    large, small = flat(results["v-cycle/0/1/warm"]), flat(results["v-cycle/0/1/down"])
    tokens = large["tokens/table"].reshape(SMOKE.vocab, 2, -1)  # unit j and j + half are merged
    np.testing.assert_allclose(small["tokens/table"], tokens.mean(1), atol=1e-6)
    up = next(path for path in large if path.endswith("up/kernel"))
    layers = large[up].reshape(2, 2, 2, SMOKE.embed // 2, 2, SMOKE.mlp // 2)  # pair, layer, reads twice, writes twice
    np.testing.assert_allclose(small[up], layers.mean(1).sum(1).mean(2), atol=1e-6)


def test_the_way_up_mixes_the_saved_model_with_copies(finished: Any) -> None:
    results, _, _ = finished
    for arm, alpha in (("v-cycle", 0.25), ("alpha-0.5", 0.5), ("alpha-1", 1.0)):
        warm, small, mixed = (flat(results[f"{arm}/0/1/{part}"]) for part in ("warm", "below", "up"))
        copies = np.concatenate([small["tokens/table"]] * 2, axis=1)
        expected = (1 - alpha) * warm["tokens/table"] + alpha * copies
        np.testing.assert_allclose(mixed["tokens/table"], expected, atol=1e-6)
    up = next(path for path in mixed if path.endswith("up/kernel"))
    np.testing.assert_array_equal(mixed[up][0], mixed[up][1])  # with alpha = 1 merged layers stay equal
    half = SMOKE.mlp // 2
    np.testing.assert_array_equal(mixed[up][..., :half], mixed[up][..., half:])


def test_three_levels_nest(finished: Any) -> None:
    results, _, _ = finished
    sizes = [
        results[f"three-levels/0/{part}"].model.embed for part in ("1/warm", "2/warm", "2/below", "2/up", "1/below")
    ]
    assert sizes == [32, 16, 8, 16, 16]
    assert results["three-levels/0/1/warm"].digest == results["v-cycle/0/1/warm"].digest


def test_all_arms_but_scratch_spend_the_same(finished: Any) -> None:
    _, report, _ = finished
    large = step_flops(stage(SMOKE, "price", 0, model(SMOKE, 0), 1, 0))
    spent = {arm.name: arm.cost.flops + arm.charged_cost.flops for arm in report.arms}
    assert spent.pop(SCRATCH) == SMOKE.steps * large
    assert max(spent.values()) - min(spent.values()) <= large
    by_name = {arm.name: arm for arm in report.arms}
    assert by_name[THREE].charged_cost.flops > by_name[V_CYCLE].charged_cost.flops > 0
    assert by_name[STACK].charged[0].model.layers == SMOKE.layers // 2


def test_up_and_down_is_exact_and_the_published_tables_are_not(finished: Any) -> None:
    results, report, _ = finished
    assert results["exact/distance"].value < 1e-6
    assert results["exact/width"].receipt["logit_change"] < 1e-4
    assert results["exact/tables"].receipt["logit_change"] > 1e-3
    assert [claim.verdict for claim in report.claims[-3:]] == ["holds"] * 3


@pytest.mark.parametrize("kind", ["bert", "vit"])
def test_a_plan_of_another_kind_tests_no_claim(kind: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=2", price=False), replace(SMOKE, kind=kind))
    assert {claim.verdict for claim in report.claims} == {"not tested"}


def test_what_claims_compare_is_trained_from_every_seed() -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), replace(SMOKE, seeds=(0, 3)))
    seeds = {row[0]: row[-1] for row in report.tables[0].rows}
    assert {label for label, count in seeds.items() if count == 1} == {"layers in halves", "FPI + stack", STACK}
    assert [arm.against for arm in report.arms if arm.group == V_CYCLE] == [SCRATCH, f"{SCRATCH}, seed 3"]
