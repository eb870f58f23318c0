"""A multi-task model's life: equal budgets, who reads what, what is frozen, what is forgotten, what is charged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.transfer.mtl_lifecycle_survey import (
    ADAPTERS,
    ANNEALED,
    DISTILLED,
    EQUAL,
    EXPERIMENT,
    GENEROUS,
    PROPORTIONAL,
    SAMPLINGS,
    Config,
    preset,
    score,
)
from stagejax import Plan
from stagejax.data.tasks.text_tasks import TaskText
from stagejax.names import slug

pytestmark = pytest.mark.slow  # a dozen programs
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)
TASKS, NEW = len(SMOKE.tasks), len(SMOKE.tasks)
DESIGNS = [f"0/{slug(label)}" for label in (*SAMPLINGS, ADAPTERS, DISTILLED)]


def moved(one: Any, other: Any, name: str) -> float:
    a, b = flat(one), flat(other)
    return max(float(np.abs(a[path] - b[path]).max()) for path in a if path.startswith(name))


def test_single_task_models_share_the_steps_of_one_multi_task_run(finished: Any) -> None:
    results, _, _ = finished
    alone = [results[f"0/{slug(EQUAL)}/{task.name}"] for task in SMOKE.tasks]
    generous = [results[f"0/{slug(GENEROUS)}/{task.name}"] for task in SMOKE.tasks]
    whole = results[f"0/{slug(ANNEALED)}"]
    assert sum(result.steps for result in alone) in range(whole.steps - TASKS + 1, whole.steps + 1)
    for number, result in enumerate(generous):
        assert result.steps == whole.steps == SMOKE.steps
        assert result.stage.optimizer == whole.stage.optimizer
        assert set(result.stage.data.take(np.arange(32))["task"]) == {number}
        assert result.stage.data.batch == whole.stage.data.batch


def test_designs_differ_in_their_shares_alone_and_see_no_row_of_the_later_task(finished: Any) -> None:
    results, _, _ = finished
    counts = {}
    for name in DESIGNS:
        data = results[name].stage.data
        data = getattr(data, "data", data)  # of the distilled one, beside the teachers' answers
        rows = data.take(np.arange(SMOKE.steps * SMOKE.batch))["task"]
        assert NEW not in rows
        counts[name] = np.bincount(rows, minlength=TASKS)
    proportional, annealed = counts[f"0/{slug(PROPORTIONAL)}"], counts[f"0/{slug(ANNEALED)}"]
    assert annealed[-1] > proportional[-1]
    np.testing.assert_array_equal(annealed, counts[f"0/{slug(ADAPTERS)}"])
    np.testing.assert_allclose(proportional / proportional.sum(), np.array([600, 300, 100]) / 1000, atol=0.01)


def test_no_test_text_was_read_before(finished: Any) -> None:
    results, _, _ = finished
    for name, result in results.items():
        data = getattr(result.stage, "data", None)
        tasks = getattr(getattr(data, "data", data), "tasks", ())
        assert all(task.source.split == "train" for task in tasks), name
        evaluated = result.stage and result.stage.evaluate
        if evaluated and hasattr(evaluated.data, "tasks"):
            assert all(task.source.split == "test" for task in evaluated.data.tasks), name
    assert TaskText(SMOKE.arriving) not in SMOKE.learned_from.train.parts  # nor did the encoder read the later task


def test_adapters_leave_encoder_and_old_tasks_to_the_bit(finished: Any) -> None:
    results, _, _ = finished
    encoder, apart, added = (results[name] for name in ("encoder", "0/adapters", "0/arrival/a-new-adapter"))
    assert moved(encoder, apart, "encoder") == moved(apart, added, "encoder") == 0
    for leaf in ("down", "up"):
        old, new = (flat(result)[f"bank/{leaf}"] for result in (apart, added))
        np.testing.assert_array_equal(old[:, :NEW], new[:, :NEW])
        assert np.abs(old[:, NEW:] - new[:, NEW:]).max() > 0
    np.testing.assert_array_equal(flat(apart)["heads/kernel"][:NEW], flat(added)["heads/kernel"][:NEW])
    for task in range(TASKS):
        assert score(SMOKE, apart.history.last, task) == score(SMOKE, added.history.last, task)


def test_other_arrivals_go_on_from_the_annealed_model_and_move_it(finished: Any) -> None:
    results, _, _ = finished
    before = results[f"0/{slug(ANNEALED)}"]
    for name in ("naive", "replay"):
        assert moved(before, results[f"0/arrival/{name}"], "encoder") > 0
    rows = results["0/arrival/replay"].stage.data.take(np.arange(1000))["task"]
    assert (rows != NEW).mean() == pytest.approx(SMOKE.replay, abs=0.002)
    assert set(results["0/arrival/naive"].stage.data.take(np.arange(100))["task"]) == {NEW}
    teacher = results["0/arrival/lwf"].member("teacher")
    assert moved(before, teacher, "encoder") == 0
    assert "net_kept" in results["0/arrival/lwf"].history.train
    assert set(results["0/arrival/jointly-again"].stage.data.take(np.arange(320))["task"]) == set(range(TASKS + 1))


def test_before_the_shift_some_labels_were_never_seen(finished: Any) -> None:
    results, _, _ = finished
    number, labels = SMOKE.shifting
    rows = results["shift/before"].stage.data.take(np.arange(SMOKE.steps * SMOKE.batch))
    assert set(rows["label"][rows["task"] == number]) == set(labels)
    again = results["shift/retrained-on-all"].stage.data.take(np.arange(400))
    assert set(again["label"][again["task"] == number]) > set(labels)


def test_teachers_and_encoder_are_charged(finished: Any) -> None:
    results, report, _ = finished
    arms = {arm.name: arm for arm in report.arms}
    encoder = results["encoder"].cost.flops
    teachers = sum(results[f"0/{slug(GENEROUS)}/{task.name}"].cost.flops for task in SMOKE.tasks)
    answers = results["0/taught"].cost.flops
    assert answers > 0
    assert arms[ANNEALED].charged_cost.flops == encoder
    assert arms[DISTILLED].charged_cost.flops == pytest.approx(encoder + teachers + answers)
    assert arms[GENEROUS].cost.flops + arms[GENEROUS].charged_cost.flops == pytest.approx(encoder + teachers)
    assert sum(len(task.source) for task in SMOKE.tasks) == SMOKE.records


def test_a_teacher_answers_its_own_task(finished: Any) -> None:
    results, _, _ = finished
    taught = results["0/taught"].value["taught"]
    assert taught.shape == (SMOKE.records, SMOKE.hard.classes)
    data = results[f"0/{slug(ANNEALED)}"].stage.data
    rows = data.take_records(np.array([650]))  # of the second task
    assert rows["task"].tolist() == [1]
    own = results[f"0/{slug(GENEROUS)}/{SMOKE.tasks[1].name}"].module()
    answers = own.answers(jnp.asarray(rows["tokens"]), jnp.asarray(rows["task"]))
    np.testing.assert_allclose(answers[0], taught[650], atol=1e-4)


def test_the_report_has_designs_events_and_costs(finished: Any) -> None:
    results, report, _ = finished
    scores, gains, arrivals, shift, serving = report.tables
    assert scores.columns[1:] == (*(task.name for task in SMOKE.tasks), "mean", "smallest", "largest")
    row = next(row for row in scores.rows if row[0] == ANNEALED)
    assert float(row[1]) == pytest.approx(100 * results["0/annealed"].history.last("right_0"), abs=0.06)
    assert {row[0] for row in gains.rows} == {
        label for label in report_labels(report) if label not in (EQUAL, GENEROUS)
    }
    assert [row[0] for row in shift.rows] == ["left alone", "fine-tuned on it", "retrained on all"]
    sizes = {row[0]: row[1] for row in serving.rows}
    assert sizes["alone"] > sizes["adapted"] > sizes["shared"]
    assert next(row for row in arrivals.rows if row[0] == "a new adapter")[3] == "0.0"
    assert results["encoder"].history.train["loss"][-1] < results["encoder"].history.train["loss"][0]


def report_labels(report: Any) -> set[str]:
    return {row[0] for row in report.tables[0].rows} - {"constant answer"}


@pytest.mark.parametrize(
    "config", [SMOKE, Config(), replace(SMOKE, seeds=(0, 1))], ids=["smoke", "laptop", "two seeds"]
)
def test_a_plan_tests_no_claim(config: Config) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), config)
    assert {claim.verdict for claim in report.claims} == {"not tested"}
