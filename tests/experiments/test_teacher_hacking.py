"""Teacher hacking: the oracle only measures, prompts of tests are never trained on, all drawn tokens are charged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.distillation.teacher_hacking import (
    CONTROL,
    EXPERIMENT,
    FIFTH,
    FOUR,
    HALF,
    OFFLINE,
    STUDENT,
    TEACHER,
    departs,
    preset,
    proxy_since,
    rise,
)
from stagejax import Plan
from stagejax.objectives.divergence import Distances

pytestmark = pytest.mark.slow  # most of it compilation
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def rows(made: Any) -> set[bytes]:
    return {row.tobytes() for row in made.value["inputs"]}


def test_only_the_student_moves_and_the_oracle_teaches_in_the_control_alone(finished: Any) -> None:
    results, _, _ = finished
    for name in ("0/offline", "0/online-teacher", "0/online-student"):
        last = results[name]
        for who, start in (("teacher", "0/teacher"), ("oracle", "oracle")):
            now, before = flat(last.member(who)), flat(results[start])
            assert all(np.array_equal(now[path], before[path]) for path in before)
        student, before = flat(last.member("student")), flat(results["0/student"])
        assert any(not np.array_equal(student[path], before[path]) for path in before)
    control = results["0/offline-from-the-oracle"].member("teacher")
    assert all(np.array_equal(x, flat(results["oracle"])[path]) for path, x in flat(control).items())
    evals = results["0/offline-from-the-oracle"].history.evals
    assert all(row["proxy"] == pytest.approx(row["golden"], rel=1e-5) for row in evals)
    assert results["0/gap"].value["golden"] > 0.05  # the teacher is imperfect


def test_tests_are_on_prompts_that_nothing_was_trained_on(finished: Any) -> None:
    results, _, _ = finished
    held = SMOKE.text.held_out(1)
    assert held.source.split == "test" != SMOKE.text.source.split
    asked = np.repeat(held.take(np.arange(SMOKE.tests))["inputs"], SMOKE.answers, axis=0)
    for name in ("held-out", "0/held-out", "0/tests/teacher", "0/tests/oracle"):
        np.testing.assert_array_equal(results[name].value["inputs"], asked)
    trained = SMOKE.text.take(np.arange(SMOKE.pairs + SMOKE.prompts))["inputs"]
    np.testing.assert_array_equal(results["0/pairs"].value["inputs"], trained[: SMOKE.pairs])
    for name in ("0/prompts", "0/responses/teacher/20x1", "0/responses/oracle/20x1"):
        np.testing.assert_array_equal(results[name].value["inputs"], trained[SMOKE.pairs :])


def test_the_metrics_are_exact_divergences_on_held_out_responses(finished: Any) -> None:
    results, _, _ = finished
    last = results["0/offline"]
    models = {who: last.member(who).module() for who in last.model}
    batch = jax.tree.map(jax.numpy.asarray, results["0/tests/teacher"].value)
    _, metrics = Distances()(models, batch, None)
    for name in ("proxy", "golden", "golden_reverse", "golden_js"):
        total, count = metrics[name]
        assert last.history.evals[-1][name] == pytest.approx(float(total / count), rel=1e-3)
    at = [row["step"] for row in last.history.evals]
    assert at == [*range(0, SMOKE.steps, SMOKE.every), SMOKE.steps]


def test_diversity_changes_the_prompts_and_not_the_size(finished: Any) -> None:
    results, _, _ = finished
    one = results["0/responses/teacher/20x1"]
    for times, count in ((2, 10), (5, 4)):
        made = results[f"0/responses/teacher/{count}x{times}"]
        assert len(made.value["inputs"]) == len(one.value["inputs"]) == SMOKE.prompts
        assert len(rows(made)) <= count < len(rows(one))
        np.testing.assert_array_equal(made.value["targets"][::times], one.value["targets"][:count])
    four = results["0/responses/teacher/20x4"]
    assert len(four.value["inputs"]) == 4 * SMOKE.prompts
    np.testing.assert_array_equal(four.value["targets"][::4], one.value["targets"])


def test_arms_differ_in_their_responses_alone_and_all_drawn_tokens_are_charged(finished: Any) -> None:
    results, report, _ = finished
    stages = [results[f"0/{name}"].stage for name in ("offline", "online-teacher", "4-responses-a-prompt")]
    assert len({(stage.steps, stage.data.batch, stage.optimizer["student"]) for stage in stages}) == 1
    arms = {arm.name: arm for arm in report.arms}
    for arm in (TEACHER, STUDENT):
        last = arms[arm].results[-1]
        assert last.cost.sampled_tokens == sum(last.history.train["sampled_tokens"]) > SMOKE.steps * SMOKE.batch
        assert last.cost.flops > arms[OFFLINE].results[-1].cost.flops
    assert arms[OFFLINE].results[-1].cost.sampled_tokens == 0
    offline, four = (arms[arm].charged_cost.sampled_tokens for arm in (OFFLINE, FOUR))
    pairs = results["0/pairs"].cost.sampled_tokens
    assert pairs == results["0/pairs"].value["weights"].sum()
    assert offline - pairs == results["0/responses/teacher/20x1"].value["weights"].sum()
    assert four > offline
    assert results["0/teacher"] in arms[HALF].charged
    assert results["0/teacher"] not in arms[CONTROL].charged
    assert all(results["oracle"] in arm.charged for arm in (arms[FIFTH], arms[CONTROL]))


def test_a_rise_of_the_proxy_is_not_called_hacking(finished: Any) -> None:
    _, report, _ = finished
    arm = report.arms[0]

    def with_course(proxy: list[float], golden: list[float]) -> Any:
        evals = [{"step": 3 * k, "proxy": p, "golden": g} for k, (p, g) in enumerate(zip(proxy, golden, strict=True))]
        last = replace(arm.results[-1], history=replace(arm.results[-1].history, evals=evals))
        return replace(arm, results=(arm.results[0], last))

    hacked = with_course([3.0, 2.0, 1.0], [3.0, 2.0, 2.2])
    overfitted = with_course([3.0, 1.0, 1.1], [3.0, 2.0, 2.2])
    assert rise(hacked) == rise(overfitted) == pytest.approx(0.1)
    assert proxy_since(hacked) < 0 < proxy_since(overfitted)
    falling = [2.0 * (k + 1) ** -0.5 for k in range(20)]
    assert departs(with_course(falling, falling)) == np.inf
    assert departs(with_course([*falling[:12], *[0.7] * 8], falling)) == 36


@pytest.mark.parametrize("name", ["smoke", "laptop", "full"])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}
