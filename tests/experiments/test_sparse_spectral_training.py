"""Sparse spectral training at smoke size: the same start for all, what each method trains, saddles, and the report."""

from dataclasses import replace
from functools import partial
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
    claims,
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
        loss = np.asarray(results[f"text/{name}/0/0.005"].history.train["loss"])
        assert loss[0] == pytest.approx(results["text/full-rank/0/0.005"].history.train["loss"][0], abs=1e-3), name
        assert loss[-5:].mean() < loss[:5].mean() - 0.5, name


def test_directions_are_orthogonal_enough_and_of_length_one_at_the_end(finished: Any) -> None:
    results, _, _ = finished
    up = results["text/sst/0/0.005"].state().params["blocks"]["mlp"]["up"]["kernel"]
    np.testing.assert_allclose(np.linalg.norm(up["left"], axis=1), 1, rtol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(up["active_right"], axis=2), 1, rtol=1e-4)
    assert float(up["values"].min()) >= 0


def test_only_relora_meets_a_saddle(finished: Any) -> None:
    results, _, _ = finished
    assert at_restarts(results["text/relora/0/0.005"].history.train, SMOKE.restart_every) == 0
    assert at_restarts(results["text/sst/0/0.005"].history.train, SMOKE.every) > 0.5


def test_the_report_counts_what_is_trained(finished: Any) -> None:
    _, report, _ = finished
    rows = {row[0]: row for row in report.tables[0].rows}
    assert set(rows) == {FULL, LORA, RELORA, GALORE, SST}
    in_kernels = {label: row[5] for label, row in rows.items()}
    assert in_kernels[LORA] == in_kernels[RELORA] < in_kernels[SST] < in_kernels[FULL] == in_kernels[GALORE]
    assert rows[GALORE][7] < rows[FULL][7]  # bytes of moments
    *others, graphs = report.claims
    assert len(others) == 3
    assert {claim.verdict for claim in others} <= {"holds", "does not hold"}
    assert graphs.verdict == "not tested"  # of one seed no gap is told from noise


def test_the_ledger_holds_graphs_too(finished: Any) -> None:
    _, report, _ = finished
    arms = {arm.name: arm for arm in report.arms}
    assert {"tree links, full rank", "tree links, LoRA", "tree links, SST"} < set(arms)
    assert arms["tree links, SST"].against == "tree links, full rank"
    assert arms["tree links, SST"].results[0].name.startswith("tree-links/sst/0/")


def test_rates_are_chosen_on_other_data_than_what_is_reported(finished: Any) -> None:
    results, report, _ = finished
    stage = results["text/sst/0/0.005"].stage
    (_, test), (name, validation) = stage.evaluate.data.members
    names = [{record["name"] for record in own.source} for own in (test, validation)]
    assert name == "validation"
    assert all(names)
    assert not names[0] & names[1]
    assert names[0] | names[1] == {record["name"] for record in SMOKE.source.of_split("test")}
    last = results["text/sst/0/0.005"].history.evals[-1]
    assert last["loss"] != last["validation/loss"]
    row = next(row for row in report.tables[0].rows if row[0] == SST)
    assert row[2] == pytest.approx(np.exp(last["loss"]))
    (_, test), (_, validation) = results["tree-links/sst/0/0.01"].stage.evaluate.data.members
    assert (test.split, validation.split) == ("test", "validation")


def test_the_ablations_differ_in_one_thing() -> None:
    main, changed = methods(SMOKE, SMOKE.embed, SMOKE.rank), variants(SMOKE)
    assert (len(main), len(changed)) == (5, 5)
    found = main | changed
    assert found[SST].step == SpectralStep(4, 8, multinomial)
    assert found[TOP] == replace(found[SST], step=SpectralStep(4, 8, top))
    plain, no_svd = found["SST, plain gradient"], found["SST, no re-SVD"]
    assert plain == replace(found[SST], form=Spectral(2, enhanced=False), main=False)
    assert no_svd == replace(found[SST], step=SpectralStep(4, None, multinomial), main=False)


def test_rates_that_lost_are_charged_and_a_variant_owes_the_search_of_the_whole() -> None:
    plan, method = Plan.on("data=1", price=False), Method(main=True)
    peaks: Any = {}
    arms = partial(arms_of, plan, (0, 1), (1.0, 4.0), peaks, partial(text_stage, SMOKE))
    own, like = arms(SST, method), arms(TOP, method, like=SST)
    assert peaks["language, SST"][:2] == (1.0, (1.0, 4.0))
    assert [len(arm.charged) for arm in (*own.values(), *like.values())] == [1, 0, 2, 0]
    at = [[result.stage.optimizer.peak for result in (*arm.results, *arm.charged)] for arm in own.values()]
    assert at == [[1.0, 4.0], [1.0]]
    assert [arm.results[0].stage.optimizer.peak for arm in like.values()] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("full", "verdict"),
    [((0.9, 0.9, 0.9), "holds"), ((0.9, 0.7, 0.81), "not tested"), ((0.6, 0.6, 0.6), "does not hold")],
)
def test_a_gap_of_graphs_within_its_noise_tests_nothing(full: tuple[float, ...], verdict: str) -> None:
    labels = dict.fromkeys((FULL, LORA, SST, RELORA), 1.0)
    graph = {SMOKE.tasks[0]: {FULL: list(full), LORA: [0.8, 0.8, 0.8], SST: [0.85, 0.85, 0.85]}}
    assert claims(SMOKE, labels, labels, graph)[-1].verdict == verdict


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
