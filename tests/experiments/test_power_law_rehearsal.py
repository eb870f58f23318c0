"""Power-law rehearsal: equal steps, choices without test images, all tasks scored, regularisers that see no past."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.curriculum.power_law_rehearsal import (
    EVERY,
    EWC,
    EXPERIMENT,
    EXPONENTIAL,
    JOINT,
    LWF,
    NONE,
    POWER,
    POWER_EWC,
    SLOW,
    Course,
    courses,
    learning,
    preset,
    trained,
)
from stagejax import Plan, running
from stagejax.data.selection.rehearsal import Exponential, FixedBudget, FixedScale, PowerLaw
from stagejax.objectives.tasks.transfer import transfer
from stagejax.report.continual import accuracy_matrix, in_phases
from stagejax.steps.regularised import LwF

SMOKE = preset("smoke")
MAIN = SMOKE.settings[0]
PHASE = (SMOKE.rows + MAIN.rehearsed) // SMOKE.batch
pytestmark = pytest.mark.slow  # many short stages
finished = smoke_run(EXPERIMENT, SMOKE)


def arms_of(report: Any, label: str) -> list[Any]:
    return [arm for arm in report.arms if arm.group == label]


def test_every_arm_takes_equal_steps_from_the_same_start(finished: Any) -> None:
    results, report, _ = finished
    for label in EVERY:
        for arm in arms_of(report, label):
            learnt = [result for result in arm.results if not result.name.endswith("fisher")]
            assert sum(result.steps for result in learnt) == MAIN.tasks * PHASE
    starts = {tuple(arm.results[0].history.evals[0].items()) for label in EVERY for arm in arms_of(report, label)}
    assert len(starts) == 2  # one a seed, scored before the first step
    assert {r.stage.optimizer["net"].peak for r in results.values() if isinstance(r.stage.model, dict)
            and r.stage.optimizer} == {SMOKE.peak}  # fmt: skip


def test_only_joint_training_sees_tasks_before_their_phase(finished: Any) -> None:
    results, _, _ = finished
    numbers = np.arange(PHASE * SMOKE.batch)
    for name, expected in (("no-rehearsal", {0}), ("power-law", {0}), ("all-tasks-together", {0, 1, 2})):
        seen = results[f"t3-r160/0/{name}"].stage.data.take(numbers)["task"]
        assert set(seen.tolist()) == expected
    last = 2 * PHASE * SMOKE.batch + numbers
    counts = np.bincount(results["t3-r160/0/power-law"].stage.data.take(last)["task"])
    d = results["t3-r160/0/power-law"].stage.data.budget.weights.decay
    assert counts[2] == SMOKE.rows
    assert abs(counts[1] - 160 / (1 + 2**-d)) < 1
    assert np.bincount(results["t3-r160/0/no-rehearsal"].stage.data.take(last)["task"]).tolist() == [0, 0, 1120]


def test_regularised_arms_see_no_old_example(finished: Any) -> None:
    results, _, _ = finished
    for method in ("ewc", "lwf"):
        for k in (1, 2):
            seen = results[f"t3-r160/0/{method}/{k}"].stage.data.take(np.arange(PHASE * SMOKE.batch))["task"]
            assert set(seen.tolist()) == {k}
    for k in (1, 2):  # what is minded of a task is found by its own examples, where the phase rehearses as well
        seen = results[f"t3-r160/0/power-law-ewc/{k}/fisher"].stage.data.take(np.arange(64))["task"]
        assert set(seen.tolist()) == {k - 1}


def test_old_networks_stand_still_beside_the_new_one(finished: Any) -> None:
    results, _, _ = finished
    before, after = flat(results["t3-r160/0/lwf/0"]), results["t3-r160/0/lwf/1"]
    for name, leaf in flat(after.member("teacher")).items():
        np.testing.assert_array_equal(leaf, before[name])
    assert any((leaf != before[name]).any() for name, leaf in flat(after.member("net")).items())
    teacher = flat(results["t3-r160/0/lwf/2"].member("teacher"))
    np.testing.assert_array_equal(
        teacher["heads/label/output/kernel"], flat(after.member("net"))["heads/label/output/kernel"]
    )
    first, second = (results[f"t3-r160/0/ewc/{k}/fisher"] for k in (1, 2))
    for name, leaf in flat(first.member("fisher")).items():
        more = flat(second.member("fisher"))[name]
        assert (leaf >= 0).all()
        assert (more >= leaf).all()
    at = flat(results["t3-r160/0/ewc/0"])
    for name, leaf in flat(first.member("origin")).items():  # of one task it is where the task was learnt
        np.testing.assert_allclose(leaf, at[name], atol=1e-6)
    assert int(second.state()["fisher"].step) == 2 * SMOKE.fisher
    during = results["t3-r160/0/ewc/2"]
    np.testing.assert_array_equal(
        flat(during.member("fisher"))["heads/label/output/bias"],
        flat(second.member("fisher"))["heads/label/output/bias"],
    )


def test_numbers_are_chosen_by_images_that_are_neither_learnt_nor_tested(finished: Any) -> None:
    results, report, _ = finished
    choices = [result for name, result in results.items() if name.startswith("choice/") and result.stage.evaluate]
    assert {result.stage.evaluate.data.data.source for result in choices} == {SMOKE.validation}
    assert {result.stage.seed for result in choices} == {1000}
    images = [{source[i]["image"].tobytes() for i in range(len(source))}
              for source in (SMOKE.validation, SMOKE.train, SMOKE.train.of_split("test"))]  # fmt: skip
    assert len(images[0] & images[1]) <= 1  # digits has few images twice
    assert len(images[0] & images[2]) <= 1
    judged = results["t3-r160/0/power-law"].stage
    assert judged.evaluate.data.data.source == SMOKE.train.of_split("test")
    table = next(table for table in report.tables if table.title == "What was chosen")
    for kind, candidates, losses, value, end in table.rows:
        tried, found = ([float(x) for x in own.split(", ")] for own in (candidates, losses))
        assert found[tried.index(value)] == min(found)
        grid = SMOKE.grids[SMOKE.choice.arms.index(kind)]
        assert set(grid) <= set(tried)
        assert len(tried) == len(grid) + 2 or end == ""  # an end is gone past


def test_what_is_tried_is_charged(finished: Any) -> None:
    _, report, _ = finished
    for label in (POWER, EXPONENTIAL, EWC, LWF, POWER_EWC):
        assert all(arm.charged_cost.flops > 0 for arm in arms_of(report, label))
    assert not any(arm.charged for label in (NONE, JOINT) for arm in arms_of(report, label))
    plain, ewc = (arms_of(report, label)[0].cost.flops for label in (NONE, EWC))
    assert ewc > plain  # the Fisher information is counted


def test_all_tasks_are_scored_after_every_phase_and_are_forgotten_without_rehearsal(finished: Any) -> None:
    _, report, _ = finished
    found = {label: 100 * accuracy_matrix(arms_of(report, label)[0].results, 3) for label in (NONE, POWER, LWF, JOINT)}
    for scores in found.values():
        assert scores.shape == (4, 3)
        assert scores[0].max() < 35  # untrained
    assert np.diag(found[NONE][1:]).min() > 70
    assert transfer(found[NONE][1:]).forgetting > 10
    assert found[POWER][-1].mean() > found[NONE][-1].mean() + 5
    assert found[JOINT][-1].mean() > found[NONE][-1].mean() + 5
    for label in (NONE, LWF):
        new = in_phases(arms_of(report, label)[0].results, "new", 3)
        assert new.shape == (3, PHASE)
        assert new[:, -8:].mean() > new[:, :4].mean() + 0.2


def test_phases_as_stages_are_the_one_stage_where_nothing_holds_back(tmp_path: Any) -> None:
    s = replace(MAIN, tasks=2)
    with running(tmp_path, "same", mesh="data=1") as run:
        whole = trained(run, SMOKE, s, Course(), "whole", 0)[-1]
        parts = trained(run, SMOKE, s, Course(loss=LwF(learning, 0.0)), "parts", 0)[-1]
        for name, leaf in flat(parts.member("net")).items():
            np.testing.assert_allclose(leaf, flat(whole)[name], atol=2e-4)


def test_the_slowest_exponential_is_met_at_every_length() -> None:
    """A rate that is best in a short sequence may forget a long one, and is the claim's rival there."""
    cfg = preset("laptop")
    rates = dict(zip(cfg.choice.arms, cfg.grids, strict=True))[EXPONENTIAL]
    best = {kind: type("Choice", (), {"best": 1.0}) for kind in cfg.choice.arms}
    for s in cfg.alike:
        assert SLOW in s.arms
        assert courses(cfg, s, best)[SLOW] == Course(FixedBudget(Exponential(min(rates))))


def test_growing_rehearsal_has_room_in_the_last_phase() -> None:
    for cfg in (SMOKE, preset("laptop"), preset("pod")):
        for s in cfg.settings:
            best = {
                kind: type("Choice", (), {"best": grid[-1]})
                for kind, grid in zip(cfg.choice.arms, cfg.grids, strict=True)
            }
            budget = courses(cfg, s, best)["power law, growing"].budget
            assert isinstance(budget, FixedScale)
            totals = [budget.counts(k, s.rehearsed).sum() for k in range(1, s.tasks)]
            assert totals == sorted(totals)
            assert (cfg.rows + s.rehearsed) % cfg.batch == 0
            assert FixedBudget(PowerLaw(1.0)).counts(s.tasks - 1, s.rehearsed).sum() == s.rehearsed


@pytest.mark.parametrize("name", EXPERIMENT.presets)
def test_a_plan_tests_no_claim(name: str) -> None:
    cfg = preset(name)
    short = replace(cfg.settings[0], tasks=4, seeds=(0, 1), more=())
    few = replace(cfg, settings=(short, replace(short, tasks=5)), choice=replace(cfg.choice, tasks=2))
    plan = Plan.on("data=16,fsdp=16" if name == "pod" else "data=1", price=False)
    report = EXPERIMENT.pipeline(plan, few)
    assert {claim.verdict for claim in report.claims} == {"not tested"}
