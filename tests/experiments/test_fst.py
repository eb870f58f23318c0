"""FST at smoke size: one start for all arms, teachers that see the future, every pass charged, labels out of reach."""

from typing import Any

import jax
import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.self_training.fst import EXPERIMENT, both, iou, labelled, preset
from stagejax import Plan

pytestmark = pytest.mark.slow  # a smoke run of a minute
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def test_all_arms_begin_where_the_start_ended(finished: Any) -> None:
    results, _, _ = finished
    for name, result in results.items():
        if result.kind == "train" and name != "0/start":
            assert ("params", "carry") in {(row[0], row[3]) for row in result.handover}, name
            assert result.steps == SMOKE.steps * (SMOKE.dearest + 1 if name == "0/compute" else 1)


def test_every_pass_is_charged(finished: Any) -> None:
    results, _, _ = finished
    cost = {name: result.cost.flops for name, result in results.items()}
    assert cost["0/deep-2"] == pytest.approx(3 * cost["0/classic"], rel=1e-6)
    assert cost["0/compute"] == pytest.approx(cost["0/deep-2"], rel=1e-6)
    assert cost["0/wide"] == pytest.approx((SMOKE.wide + 1) * cost["0/classic"], rel=1e-6)
    assert cost["0/faster"] == cost["0/classic"]
    assert cost["0/supervised"] < cost["0/classic"]


def test_the_teachers_differ_and_so_do_their_students(finished: Any) -> None:
    results, _, _ = finished
    teachers = {name: results[f"0/{name}"].state().ema for name in ("classic", "faster", "deep-2", "wide")}
    leaves = {name: np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)]) for name, tree in teachers.items()}
    student = np.concatenate([x.ravel() for x in flat(results["0/classic"]).values()])
    for name in ("faster", "deep-2", "wide"):
        assert np.abs(leaves[name] - leaves["classic"]).max() > 1e-4
    assert np.abs(student - leaves["classic"]).max() > 1e-4
    assert not np.array_equal(student, np.concatenate([x.ravel() for x in flat(results["0/deep-2"]).values()]))


def test_labelled_and_unlabelled_images_are_apart() -> None:
    first = labelled(SMOKE, 0, 4).take(np.arange(SMOKE.labelled))["image"]
    rest = both(SMOKE, 0, 4).take(np.arange(64 - SMOKE.labelled))["target_image"]
    same = (first[:, None] == rest[None]).all((2, 3, 4))
    assert not same.any()
    assert len(np.unique(first.reshape(len(first), -1), axis=0)) == SMOKE.labelled


def test_report_has_claims_and_pictures(finished: Any) -> None:
    _, report, folder = finished
    assert len(report.claims) == 3
    assert all(claim.verdict != "not tested" for claim in report.claims)
    assert [figure.title for figure in report.figures] == ["Test images"]
    assert "Test images" in (folder / "report.html").read_text()


def test_iou_leaves_void_out() -> None:
    labels, said = np.array([[0, 0, 1, -1]]), np.array([[0, 1, 1, 0]])
    assert iou(labels, said, 0) == 0.5
    assert iou(labels, said, 1) == 0.5
    assert np.isnan(iou(labels, said, 2))


@pytest.mark.parametrize("name", ["laptop", "pod"])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=2", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}
