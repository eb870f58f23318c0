"""DANN: lambda follows the progress, target labels are nowhere, reverse validation is charged, budgets are equal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.transfer.dann import ARMS, CONSTANT, DANN, EXPERIMENT, SOURCE, TARGET, preset
from stagejax import Plan

pytestmark = pytest.mark.slow  # a smoke run of half a minute
SMOKE = preset("smoke")
SMOKE = replace(SMOKE, tasks=tuple(replace(task, steps=min(task.steps, 80)) for task in SMOKE.tasks))
finished = smoke_run(EXPERIMENT, SMOKE)


def test_lambda_follows_the_progress(finished: Any) -> None:
    results, _, _ = finished
    for name, last in (("moons/0/dann", None), ("moons/reverse/0.3/there", 0.3), ("digits/0/dann", 1.0)):
        result = results[name]
        last = result.stage.step.keywords["options"].last if last is None else last
        expected = last * np.tanh(SMOKE.gamma / 2 * np.arange(result.steps) / result.steps)
        np.testing.assert_allclose(result.history.train["strength"], expected, rtol=1e-4, atol=1e-6)
    assert set(results["moons/0/constant"].history.train["strength"]) == {1.0}


def test_no_target_label_is_in_reach_of_adaptation(finished: Any) -> None:
    results, _, _ = finished
    for name, result in results.items():
        if name.endswith(("dann", "constant", "there", "back")):
            assert set(result.stage.data.sample_spec()) == {"image", "label", "target_image"}
            labelled = result.stage.data.data
            assert getattr(labelled, "data", labelled).source != result.stage.data.beside.source
    back = results["moons/reverse/1.0/back"].stage
    assert dict(back.data.own)["label"] == "said"  # what the first net says, not the label
    own, held = back.data.beside.source, back.evaluate.data.source
    assert own.source == held.source == SMOKE.tasks[0].source  # scored on the source, on rows that were not trained on
    assert own.stop == held.start


def test_pseudo_labels_are_those_of_the_first_net(finished: Any) -> None:
    results, _, _ = finished
    there, said = results["moons/reverse/0.3/there"], results["moons/reverse/0.3/labels"]
    target = there.stage.data.beside
    rows = target.take_records(np.arange(20))["image"]
    np.testing.assert_array_equal(said.value["said"][:20], np.asarray(there.module()(jnp.asarray(rows))).argmax(-1))
    assert len(said.value["said"]) == len(target.source) == 360


def test_the_strength_with_the_least_reverse_risk_is_taken_and_charged(finished: Any) -> None:
    results, report, _ = finished
    scores = {s: results[f"moons/reverse/{s}/back"].history.last("accuracy") for s in SMOKE.strengths}
    chosen = results["moons/0/dann"].stage.step.keywords["options"].last
    assert scores[chosen] == max(scores.values())
    arms = {arm.name: arm for arm in report.arms}
    assert len(arms["DANN, moons"].charged) == 3 * len(SMOKE.strengths)
    assert not arms["source only, moons"].charged


def test_arms_take_equal_steps_from_the_same_start(finished: Any) -> None:
    results, _, _ = finished
    names = dict(zip(ARMS, ("source", "dann", "constant", "target"), strict=True))
    arms = {arm: results[f"moons/0/{name}"] for arm, name in names.items()}
    assert len({result.steps for result in arms.values()}) == 1
    assert arms[SOURCE].stage.optimizer == arms[DANN].stage.optimizer == arms[TARGET].stage.optimizer
    assert len({result.digest for result in arms.values()}) == 4
    untouched = [path for path in flat(arms[SOURCE]) if "domain" in path]
    assert untouched
    for path in untouched:  # source only leaves the domain head as it was drawn
        np.testing.assert_array_equal(flat(arms[SOURCE])[path], flat(arms[TARGET])[path])
        assert not np.array_equal(flat(arms[DANN])[path], flat(arms[CONSTANT])[path])


def test_measures_and_report(finished: Any) -> None:
    results, report, _ = finished
    for name in ("moons/0/measures", "digits/0/measures"):
        assert 0 <= results[name].value["domain accuracy"] <= 1
        assert all(-2 <= results[name].value[when] <= 2 for when in ("before", "after"))
    assert [row[0] for row in report.tables[0].rows] == list(ARMS)
    assert results["moons/0/target"].history.last("accuracy") > 0.7


@pytest.mark.parametrize("name", ["smoke", "laptop"])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}
