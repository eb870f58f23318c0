"""Sparse spectral training at smoke size: the same start for all, what each method trains, saddles, and the report."""

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from smoke import smoke_run

from experiments.growth.sparse_spectral_training import (
    EXPERIMENT,
    FULL,
    GALORE,
    LORA,
    RELORA,
    SST,
    TOP,
    Method,
    arms_of,
    closed,
    methods,
    preset,
    text_stage,
    variants,
)
from stagejax import Plan
from stagejax.steps.low_rank import SpectralStep, at_restarts
from stagejax.transforms import Spectral
from stagejax.transforms.spectral import multinomial, top

pytestmark = pytest.mark.slow  # a smoke run of minutes
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def test_every_arm_learns_from_the_same_first_kernels(finished: Any) -> None:
    results, _, _ = finished
    for name in ("full-rank", "lora", "relora", "galore", "sst"):
        loss = np.asarray(results[f"text/{name}/0/rate-1"].history.train["loss"])
        assert loss[0] == pytest.approx(results["text/full-rank/0/rate-1"].history.train["loss"][0], abs=1e-3), name
        assert loss[-5:].mean() < loss[:5].mean() - 0.5, name


def test_directions_are_orthogonal_enough_and_of_length_one_at_the_end(finished: Any) -> None:
    results, _, _ = finished
    up = results["text/sst/0/rate-1"].state().params["blocks"]["mlp"]["up"]["kernel"]
    np.testing.assert_allclose(np.linalg.norm(up["left"], axis=1), 1, rtol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(up["active_right"], axis=2), 1, rtol=1e-4)
    assert float(up["values"].min()) >= 0


def test_only_relora_meets_a_saddle(finished: Any) -> None:
    results, _, _ = finished
    assert at_restarts(results["text/relora/0/rate-1"].history.train, SMOKE.restart_every) == 0
    assert at_restarts(results["text/sst/0/rate-1"].history.train, SMOKE.every) > 0.5


def test_the_report_counts_what_is_trained(finished: Any) -> None:
    _, report, _ = finished
    rows = {row[0]: row for row in report.tables[0].rows}
    assert set(rows) == {FULL, LORA, RELORA, GALORE, SST}
    in_kernels = {label: row[5] for label, row in rows.items()}
    assert in_kernels[LORA] == in_kernels[RELORA] < in_kernels[SST] < in_kernels[FULL] == in_kernels[GALORE]
    assert rows[GALORE][7] < rows[FULL][7]  # bytes of moments
    assert {claim.verdict for claim in report.claims} <= {"holds", "does not hold"}
    assert len(report.claims) == 4


def test_the_ablations_differ_in_one_thing() -> None:
    main, changed = methods(SMOKE, SMOKE.embed, SMOKE.rank), variants(SMOKE)
    assert (len(main), len(changed)) == (5, 5)
    found = main | changed
    assert found[SST].step == SpectralStep(4, 8, multinomial)
    assert found[TOP] == replace(found[SST], step=SpectralStep(4, 8, top))
    plain, no_svd = found["SST, plain gradient"], found["SST, no re-SVD"]
    assert plain == replace(found[SST], form=Spectral(2, enhanced=False), main=False)
    assert no_svd == replace(found[SST], step=SpectralStep(4, None, multinomial), main=False)


def test_rates_that_lost_are_charged() -> None:
    plan, method = Plan.on("data=1", price=False), Method(main=True)
    stage = functools.partial(text_stage, SMOKE)
    arms, search = arms_of(plan, (0, 1), (1.0, 4.0), LORA, method, stage, "loss")
    assert (search.best, search.tried) == (1.0, (1.0, 4.0))
    assert [len(arm.charged) for arm in arms.values()] == [1, 0]
    assert arms[0].results[0].stage.optimizer.peak == arms[1].results[0].stage.optimizer.peak
    assert arms[0].charged[0].stage.optimizer.peak != arms[0].results[0].stage.optimizer.peak


def test_full_rank_may_take_a_rate_inside_and_begins_as_wide_as_at_768() -> None:
    assert len(preset("laptop").rates) >= 3
    small, large = (text_stage(preset(name), "own", 0).model for name in ("laptop", "pod"))
    assert (small.init_std, large.init_std) == (0.069, 0.02)
    assert small.init_std * small.embed**0.5 == pytest.approx(large.init_std * large.embed**0.5, rel=0.01)


def test_the_gap_closed_is_a_share() -> None:
    assert closed(30.0, 20.0, 23.0) == pytest.approx(0.7)
    assert np.isnan(closed(20.0, 20.0, 19.0))


def test_a_plan_tests_no_claim() -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=2", price=False), replace(SMOKE, tasks=()))
    assert {claim.verdict for claim in report.claims} == {"not tested"}
