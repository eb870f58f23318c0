"""Distilling step-by-step: the teacher's reasons and not gold ones, equal labels in all arms, tests of labels alone."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from smoke import smoke_run

from experiments.distillation.distilling_step_by_step import (
    ALOUD,
    DSS,
    EXPERIMENT,
    FT,
    LABELS,
    MATCHED,
    PROGRAM,
    UNLABELLED,
    preset,
    weighted,
)
from stagejax import Plan
from stagejax.budget import step_flops
from stagejax.data import Source
from stagejax.data.prompts.lessons import two_tasks
from stagejax.names import slug
from stagejax.objectives.text.explaining import StepByStep, label_alone

SMOKE = preset("smoke")
TASK = SMOKE.tasks[0]
finished = smoke_run(EXPERIMENT, SMOKE)


def questions(source: Source) -> set[str]:
    return {source[i]["question"] for i in range(len(source))}


def named(arm: str, share: float = 1.0) -> str:
    return f"{TASK.name}/{slug(arm)}/0/{share:g}"


def test_teacher_pool_development_and_tests_share_no_question() -> None:
    parts = [TASK.taught, TASK.pool, TASK.dev, *(source for _, source in TASK.tests)]
    found = [questions(part) for part in parts]
    assert all(not a & b for i, a in enumerate(found) for b in found[:i])
    assert len(found[1]) == TASK.size
    assert questions(TASK.read) == found[0] | found[1]  # span corruption sees no test question


def test_the_loss_is_the_weighted_sum_of_two_means() -> None:
    form = TASK.form
    rows = {name: jnp.asarray(leaf[:4]) for name, leaf in two_tasks(form, form.read(TASK.pool)).items()}

    def model(inputs: jax.Array, tokens: jax.Array, mask: jax.Array, key: None) -> jax.Array:
        return 3.0 * jax.nn.one_hot(tokens + inputs[:, :1] - form.predict, form.vocab)  # tells the tasks apart

    label, _ = label_alone(model, rows, None)
    for alpha in (0.0, 0.3, 1.0):
        loss, metrics = StepByStep(alpha)(model, rows, None)
        total, count = metrics["rationale"]
        assert float(loss) == pytest.approx(alpha * float(label) + (1 - alpha) * float(total / count), rel=1e-5)
    assert float(count) == rows["rationale/weights"].sum() > rows["label/weights"].sum()


def test_the_pod_preset_is_the_papers() -> None:
    pod = preset("pod")
    assert pod.batch == 64
    assert pod.rates == (5e-5,)
    assert [task.steps[2] for task in pod.tasks] == [10_000] * 3
    assert [task.student.embed for task in pod.tasks] == [768, 1024, 4096]


@pytest.mark.slow
def test_rationales_are_the_teachers_and_its_errors_are_kept(finished: Any) -> None:
    results, _, _ = finished
    form, said = TASK.form, results[f"{TASK.name}/explained"].value
    gold = [lesson.rationale for lesson in form.read(TASK.pool)]
    made = [tuple(row[row > 0].tolist()) for row in said["rationale"]]
    assert said["parsed"].any()
    assert any(own != true for own, true, parsed in zip(made, gold, said["parsed"], strict=True) if parsed)
    assert said["right"].mean() < 1
    rows = results[f"{named(DSS)}/rows"].value
    assert len(rows["label/inputs"]) == TASK.size  # nothing was filtered by gold labels
    learned = rows["rationale/weights"].sum(1) > 0
    assert learned.sum() == said["parsed"].sum()
    wrong = {
        own for own, parsed, right in zip(made, said["parsed"], said["right"], strict=True) if parsed and not right
    }
    shown = {tuple(row[(row > 0) & (row != 2)].tolist()) for row in rows["rationale/targets"][learned]}
    assert wrong <= shown


@pytest.mark.slow
def test_fine_tuning_and_step_by_step_see_the_same_labels_in_the_same_batches(finished: Any) -> None:
    results, _, _ = finished
    for share in TASK.shares:
        one, two = (results[named(arm, share)] for arm in (FT, DSS))
        assert one.stage.steps == two.stage.steps == TASK.steps[2]
        for first, second in zip(batches(one), batches(two), strict=True):
            for name in first:
                np.testing.assert_array_equal(first[name], second[name])
            assert not any(name.startswith("rationale") for name in first)
            asked = second["label/inputs"][:, 1:], second["rationale/inputs"][:, 1:]
            np.testing.assert_array_equal(*asked)  # both tasks of the same questions
            assert (second["label/inputs"][:, 0] == TASK.form.predict).all()
            assert (second["rationale/inputs"][:, 0] == TASK.form.explain).all()
    few, every = (rows_of(results[f"{named(FT, share)}/rows"]) for share in TASK.shares)
    assert len(few) == TASK.size // 2
    assert few < every


@pytest.mark.slow
def test_without_gold_labels_both_arms_see_the_teachers(finished: Any) -> None:
    results, _, _ = finished
    said = results[f"{TASK.name}/explained"].value
    gold = rows_of(results[f"{named(FT)}/rows"])
    for arm in (LABELS, UNLABELLED):
        own = rows_of(results[f"{named(arm)}/rows"])
        assert len(own) == said["parsed"].sum()
        assert (len(own - gold) == 0) == (said["right"][said["parsed"]].all())
    assert rows_of(results[f"{named(LABELS)}/rows"]) == rows_of(results[f"{named(UNLABELLED)}/rows"])


@pytest.mark.slow
def test_rivals_cost_as_many_flops_and_all_begin_with_one_checkpoint(finished: Any) -> None:
    results, report, _ = finished
    matched, two = results[named(MATCHED)], results[named(DSS)]
    assert abs(matched.cost.flops - two.cost.flops) <= step_flops(matched.stage)
    assert matched.stage.steps > 1.5 * TASK.steps[2]
    own = {arm.name: arm for arm in report.arms}
    for arm in (DSS, UNLABELLED, LABELS, ALOUD):
        names = [result.name for result in own[f"{TASK.name}: {arm}, 100%"].charged]
        assert {f"{TASK.name}/teacher", f"{TASK.name}/explained"} <= set(names)
        assert sum("/rate/" in name for name in names) == len(SMOKE.rates)
    for arm in (FT, MATCHED, PROGRAM):
        assert not any("teacher" in result.name for result in own[f"{TASK.name}: {arm}, 100%"].charged)
    assert all(arm.results[0].name == f"{TASK.name}/checkpoint" for arm in report.arms)
    assert results[f"{TASK.name}/explained"].cost.sampled_tokens > TASK.size


@pytest.mark.slow
def test_tests_are_labels_alone_and_rates_are_chosen_without_them(finished: Any) -> None:
    results, _, _ = finished
    held = len(TASK.tests[0][1])
    said = {name: result.value for name, result in results.items() if name.endswith("/held-out")}
    for name, made in said.items():
        assert len(made["right"]) == held
        assert (made["tokens"].max() <= TASK.form.label) or slug(ALOUD) in name.split("/")[-2]
    rates = [name for name in results if "/rate/" in name and name.endswith("/dev")]
    assert len(rates) == 3 * len(SMOKE.rates)
    chosen = {arm: results[named(arm)].stage.optimizer.peak for arm in (FT, DSS, MATCHED, PROGRAM)}
    assert chosen[FT] == chosen[MATCHED]
    assert chosen[DSS] == chosen[PROGRAM]
    assert {results[named(weighted(alpha))].stage.objective.alpha for alpha in SMOKE.alphas} == set(SMOKE.alphas)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smoke"])
def test_nothing_is_said_of_what_is_only_planned(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), preset(name))
    assert all(claim.verdict == "not tested" for claim in report.claims)


def batches(result: Any) -> list[dict[str, np.ndarray]]:
    data = result.stage.data
    return [jax.tree.map(np.asarray, data.take(np.arange(k * data.batch, (k + 1) * data.batch))) for k in range(3)]


def rows_of(made: Any) -> set[tuple[bytes, bytes]]:
    """Questions with their labels."""
    return {
        (asked.tobytes(), label.tobytes())
        for asked, label in zip(made.value["label/inputs"], made.value["label/targets"], strict=True)
    }
