"""Skill-It: the graph is used as measured, mixtures follow the losses seen, rounds are one run, all is charged."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.curriculum import skill_it
from experiments.curriculum.skill_it import EASY, EXPERIMENT, NO_GRAPH, RANDOM, SKILL_IT, STRATIFIED, preset, slug
from stagejax import loop, running
from stagejax.data.selection.weights import counts_of
from stagejax.interrupt import Interrupted

pytestmark = pytest.mark.slow  # a smoke run of a minute
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def rounds(results: dict[str, Any], label: str) -> list[Any]:
    return [results[f"0/{slug(label)}/{number}"] for number in range(1, SMOKE.rounds + 1)]


def test_the_graph_is_that_of_the_measured_losses(finished: Any) -> None:
    results, report, _ = finished
    losses = np.asarray(results["graph/losses"].value["losses"])  # runs on skill 1, both, skill 2
    helps = {(0, 1): losses[1, 1] < losses[2, 1], (1, 0): losses[1, 0] < losses[0, 0]}
    edges = next(table for table in report.tables if table.title == "The learned graph")
    assert [row[1:3] for row in edges.rows] == [(1.0, 0.5 * helps[0, 1]), (0.5 * helps[1, 0], 1.0)]


def test_mixtures_are_the_closed_form_of_the_losses_before(finished: Any) -> None:
    results, _, _ = finished
    graph = np.array(skill_it.learned(SMOKE, results["graph/losses"].value))
    for label, own in ((SKILL_IT, graph), (NO_GRAPH, np.eye(2))):
        seen: list[list[float]] = []
        taken = np.zeros(2, int)
        for result in rounds(results, label):
            total = np.sum(seen[-3:], 0) if seen else np.ones(2)
            weights = np.exp(SMOKE.eta * own @ total)
            data = result.stage.data
            assert data.counts == counts_of((weights / weights.sum()).tolist(), 64)
            assert data.starts == tuple(taken)
            taken += data.counts
            seen += [[row["loss_2"], row["loss_3"]] for row in result.history.evals if row["step"]]
    shares = {label: {r.stage.data.counts for r in rounds(results, label)} for label in (STRATIFIED, RANDOM)}
    assert shares == {STRATIFIED: {(32, 32)}, RANDOM: {(21, 43)}}


def test_choices_go_by_rows_that_no_arm_is_judged_on(finished: Any) -> None:
    laptop = preset("laptop")
    held = skill_it.starting(laptop, "x", laptop.size, 0).evaluate.data
    rows = held.take(np.arange(held.size()))
    judged, seen = ({row.tobytes() for row in rows["tokens"][rows["skill"] // 3 == half]} for half in range(2))
    assert not judged & seen
    row = finished[0]["0/start"].history.evals[-1]
    np.testing.assert_allclose(row["loss"], (row["loss_0"] + row["loss_1"]) / 2, rtol=1e-4)
    assert row["loss"] != (row["loss_2"] + row["loss_3"]) / 2


def test_all_arms_are_segments_of_one_run_from_one_start(finished: Any) -> None:
    results, _, _ = finished
    for label in SMOKE.arms:
        own = rounds(results, label)
        assert [int(result.state().step) for result in own] == [8, 16, 24]
        assert {result.stage.optimizer.horizon for result in own} == {SMOKE.steps}
        assert all("carry" in row for result in own[1:] for row in result.handover if row[0].startswith("moments"))
        evaluated = own[0].history.evals[0]["loss"]
        assert evaluated == results["0/start"].history.last("loss")


def test_the_curriculum_opens_from_easy_to_hard(finished: Any) -> None:
    results, _, _ = finished
    losses = results["0/scores"].value["loss"]
    limits = []
    for result in rounds(results, EASY):
        data = result.stage.data
        limits.append(data.limit)
        assert losses[data.drawn(np.arange(64))].max() <= np.sort(losses)[data.limit - 1]
    assert limits == [64, 128, 192]


def test_the_graph_is_charged_to_what_uses_it(finished: Any) -> None:
    results, report, _ = finished
    graph, arms = results["graph/losses"], {arm.name: arm for arm in report.arms}
    assert graph.cost.flops > 2 * results["0/start"].cost.flops
    extra = arms[SKILL_IT].charged_cost.flops - arms[STRATIFIED].charged_cost.flops
    assert extra == graph.cost.flops
    assert all((graph in arms[label].charged) == (label.startswith(SKILL_IT) and "A =" not in label) for label in arms)
    assert sum(r.cost.flops for r in arms[SKILL_IT].results) == sum(r.cost.flops for r in arms[RANDOM].results)


def test_interrupted_in_a_round_it_ends_with_the_same_bits(finished: Any, tmp_path: Path) -> None:
    results, _, _ = finished
    cfg = replace(SMOKE, arms=(SKILL_IT, STRATIFIED, RANDOM))
    asked = []  # evaluations are due or not once a step

    def due(run: Any, *args: Any) -> bool:
        asked.append(args)
        if len(asked) == 6 + 1 + 24 + 1 + 8 + 1 + 3:  # start, pilot and first round are done, the second has begun
            run.stop.set()
        return real(*args)

    real = loop._due
    with running(tmp_path, EXPERIMENT.name, mesh="data=1") as run, pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_due", partial(due, run))
        with pytest.raises(Interrupted, match=r"0/skill-it/2' stopped at step 2 of 8"):
            EXPERIMENT.pipeline(run, cfg)
    with running(tmp_path, EXPERIMENT.name, mesh="data=1") as run:
        EXPERIMENT.pipeline(run, cfg)
        again = {result.name: result for result in run.results}
    last = f"0/{slug(SKILL_IT)}/{SMOKE.rounds}"
    assert again[last].stage.data.counts == results[last].stage.data.counts
    jax.tree.map(np.testing.assert_array_equal, flat(again[last]), flat(results[last]))
