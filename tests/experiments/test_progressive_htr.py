"""Progressive transcription: no label of a target line is in reach, each round begins at stage 2, quotas hold."""

from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.self_training.progressive_htr import (
    ARMS,
    CTC,
    EXPERIMENT,
    KEPT,
    LONGER,
    ONCE,
    ONE_OURS,
    OURS,
    TRUE,
    annotated,
    portion,
    preset,
    target,
)
from stagejax import Plan
from stagejax.inference.transcribing import truth
from stagejax.names import slug

pytestmark = pytest.mark.slow  # a smoke run of half a minute
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def of(results: dict[str, Any], arm: str, r: int, i: int = 0) -> Any:
    return results[f"0/{slug(arm)}/{r}/{i}"]


def labels_of(results: dict[str, Any], arm: str, r: int) -> Any:
    return results[f"0/{slug(arm)}/{r}/labels"]


def test_parts_share_no_symbol_and_the_test_is_of_another_split() -> None:
    images = {
        part: {np.asarray(record["image"]).tobytes() for record in (own[i] for i in range(len(own)))}
        for part in ("shots", "validation", "lines", "test")
        for own in (portion(SMOKE, part, 0),)
    }
    for first in images:
        for second in images:
            assert first == second or not images[first] & images[second]
    assert target(SMOKE, "test", 0).split == "test"
    assert len(portion(SMOKE, "shots", 0)) == SMOKE.shots * SMOKE.reading.classes


def test_what_pseudo_labels_train_on_is_in_the_artifact_and_nowhere_else(finished: Any) -> None:
    results, _, _ = finished
    for arm in (OURS, KEPT, ONCE, ONE_OURS):
        for r in range(SMOKE.rounds):
            data = of(results, arm, r).stage.data
            made = labels_of(results, arm, 0 if arm == ONCE else r)
            assert data.of == made.fingerprint
            assert data.labels is not None
    data = of(results, OURS, 0).stage.data
    assert data.lines == annotated(SMOKE, 0)
    known = labels_of(results, OURS, 0).value["positive"]
    assert set(data.known.tolist()) == set(known[:, 0].astype(int).tolist())
    truthful = of(results, TRUE, 0).stage.data
    assert truthful.lines == target(SMOKE, "lines", 0)
    assert not truthful.of


def test_every_round_begins_at_stage_2_unless_weights_are_kept(finished: Any) -> None:
    results, _, _ = finished
    second = results["0/stage-2"]
    for arm, again in ((OURS, True), (KEPT, False), (ONCE, False)):
        for r in range(SMOKE.rounds):
            parent = of(results, arm, r).parents[0]
            assert (parent == second.fingerprint) == (again or r == 0)


def test_labels_are_added_up_to_the_quota_and_chosen_by_the_best_model(finished: Any) -> None:
    results, _, _ = finished
    first, later = (labels_of(results, OURS, r).value for r in (0, 1))
    start = int((~first["pseudo"]).sum())
    assert start == sum(len(truth(annotated(SMOKE, 0))[i]) for i in range(SMOKE.starting))
    assert int(first["pseudo"].sum()) <= SMOKE.chosen.first
    assert len(later["positive"]) - len(first["positive"]) <= round(SMOKE.chosen.more * len(first["positive"]))
    np.testing.assert_array_equal(later["positive"][: len(first["positive"])], first["positive"])
    everything = labels_of(results, ONCE, 0).value
    assert int(everything["pseudo"].sum()) >= int(first["pseudo"].sum()) > 0
    assert (everything["score"][everything["pseudo"]] > SMOKE.chosen.sure).all()


def test_all_arms_behind_stage_2_take_as_many_steps(finished: Any) -> None:
    results, report, _ = finished
    steps = {}
    for arm in (LONGER, OURS, KEPT, ONCE, TRUE, ONE_OURS):
        own = [
            result for name, result in results.items() if name.startswith(f"0/{slug(arm)}/") and result.kind == "train"
        ]
        steps[arm] = sum(result.stage.steps for result in own)
    assert set(steps.values()) == {SMOKE.rounds * SMOKE.of_a_round}
    assert results["0/ctc"].stage.steps == sum(SMOKE.steps) + SMOKE.rounds * SMOKE.of_a_round
    assert {arm.name for arm in report.arms} == set(ARMS)


def test_detectors_learn_and_every_arm_reads_test_lines(finished: Any) -> None:
    results, report, _ = finished
    loss = results["pre-trained"].history.train["loss"]
    assert np.mean(loss[-5:]) < 0.8 * np.mean(loss[:5])
    for arm in ARMS:
        value = results["0/ctc/test" if arm == CTC else f"0/{slug(arm)}/test"].value
        assert value["ser"] >= 0
        if arm != CTC:
            assert value["adjusted"] == pytest.approx(value["raw"] - value["unsure"])
    first, second = (flat(results[name]) for name in ("pre-trained", "0/stage-2"))
    assert all(not np.array_equal(first[path], second[path]) for path in first)  # all is trained
    assert {claim.verdict for claim in report.claims} <= {"holds", "does not hold", "not tested"}


def test_a_plan_tests_no_claim() -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), preset("laptop"))
    assert {claim.verdict for claim in report.claims} == {"not tested"}
