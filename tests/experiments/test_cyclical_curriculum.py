"""CCL: what rounds hold and who scored them, equal samples and evaluations of all arms, three readings of one run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from smoke import smoke_run

from experiments.curriculum.cyclical_curriculum import (
    ANTI,
    ARMS,
    CCL,
    DRAWN,
    EASY,
    EXPERIMENT,
    HARD,
    LONGER,
    RANDOM,
    SELF_PACED,
    VANILLA,
    preset,
    read,
    scores_of,
)
from stagejax import Plan
from stagejax.data.selection.pacing import cyclic, paced_rounds
from stagejax.loop import History
from stagejax.names import slug
from stagejax.objectives.loss import cross_entropy
from stagejax.report import Arm
from stagejax.result import Result

SMOKE = preset("smoke")
TASK = SMOKE.tasks[0]
N, STEPS = TASK.records, SMOKE.epochs * TASK.records // TASK.data.batch
finished = smoke_run(EXPERIMENT, SMOKE)
slow = pytest.mark.slow  # what looks at the smoke run, most of it compilation


def of(arm: str, seed: int = 0) -> str:
    return f"digits/{slug(arm)}/{seed}"


def drawn(results: Any, arm: str, seed: int = 0) -> list[np.ndarray]:
    """The records of each round."""
    data = results[of(arm, seed)].stage.data
    return np.split(data.records(np.arange(SMOKE.epochs * N)), np.cumsum(data.rounds)[:-1])


@slow
def test_every_arm_sees_as_many_records_and_is_scored_as_often_from_the_same_start(finished: Any) -> None:
    _, report, _ = finished
    own = {arm.group: [r for r in arm.results if r.kind == "train"] for arm in report.arms}
    times = {group: 2 if group == LONGER else 1 for group in own}
    assert {group: sum(r.steps for r in results) / STEPS for group, results in own.items()} == times
    assert {sum(r.cost.samples for r in results) / times[group] for group, results in own.items()} == {SMOKE.epochs * N}
    scored = {group: len([row for r in rs for row in r.history.evals if row["step"] > 0]) for group, rs in own.items()}
    assert scored == {group: SMOKE.epochs * times[group] for group in own}
    starts = {tuple(rs[0].history.evals[0].items()) for group, rs in own.items() if group not in (SELF_PACED, LONGER)}
    assert len(starts) == 1


@slow
def test_sizes_go_in_cycles_and_the_control_has_the_same(finished: Any) -> None:
    results, _, _ = finished
    rounds = {arm: results[of(arm)].stage.data.rounds for arm in DRAWN}
    assert rounds[CCL] == rounds[RANDOM] == rounds[HARD] == (200, 400, 800, 400, 200, 400)
    assert rounds[EASY] == rounds[ANTI] == (40, 40, 40, 80, 160, 240, 360, 520, 800, 800)
    assert all(sum(own[:-1]) < SMOKE.epochs * N <= sum(own) for own in rounds.values())


@pytest.mark.parametrize("name", ["laptop", "pod"])
def test_cycles_end_behind_a_round_of_all_records(name: str) -> None:
    cfg = preset(name)
    for task in cfg.tasks:
        rounds = paced_rounds(cyclic(*cfg.cycle), task.records, task.data.batch, cfg.epochs * task.records)
        assert rounds[-1] == task.records
        assert sum(rounds) == cfg.epochs * task.records
    assert cfg.epochs % cfg.again == 0


@slow
def test_small_rounds_lean_to_easy_records_without_shutting_hard_ones_out(finished: Any) -> None:
    results, _, _ = finished
    hard = results["digits/scores/1"].value["hard"]
    rank = np.argsort(np.argsort(hard)) / N
    small = {arm: drawn(results, arm)[0] for arm in (CCL, RANDOM, HARD)}
    assert all(len(set(own.tolist())) == 200 for own in small.values())
    assert rank[small[CCL]].mean() < 0.4 < rank[small[RANDOM]].mean() < 0.6 < rank[small[HARD]].mean()
    assert rank[small[CCL]].max() > 0.25  # sorted and cut would hold nothing above a quarter
    assert set(small[CCL].tolist()) != set(drawn(results, CCL)[4].tolist())
    whole = drawn(results, CCL)[2]
    assert sorted(whole.tolist()) == list(range(N))
    assert abs(np.corrcoef(np.arange(N), rank[whole])[0, 1]) < 0.15  # an epoch of all records has no order


@slow
def test_scores_are_of_training_records_by_a_network_of_another_start(finished: Any) -> None:
    results, report, _ = finished
    made, net = results["digits/scores/1"], results[of(VANILLA, 1)]
    batch = TASK.data.take_records(np.arange(N))
    loss, _ = cross_entropy(net.module()(jnp.asarray(batch["image"])), jnp.asarray(batch["label"]))
    loss = np.maximum(loss, np.min(loss, where=np.asarray(loss) > 0, initial=np.inf))
    np.testing.assert_allclose(made.value["hard"], loss, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(made.value["easy"] * made.value["hard"], 1, rtol=1e-5)
    assert results[of(CCL, 0)].stage.data.of == made.fingerprint
    np.testing.assert_array_equal(results[of(CCL, 0)].stage.data.weights, made.value["easy"])
    np.testing.assert_array_equal(results[of(HARD, 0)].stage.data.weights, made.value["hard"])
    assert results[of(RANDOM, 0)].stage.data.weights is None
    charged = {arm.group: [r.name for r in arm.charged] for arm in report.arms if arm.name == arm.group}
    assert charged[CCL] == charged[ANTI] == [of(VANILLA, 1), "digits/scores/1"]
    assert charged[RANDOM] == charged[VANILLA] == []


def test_losses_of_zero_count_as_the_smallest_that_is_not() -> None:
    import experiments.curriculum.cyclical_curriculum as module

    losses = np.array([0.0, 0.5, 2.0], np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "losses_of", lambda *_: losses)
        made = scores_of(None, None, "image")
    assert made["easy"].tolist() == [2.0, 2.0, 0.5]
    assert made["hard"].tolist() == [0.5, 0.5, 2.0]


@slow
def test_records_are_disjoint_and_both_parts_are_scored_apart(finished: Any) -> None:
    results, _, _ = finished
    held = results[of(CCL)].stage.evaluate.data
    digits = TASK.data.source.source
    train, kept = (
        {part.source[i]["image"].tobytes() for i in range(len(part.source))} for part in (TASK.data, TASK.kept)
    )
    assert len(train & kept) <= 2  # images that the source has twice
    assert len(digits) == 1438
    with held.batches() as batches:
        rows = list(batches)
    tested = np.concatenate([row["skill"] for row in rows])
    assert np.bincount(tested).tolist() == list(TASK.held)
    right = [
        np.asarray(results[of(CCL)].module()(jnp.asarray(row["image"]))).argmax(-1) == row["label"] for row in rows
    ]
    last = results[of(CCL)].history.evals[-1]
    assert last["accuracy"] == pytest.approx(np.concatenate(right)[tested == 1].mean(), abs=1e-5)
    assert last["validation_accuracy"] == pytest.approx(np.concatenate(right)[tested == 0].mean(), abs=1e-5)


@slow
def test_twice_as_long_goes_on_from_vanilla(finished: Any) -> None:
    results, _, _ = finished
    longer = results[of(LONGER)]
    assert int(longer.state().step) == 2 * STEPS
    assert longer.position["step"] == 2 * STEPS
    assert longer.history.evals[0]["accuracy"] == results[of(VANILLA)].history.evals[-1]["accuracy"]
    rates = [results[of(arm)].stage.optimizer.learning_rate(STEPS) for arm in (VANILLA, *DRAWN, LONGER)]
    assert [float(rate(step)) for rate in rates for step in (0, STEPS)] == pytest.approx([SMOKE.peak] * 14)


@slow
def test_self_paced_rounds_hold_what_the_network_itself_finds_easy(finished: Any) -> None:
    results, report, _ = finished
    sizes = [len(results[f"{of(SELF_PACED)}/{r}/rows"].value["rows"]) for r in (1, 2)]
    assert sizes == [200, 260]
    made, before = results[f"{of(SELF_PACED)}/2/rows"].value, results[f"{of(SELF_PACED)}/1"]
    batch = TASK.data.take_records(np.arange(N))
    loss, _ = cross_entropy(before.module()(jnp.asarray(batch["image"])), jnp.asarray(batch["label"]))
    assert np.asarray(loss)[made["rows"]].max() == pytest.approx(float(made["threshold"][0]), rel=1e-3)
    assert (np.asarray(loss) < made["threshold"][0] * 0.999).sum() <= 260
    seen = results[f"{of(SELF_PACED)}/2"].stage.data.records(np.arange(N))
    assert set(seen.tolist()) == set(made["rows"].tolist())
    assert int(results[f"{of(SELF_PACED)}/2"].state().step) == STEPS
    arm = next(arm for arm in report.arms if arm.name == SELF_PACED)
    assert arm.cost.flops > results[of(VANILLA)].cost.flops


def test_three_readings_of_one_run() -> None:
    rows = [{"accuracy": a, "validation_accuracy": v} for a, v in ((0.1, 0.2), (0.5, 0.4), (0.3, 0.6), (0.4, 0.6))]
    result = Result("a", "train", "", 1, history=History(evals=rows))
    assert read(Arm("", (result,))) == pytest.approx({"last": 40.0, "selected": 30.0, "best": 50.0})


@slow
def test_report_reads_all_arms_alike(finished: Any) -> None:
    results, report, folder = finished
    tables = {table.title: {row[0]: row[1:] for row in table.rows} for table in report.tables}
    assert set(tables["Three readings"]) == set(ARMS)
    for arm in (CCL, VANILLA, RANDOM):
        evals = [[row["accuracy"] for row in results[of(arm, seed)].history.evals] for seed in SMOKE.seeds]
        last, _, best = tables["Three readings"][arm][:3]
        assert last == pytest.approx(100 * np.mean([own[-1] for own in evals]), abs=1e-3)
        assert best == pytest.approx(100 * np.mean([max(own) for own in evals]), abs=1e-3)
    costs = {arm: row[3:] for arm, row in tables["Three readings"].items()}
    assert costs[VANILLA] == costs[RANDOM] == (1, 1)
    assert costs[LONGER][0] == pytest.approx(2)
    assert costs[CCL][0] == pytest.approx(1)
    assert 2.05 < costs[CCL][1] < 2.2  # scorer, and a pass that scores
    assert [claim.verdict != "not tested" for claim in report.claims] == [True] * 5
    share = tables["What was seen"]
    assert share[RANDOM][0] == pytest.approx(0.1, abs=0.02)
    assert share[CCL][0] > 0.11 > 0.09 > share[CCL][-1] > 0.03
    assert (folder / "report.html").exists()
    assert len({results[of(arm)].digest for arm in (VANILLA, *DRAWN)}) == 6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["laptop", "pod"])
def test_a_plan_tests_no_claim(name: str) -> None:
    cfg = replace(preset(name), seeds=(0,))
    report = EXPERIMENT.pipeline(Plan.on("data=2", price=False), cfg)
    assert {claim.verdict for claim in report.claims} == {"not tested"}
    assert all(task.records % task.data.batch == 0 == sum(task.held) % cfg.scored for task in cfg.tasks)
