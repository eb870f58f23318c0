"""RS2: what rounds hold, the schedule of the steps that are taken, trained proxies, and choosing charged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.curriculum.rs2 import (
    AGAIN,
    EL2N,
    EXPERIMENT,
    FULL,
    FULL_SCHEDULE,
    METHODS,
    RANDOM,
    RS2,
    STRATIFIED,
    WITH,
    Comparison,
    images,
    preset,
    training,
)
from stagejax import Plan, running
from stagejax.data.selection.scores import el2n
from stagejax.data.selection.subsets import WithoutReplacement
from stagejax.report import curve, flops_to_reach
from stagejax.report.curves import Seconds

pytestmark = pytest.mark.slow  # a smoke run of half a minute
SMOKE = preset("smoke")
C, ROWS = SMOKE.comparisons[0], 120
finished = smoke_run(EXPERIMENT, SMOKE)


def of(arm: str) -> str:
    return f"r0.1/0/{arm}"


def test_every_arm_takes_equal_steps_from_the_same_start(finished: Any) -> None:
    results, report, _ = finished
    steps = SMOKE.rounds * ROWS // SMOKE.batch
    assert {sum(r.steps for r in arm.results) for arm in report.arms} == {steps}
    first = [r for name, r in results.items() if r.kind == "train" and name.startswith("r0.1/0/")]
    whole = [r for r in first if r.steps == steps]
    assert len({tuple(r.history.evals[0].items()) for r in whole}) == 1  # scored before the first step
    assert {(r.stage.optimizer.peak, r.stage.optimizer.weight_decay) for r in first} == {(0.1, 5e-4)}


def test_the_rate_anneals_over_the_steps_that_are_taken(finished: Any) -> None:
    results, _, _ = finished
    steps = SMOKE.rounds * ROWS // SMOKE.batch
    for name in ("rs2", "el2n-hard", "all-data-same-steps"):
        rate = results[of(name)].stage.optimizer.learning_rate(results[of(name)].steps)
        assert float(rate(steps)) == pytest.approx(SMOKE.end)
    never = results[of("rs2-full-schedule")].stage.optimizer.learning_rate(steps)
    assert float(never(steps)) == pytest.approx(SMOKE.peak * (1 + np.cos(np.pi / 10)) / 2, rel=1e-2)
    assert results[of("rs2-full-schedule")].stage.data == results[of("rs2")].stage.data
    segments = [results[f"r0.1/0/margin-chosen-again/{r}"] for r in (0, 2, 4)]
    assert {part.stage.optimizer.schedule(part.steps).steps for part in segments} == {steps}
    assert [int(part.state().step) for part in segments] == [12, 24, 36]


def test_rounds_are_what_they_are_called(finished: Any) -> None:
    results, _, _ = finished
    numbers, data = np.arange(SMOKE.rounds * ROWS), {}
    labels = results["labels-0"].value["label"]
    for arm, name in ((RS2, "rs2"), (WITH, "rs2-with-replacement"), (STRATIFIED, "rs2-stratified")):
        data[arm] = results[of(name)].stage.data.records(numbers).reshape(SMOKE.rounds, ROWS)
        assert all(len(set(own)) == ROWS for own in data[arm].tolist())
    assert len(set(data[RS2].ravel().tolist())) == SMOKE.rounds * ROWS  # 6 of 10 rounds of the first permutation
    assert 0.4 * 1200 < len(set(data[WITH].ravel().tolist())) < 0.55 * 1200  # 1 - 0.9^6 = 0.47
    shares = ROWS * np.bincount(labels) / 1200
    assert all((np.abs(np.bincount(labels[own]) - shares) < 1).all() for own in data[STRATIFIED])
    fixed = results[of("same-random-subset")].stage.data
    seen = [fixed.source[i]["image"].tobytes() for i in fixed.records(np.arange(2 * ROWS)).tolist()]
    source = results[of("rs2")].stage.data.data.source
    assert set(seen) == {
        source[i]["image"].tobytes() for i in data[RS2][0].tolist()
    }  # the first round, again and again


def test_without_replacement_is_training_on_all_data_batch_for_batch(tmp_path: Any) -> None:
    data = images(SMOKE, 0.0, seed=3)
    stage = training(SMOKE, "all", data, 12, seed=0)
    rounds = replace(stage, name="rounds", data=WithoutReplacement(data=data, rows=ROWS, seed=3))
    with running(tmp_path, "same", mesh="data=1") as run:
        assert run.train(stage).digest == run.train(rounds).digest


def test_proxies_are_trained_and_what_they_say_is_what_is_chosen_by(finished: Any) -> None:
    results, _, _ = finished
    accuracies = [results[f"proxy/0/{e}"].history.last("accuracy") for e in range(SMOKE.proxy)]
    assert accuracies[-1] > 0.9
    assert [int(results[f"proxy/0/{e}"].state().step) for e in range(3)] == [60, 120, 180]
    assert [results[f"proxy/0/{e}"].position["step"] for e in range(3)] == [60, 120, 180]
    said = [results[f"proxy/0/{e}/said"].value for e in range(3)]
    scores = np.mean([el2n(one["logits"], one["label"]) for one in said], axis=0)
    hard, easy = (results[of(f"{name}/rows")].value["rows"] for name in ("el2n-hard", "el2n-easy"))
    for c in range(10):
        own = scores[said[0]["label"] == c]
        for rows, sign in ((hard, -1), (easy, 1)):
            chosen = scores[rows[said[0]["label"][rows] == c]]
            np.testing.assert_allclose(np.sort(sign * chosen), np.sort(sign * own)[: len(chosen)])
    model = results["proxy/0/2"].module()
    rows = jnp.asarray(images(SMOKE, 0.0).take_records(np.arange(5))["image"])
    np.testing.assert_allclose(model(rows), said[2]["logits"][:5], atol=1e-4)


def test_choosing_is_charged(finished: Any) -> None:
    results, report, _ = finished
    arms = {arm.name: arm for arm in report.arms}
    for name in METHODS:
        charged = [result.name for result in arms[name].charged]
        passes = 1 if METHODS[name].last else SMOKE.proxy
        assert len(charged) == SMOKE.proxy + passes + 1
        assert all(results[f"proxy/0/{e}"].cost.flops > 0 for e in range(SMOKE.proxy))
    for name in (RS2, WITH, STRATIFIED, FULL, FULL_SCHEDULE, RANDOM):
        assert not arms[name].charged
    one = results["proxy/0/0"]
    per_image = one.cost.flops / one.cost.samples
    scoring = results["proxy/0/0/said"].cost.flops / SMOKE.records
    assert 0.25 < scoring / per_image < 0.5  # forward alone, of forward and backward
    assert results[of("k-center/rows")].cost.flops == 2 * ROWS * 1200 / 10 * 16
    for name in AGAIN:  # scored between its segments, where it happens
        kinds = [result.kind for result in arms[name].results]
        assert kinds == ["train", "make", "make", "train", "make", "make", "train"]
        assert arms[name].cost.flops > arms[RS2].cost.flops + 2 * SMOKE.records * scoring * 0.99


def test_time_to_accuracy_is_at_the_pace_of_the_shared_program(finished: Any) -> None:
    _, report, _ = finished
    arms = {arm.name: arm for arm in report.arms}
    over = Seconds.of(arms.values())
    whole = curve(arms["margin"], over=over, metric="accuracy", with_source=True)
    measured = sum(result.cost.seconds for result in arms["margin"].charged if result.kind == "make")
    assert whole.points[0].x == pytest.approx(180 * over.pace + measured)
    assert whole.points[-1].x == pytest.approx(216 * over.pace + measured)
    assert flops_to_reach(whole, 0.0, rising=True) == whole.points[0].x
    assert [point.y for point in whole.points] == [p.y for p in curve(arms["margin"], metric="accuracy").points]


def test_what_is_chosen_again_differs_each_time(finished: Any) -> None:
    results, _, _ = finished
    for name in ("margin-chosen-again", "margin-drawn-again"):
        second, third = (set(results[of(f"{name}/{r}/rows")].value["rows"].tolist()) for r in (2, 4))
        assert len(second) == len(third) == ROWS
        assert second != third
    drawn = [set(results[f"r0.1/{s}/margin-drawn-again/2/rows"].value["rows"].tolist()) for s in (0, 1)]
    assert drawn[0] != drawn[1]
    weights = [flat(results[of(f"margin-chosen-again/{r}")]) for r in (0, 2)]
    assert any(not np.array_equal(weights[0][path], weights[1][path]) for path in weights[0])


def test_hard_records_are_those_with_wrong_labels(finished: Any) -> None:
    results, _, _ = finished
    at = "r0.1-noise0.4/0"
    stage = results[f"{at}/rs2"].stage
    source = stage.data.data.source
    rows = results[f"{at}/el2n-hard/rows"].value["rows"]
    assert results[f"{at}/wrong"].value == pytest.approx(source.wrong(rows).mean())
    assert results[f"{at}/wrong"].value > 0.8
    assert source.wrong(stage.data.records(np.arange(720))).mean() == pytest.approx(0.4, abs=0.06)
    assert stage.evaluate.data == results[of("rs2")].stage.evaluate.data  # scored on clean labels
    assert results["proxy-noise0.4/0/2"].history.last("accuracy") > 0.6


def test_report_judges_each_claim(finished: Any) -> None:
    results, report, folder = finished
    assert [claim.verdict != "not tested" for claim in report.claims] == [True] * 4
    means = {
        arm: np.mean([results[f"r0.1/{s}/{name}"].history.last("accuracy") for s in (0, 1)])
        for arm, name in ((RS2, "rs2"), (RANDOM, "same-random-subset"), (EL2N, "el2n-hard"))
    }
    cells = {row[0]: float(row[1].split()[0]) for row in report.tables[0].rows}
    for arm, value in means.items():
        assert cells[arm] == pytest.approx(100 * value, abs=0.051)
    assert (folder / "report.html").exists()
    assert {row[0] for row in report.tables[3].rows} == {"r = 10%"}


@pytest.mark.parametrize("name", ["laptop", "pod"])
def test_a_plan_tests_no_claim(name: str) -> None:
    few = tuple(replace(c, seeds=c.seeds[:1]) for c in preset(name).comparisons)
    report = EXPERIMENT.pipeline(Plan.on("data=2", price=False), replace(preset(name), comparisons=few))
    assert {claim.verdict for claim in report.claims} == {"not tested"}


def test_no_full_training_no_table_of_it() -> None:
    cfg = replace(preset("smoke"), comparisons=(Comparison(0.1, (RS2, FULL, RANDOM, EL2N), (0,)),))
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), cfg)
    assert not report.tables[3].rows
