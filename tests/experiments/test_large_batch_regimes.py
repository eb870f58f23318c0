"""Large batches: who normalises by what, whose rates and borders move, what adaptation costs, how far weights come."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flax import nnx
from smoke import flat, smoke_run

from experiments.curriculum.large_batch_regimes import (
    ARMS,
    EXPERIMENT,
    GBN,
    LB,
    LONG,
    LR,
    NOISE,
    PLAIN_RA,
    RA,
    SB,
    distances,
    preset,
    regime_of,
    slug,
)
from stagejax import Plan
from stagejax.models.conv import BatchNorm
from stagejax.models.ghost_norm import GhostBatchNorm
from stagejax.models.norm import Norm
from stagejax.report.diffusion import fit_walk

pytestmark = pytest.mark.slow  # a smoke run of a quarter of a minute
SMOKE = preset("smoke")
TASK = SMOKE.tasks[0]
finished = smoke_run(EXPERIMENT, SMOKE)


def phases(results: dict[str, Any], arm: str, seed: int = 0) -> list[Any]:
    return [results[f"digits/{slug(arm)}/{seed}/{phase}"] for phase in range(1, 5)]


def test_only_the_ghost_arms_have_ghosts(finished: Any) -> None:
    results, _, _ = finished
    for arm in ARMS:
        norms = [m for _, m in nnx.iter_modules(phases(results, arm)[0].module()) if isinstance(m, BatchNorm | Norm)]
        assert len(norms) == 3
        assert {type(norm) for norm in norms} == {GhostBatchNorm if arm in (GBN, RA) else BatchNorm}
        assert all(norm.ghost == TASK.small for norm in norms if isinstance(norm, GhostBatchNorm))


def test_rates_and_borders_are_those_of_the_arm(finished: Any) -> None:
    results, _, _ = finished
    small = [(1438 * end / 64) for end in (6, 9, 10.8, 12)]
    for arm, recipe in ARMS.items():
        rates = [result.stage.optimizer.peak for result in phases(results, arm)]
        np.testing.assert_allclose(rates, np.array([0.1, 0.01, 0.001, 0.0001]) * (8**0.5 if recipe.scaled else 1))
        ends = np.cumsum([result.steps for result in phases(results, arm)])
        scale = 1 if arm in LONG else 1 / TASK.times
        np.testing.assert_allclose(ends, np.array(small) * scale, atol=0.51)
    for arm in (RA, PLAIN_RA):  # every phase has as many updates as with small batches, not only all of them together
        assert [r.steps for r in phases(results, arm)] == [r.steps for r in phases(results, SB)]


def test_everything_else_is_shared(finished: Any) -> None:
    results, _, _ = finished
    for arm, recipe in ARMS.items():
        for result in phases(results, arm):
            optimizer = result.stage.optimizer
            assert (optimizer.momentum, optimizer.weight_decay, optimizer.clip) == (0.9, 1e-4, 5.0)
            assert result.stage.data.source == TASK.source
            assert result.stage.data.batch == (TASK.large if recipe.large else TASK.small)
            assert result.stage.evaluate.data == phases(results, SB)[0].stage.evaluate.data
    starts = [phases(results, arm)[0].state().rest["start"] for arm in ARMS]
    for start in starts[1:]:  # all arms of a seed begin with the same parameters
        assert all(np.array_equal(start[path], starts[0][path]) for path in starts[0])


def test_a_phase_continues_the_one_before(finished: Any) -> None:
    results, _, _ = finished
    for arm in (SB, GBN):
        done = 0
        for result in phases(results, arm):
            done += result.steps
            assert result.position == {"step": done}  # no batch is seen again
        rows = {row[0]: row[3] for row in phases(results, arm)[1].handover}
        assert rows["params"] == rows["moments trace"] == rows["rest"] == rows["data"] == "carry"


def test_adaptation_is_charged_in_full(finished: Any) -> None:
    results, report, _ = finished
    samples = {arm: sum(r.cost.samples for r in phases(results, arm)) for arm in ARMS}
    flops = {arm.name: arm.cost.flops for arm in report.arms}
    for arm in (RA, PLAIN_RA):
        assert samples[arm] == TASK.times * samples[SB]
        assert flops[arm] == pytest.approx(TASK.times * flops[SB], rel=1e-3)  # ghosts add a small product
    for arm in (LB, LR, GBN, NOISE):
        assert samples[arm] == pytest.approx(samples[SB], rel=0.02)
    table = next(table for table in report.tables if table.title.endswith("what an arm takes"))
    assert {row[0]: row[-1] for row in table.rows}[RA] == TASK.times


def test_the_adapted_arm_continues_the_ghost_arm(finished: Any) -> None:
    results, _, _ = finished
    for short, long in ((GBN, RA), (LR, PLAIN_RA)):
        first = distances(tuple(phases(results, short)))
        np.testing.assert_array_equal(first, distances(tuple(phases(results, long)))[: len(first)])


def test_distances_are_of_the_last_parameters(finished: Any) -> None:
    results, _, _ = finished
    for result in phases(results, SB):
        start, last = result.state().rest["start"], flat(result)
        total = sum(float(np.sum((last[path] - np.asarray(start[path])) ** 2)) for path in last)
        assert result.history.train["distance"][-1] == pytest.approx(total**0.5, rel=1e-5)
        layer = sum(np.sum((last[p] - np.asarray(start[p])) ** 2) for p in last if p.startswith("hidden/1/"))
        assert result.history.train["distance_hidden/1"][-1] == pytest.approx(layer**0.5, rel=1e-5)


def test_laws_are_told_apart_on_long_walks_alone(finished: Any) -> None:
    results, report, _ = finished
    pairs = [
        fit_walk(distances(tuple(phases(results, arm, seed))), *SMOKE.points)
        for arm in LONG
        for seed in SMOKE.adapted_seeds
    ]
    share = np.mean([logarithm.aic < power.aic for logarithm, power in pairs])
    assert report.claims[3].measured == pytest.approx(share)
    laptop = preset("laptop").tasks[0]
    updates = laptop.regime.phases(laptop.rows, laptop.small)[0][0]
    assert updates >= 100 * preset("laptop").points[0]  # two decades


def test_every_arm_learns_and_the_noise_is_not_scored(finished: Any) -> None:
    results, report, _ = finished
    for arm in ARMS:
        assert phases(results, arm)[-1].history.last("accuracy") > 0.6
    assert phases(results, SB)[-1].history.last("accuracy") > 0.9
    assert phases(results, NOISE)[0].stage.objective.keywords == {"variance": TASK.times - 1.0}
    assert [row[0] for row in report.tables[0].rows] == list(ARMS)


def test_stretching_moves_every_decay() -> None:
    ends = {arm: regime_of(TASK, recipe).ends for arm, recipe in ARMS.items()}
    assert ends[RA] == tuple(TASK.times * end for end in ends[SB])
    assert ends[GBN] == ends[SB]


@pytest.mark.parametrize("name", ["smoke", "laptop", "cifar"])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}
