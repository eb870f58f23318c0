"""HAST at smoke size: labels within the budget, fresh classifiers in each round, equal steps, costs charged."""

from typing import Any

import numpy as np
import pytest
from smoke import smoke_run

from experiments.self_training.hast import ABLATIONS, AGAIN, EVERY, EXPERIMENT, MAIN, NONE, OURS, preset
from stagejax import Plan
from stagejax.data import Portion
from stagejax.inference.selection.pseudo_labels import HAST
from stagejax.names import slug

pytestmark = pytest.mark.slow  # a smoke run of half a minute
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def of(results: dict[str, Any], ending: str) -> dict[str, Any]:
    return {name: result for name, result in results.items() if name.endswith(ending)}


def test_labels_stay_within_the_budget(finished: Any) -> None:
    results, _, _ = finished
    for r in range(SMOKE.tuned.rounds + 1):
        bought = of(results, f"/{r}/labelled")
        assert len(bought) == 2 * len(SMOKE.tuned_arms)  # and pilots
        for made in bought.values():
            assert len(set(made.value["rows"].tolist())) == SMOKE.tuned.labels[r]
            assert made.value["weight"].tolist() == [1] * SMOKE.tuned.labels[r]
    heads = [result for name, result in results.items() if name.startswith("frozen/") and name.count("/") == 3]
    assert {result.value["rows"].shape for result in heads} == {(len(SMOKE.seeds), SMOKE.frozen.labels[-1])}
    assert len(heads) == len(MAIN) * len(SMOKE.queries) + len(ABLATIONS)


def test_bought_labels_stay_and_are_true(finished: Any) -> None:
    results, _, _ = finished
    start, more = (results[f"tuned/hast/0/{r}/labelled"].value for r in (0, 1))
    assert more["rows"][: SMOKE.tuned.start].tolist() == start["rows"].tolist()
    data = results["tuned/hast/0/0/labels"].stage.data.data
    np.testing.assert_array_equal(data.take_records(more["rows"])["label"], more["label"])
    assert np.ptp(np.bincount(start["label"], minlength=5)) <= 1


def test_every_round_begins_at_the_encoder_and_phases_are_equally_long(finished: Any) -> None:
    results, _, _ = finished
    encoder = results["contrasted"]
    for ending in ("/labels", "/second"):
        for name, result in of(results, ending).items():
            assert {row[3] for row in result.handover if row[0] == "params"} >= {"carry", "reset"}, name
            assert result.generation == encoder.generation + 1, name  # no classifier of an earlier round
    stages = [result for name, result in results.items() if name.startswith("tuned/") and result.kind == "train"]
    assert {result.steps for result in stages} == {SMOKE.tuned_steps}
    assert {result.stage.optimizer.peak for result in stages} == set(SMOKE.tuned_peaks)
    rounds = SMOKE.tuned.rounds + 1
    assert len([name for name in of(results, "/both") if name.startswith("tuned/hast/")]) == rounds
    assert of(results, "/both")
    for name, result in of(results, "/both").items():
        assert {row[3] for row in result.handover if row[0] == "params"} <= {"carry", "freeze"}, name


def test_pilots_are_judged_behind_the_pool_and_charged(finished: Any) -> None:
    results, report, _ = finished
    task = SMOKE.tasks[SMOKE.tuned_task]
    pilot, own = (results[f"{name}/0/0/labels"].stage for name in ("rates/hast/0.01", "tuned/hast"))
    behind = pilot.evaluate.data.task.source
    assert behind.digest() == Portion(task.source, start=SMOKE.tuned.pool).digest()
    assert own.evaluate.data.task == task.of_split("test")
    assert pilot.data.data.source.digest() == own.data.data.source.digest()
    for arm in SMOKE.tuned_arms:
        charged = {result.name for result in next(a for a in report.arms if a.name == f"{arm}, fine-tuned").charged}
        assert {f"rates/{slug(arm)}/0.01/0/{r}/labels" for r in (0, 1)} <= charged


def test_accepted_rows_are_unlabelled_ones_with_predicted_labels(finished: Any) -> None:
    results, _, _ = finished
    accepted = 0
    for name, made in of(results, "/chosen").items():
        value, own = made.value, results[name.replace("chosen", "labelled")].value
        count = len(own["rows"])
        assert value["rows"][:count].tolist() == own["rows"].tolist()
        assert len(set(value["rows"].tolist())) == len(value["rows"]) == count + int(value["accepted"][0])
        assert value["weight"].mean() == pytest.approx(1)
        accepted += int(value["accepted"][0])
        if len(value["rows"]) > count:
            data = results[name.replace("chosen", "labels")].stage.data.data
            true = data.take_records(value["rows"][count:])["label"]
            assert value["right"][0] == pytest.approx((true == value["label"][count:]).mean())
    assert accepted > 0
    assert all(results[name].value["accepted"][0] == 0 for name in of(results, "/chosen") if "labels-again" in name)


def test_arms_differ_in_their_selector_alone(finished: Any) -> None:
    results, _, _ = finished
    first = {name: made.value for name, made in results.items() if name.startswith("frozen/who/breaking-ties/")}
    before = [value["before"][:, 0].tolist() for value in first.values()]
    assert all(own == before[0] for own in before)  # the same first classifiers
    starts = [value["rows"][:, : SMOKE.frozen.start].tolist() for value in first.values()]
    assert all(own == starts[0] for own in starts)
    none = first["frozen/who/breaking-ties/no-self-training"]
    np.testing.assert_array_equal(none["accuracy"], none["before"])
    assert isinstance(EVERY[OURS].selector, HAST)
    fewer, all_of_them = (
        first[f"frozen/who/breaking-ties/{arm}"]["accepted"][:, 0] for arm in ("hast", "hast-no-neighbours")
    )
    assert (fewer < all_of_them).all()


def test_the_encoder_never_sees_what_comes_behind_the_pool() -> None:
    sources = SMOKE.learned_from
    assert len(sources) == len(SMOKE.text) + SMOKE.frozen.pool * len(SMOKE.tasks)


def test_what_selectors_need_is_charged(finished: Any) -> None:
    results, report, _ = finished
    cost = {
        arm: results[f"frozen/who/cal/{arm}"].cost.flops
        for arm in ("no-self-training", "labels-again", "ust", "verips")
    }
    assert cost["no-self-training"] < cost["labels-again"] < cost["verips"] < cost["ust"] * 2
    arms = {arm.name: arm for arm in report.arms}
    charged = {result.name for result in arms[f"{AGAIN}, fine-tuned"].charged}
    assert {name for name in charged if not name.startswith("rates/labels-again/")} == {"masked", "contrasted"}
    assert arms[f"{NONE}, fine-tuned"].cost.steps * 2 == arms[f"{AGAIN}, fine-tuned"].cost.steps
    assert arms[f"{OURS}, fine-tuned"].cost.steps == arms[f"{AGAIN}, fine-tuned"].cost.steps
    assert any(name.endswith("/second") for name in (result.name for result in arms["VERIPS, fine-tuned"].results))
    assert arms[f"{NONE}, frozen"].cost.flops < arms[f"{AGAIN}, frozen"].cost.flops


def test_report_judges_each_claim(finished: Any) -> None:
    _, report, folder = finished
    assert [claim.verdict != "not tested" for claim in report.claims] == [True] * 4
    assert "Over labels: who, breaking ties" in (folder / "report.html").read_text()


@pytest.mark.parametrize("name", ["laptop", "pod"])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=2", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}
