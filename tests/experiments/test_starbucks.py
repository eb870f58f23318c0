"""Starbucks at smoke size: what each stage trains, that every cup learns, and how arms are compared."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.objective.starbucks import (
    CUT,
    EXPERIMENT,
    SEPARATE,
    SEPARATE_FULL,
    SRL,
    STARBUCKS,
    TASKS,
    by_cup,
    preset,
)
from stagejax import Plan

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


@pytest.mark.slow
def test_tuning_begins_at_its_pretraining_and_leaves_decoder_and_head(finished: Any) -> None:
    results, _, _ = finished
    for arm, source in (("smae-srl", "smae"), ("mlm-srl", "mlm"), ("mlm-2dmse", "mlm")):
        before = flat(results[f"pretrain/{source}/0"])
        for task in TASKS:
            after = flat(results[f"{task}/{arm}/0"])
            for path, leaf in before.items():
                rests = path.startswith(("decoder", "encoder/head"))
                assert np.array_equal(after[path], leaf) == rests or path.endswith("bias"), path


@pytest.mark.slow
def test_smae_trains_the_decoder_and_mlm_does_not(finished: Any) -> None:
    results, _, _ = finished
    smae, mlm = (flat(results[f"pretrain/{kind}/0"])["decoder/mlp/up/kernel"] for kind in ("smae", "mlm"))
    fresh = flat(results["similarity/srl-alone/0"])["decoder/mlp/up/kernel"]
    np.testing.assert_allclose(mlm, fresh, rtol=0.01)  # but for the decay of weights
    assert np.abs(smae - fresh).max() > 1e-3


@pytest.mark.slow
def test_every_cup_learns_what_means_the_same(finished: Any) -> None:
    results, _, _ = finished
    for k in (1, 2):
        assert results["similarity/smae-srl/0"].history.last(f"cup_{k}") > 0.3
    for task in TASKS:
        loss = results[f"{task}/smae-srl/0"].history.train["loss"]
        assert np.mean(loss[-5:]) < np.mean(loss[:5]), task


@pytest.mark.slow
def test_separate_models_share_the_steps_and_are_all_charged(finished: Any) -> None:
    results, report, _ = finished
    arms = {arm.name: arm for arm in report.arms}
    assert set(arms) == {f"{task}: {label}" for task, (*_, labels) in TASKS.items() for label in labels}
    same, full = (arms[f"similarity: {label}"] for label in (SEPARATE, SEPARATE_FULL))
    assert [result.steps for result in (*same.results[1:], *same.charged)] == [SMOKE.similarity.steps // 2] * 2
    assert [result.steps for result in full.charged] == [SMOKE.similarity.steps]
    own = [results[f"similarity/separate-full-steps/0/{k}"] for k in (1, 2)]
    assert full.charged_cost.flops == own[1].cost.flops > own[0].cost.flops  # a smaller cup runs fewer blocks
    small = flat(results["similarity/separate-full-steps/0/1"])["encoder/blocks/mlp/up/kernel"]
    start = flat(results["pretrain/mlm/0"])["encoder/blocks/mlp/up/kernel"]
    np.testing.assert_allclose(small[1], start[1], rtol=0.02)  # the block above it only decays
    expected = [100 * result.history.last(f"cup_{k}") for k, result in enumerate(own, 1)]
    assert by_cup(SMOKE, replace(full, name=SEPARATE_FULL)) == expected


@pytest.mark.slow
def test_the_report_shows_every_cup_of_every_arm(finished: Any) -> None:
    results, report, _ = finished
    assert [len(table.rows) for table in report.tables[:3]] == [9, 5, 3]
    for row in (row for table in report.tables[:3] for row in table.rows):
        assert np.isfinite([float(cell) for cell in row[1:]]).all(), row[0]
    cut = next(row for row in report.tables[1].rows if row[0] == CUT)
    whole = results["retrieval/separate-full-steps/0/2"].history
    assert cut[1:3] == tuple(f"{100 * whole.last(f'cup_{k}'):.1f}" for k in (1, 2))
    assert len(report.claims) == 6
    assert {claim.verdict for claim in report.claims} <= {"holds", "does not hold"}


def test_every_cup_has_a_model_of_its_own_in_a_plan_too() -> None:
    cfg = replace(SMOKE, cups=((1, 8), (2, 12), (3, 16)), similarity=replace(SMOKE.similarity, steps=9))
    plan = Plan.on("data=2", price=False)
    report = EXPERIMENT.pipeline(plan, cfg)
    assert {claim.verdict for claim in report.claims} == {"not tested"}
    steps = {result.name: result.stage.steps for result in plan.results if "similarity/separate" in result.name}
    assert steps == {
        f"similarity/separate-{which}/0/{k}": own
        for which, own in (("same-total", 3), ("full-steps", 9))
        for k in (1, 2, 3)
    }
    starts = {label: report.arms[i].results[0].name for i, label in enumerate((STARBUCKS, SRL))}
    assert starts == {STARBUCKS: "pretrain/smae/0", SRL: "pretrain/mlm/0"}
