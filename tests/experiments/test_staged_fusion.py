"""Staged fusion at smoke size: what each arm starts from, sees and trains, at which price."""

from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.multimodal.staged_fusion import (
    EXPERIMENT,
    FROZEN,
    JOINT,
    MANUAL,
    OGM,
    SINGLE,
    STAGED,
    encoders,
    net,
    preset,
    remarks,
    weights,
)
from stagejax.data.multimodal.feedback import SPLITS

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def arms_of(report: Any) -> dict[str, Any]:
    return {arm.group: arm for arm in report.arms}


def test_positives_count_as_much_as_negatives() -> None:
    labels = remarks(preset("smoke"), 0.35).source.take(np.arange(128))["labels"]
    positive = np.array(weights(SMOKE))
    balance = positive * labels.mean(0) / (1 - labels.mean(0))
    assert (abs(np.log(balance)) < 0.7).all()
    assert positive[3] > 2  # praise is rare


def test_speakers_and_sources_of_the_test_are_those_of_no_stage() -> None:
    sounds = preset("laptop").data.sounds
    assert not set(sounds.of_split("train").speakers) & set(sounds.of_split("test").speakers)
    assert [remarks(SMOKE, 0.35, split=split).source.split for split in ("train", "valid", "test")] == [*SPLITS]


@pytest.mark.slow
def test_stages_read_train_records_and_are_evaluated_on_validation_records_of_one_kind(finished: Any) -> None:
    _, report, _ = finished
    for arm in report.arms:
        for result in (*arm.results, *arm.charged):
            own, seen = result.stage.data, result.stage.evaluate.data
            errors = own.source.errors
            assert own == remarks(SMOKE, errors, own.seed)
            assert seen == remarks(SMOKE, errors, split="valid")


@pytest.mark.slow
def test_arms_see_each_modality_equally_often_at_one_price(finished: Any) -> None:
    _, report, _ = finished
    arms = arms_of(report)
    assert {JOINT, STAGED, FROZEN, OGM, MANUAL, *SINGLE.values()} == set(arms)
    assert [result.steps for result in arms[JOINT].results] == [SMOKE.steps]
    for label in (STAGED, FROZEN, MANUAL):
        assert [result.steps for result in arms[label].results] == [SMOKE.steps // 2] * 4
    assert {result.stage.data.batch for arm in arms.values() for result in arm.results} == {SMOKE.batch}
    ratio = arms[STAGED].cost.flops / arms[JOINT].cost.flops
    assert 0.9 < ratio <= 1.0
    assert arms[FROZEN].cost.flops < arms[STAGED].cost.flops


@pytest.mark.slow
def test_branches_are_trained_apart_and_merged_without_their_heads(finished: Any) -> None:
    results, report, _ = finished
    start = flat(results["0/merged"])
    for encoder in encoders(SMOKE):
        branch = flat(results[f"0/branch/{encoder.name}"])
        there = {path: f"encoders/{encoder.name}/{path.removeprefix('encoder/')}" for path in branch}
        there = {path: here for path, here in there.items() if path.startswith("encoder/")}
        for path, here in there.items():
            np.testing.assert_array_equal(branch[path], start[here])
        assert {*there.values()} == {path for path in start if path.startswith(f"encoders/{encoder.name}/")}
        assert {path.partition("/")[0] for path in branch} == {"encoder", "head"}
    assert {path.partition("/")[0] for path in start} == {"encoders", "absent", "fusion"}
    assert arms_of(report)[STAGED].results[-1].model == net(SMOKE)


@pytest.mark.slow
def test_frozen_encoders_stay_and_others_move(finished: Any) -> None:
    results, report, _ = finished
    start, arms = flat(results["0/merged"]), arms_of(report)
    frozen, whole = flat(arms[FROZEN].results[-1]), flat(arms[STAGED].results[-1])
    for path in start:
        if path.startswith("encoders/"):
            np.testing.assert_array_equal(frozen[path], start[path])
    assert any(not np.array_equal(whole[path], start[path]) for path in start if path.startswith("encoders/video"))
    assert any(not np.array_equal(frozen[path], start[path]) for path in start if path.startswith("fusion"))


@pytest.mark.slow
def test_searches_are_charged_and_equal(finished: Any) -> None:
    _, report, _ = finished
    arms = arms_of(report)
    tried = {label: len(arm.charged) for label, arm in arms.items()}
    one = len(SMOKE.peaks)
    assert tried[JOINT] == tried[OGM] == tried[SINGLE["text"]] == one
    assert tried[STAGED] == tried[FROZEN] == tried[MANUAL] == 4 * one


@pytest.mark.slow
def test_manual_transcripts_have_fewer_errors_and_modulation_is_seen(finished: Any) -> None:
    _, report, _ = finished
    arms = arms_of(report)
    errors = {label: {r.stage.data.source.errors for r in arms[label].results} for label in (STAGED, MANUAL)}
    assert errors == {STAGED: {SMOKE.errors[0]}, MANUAL: {SMOKE.errors[1]}}
    scales = np.asarray(arms[OGM].results[-1].history.train["scale_text"])
    assert scales.size
    assert scales.min() > 0
    assert scales.max() <= 1


@pytest.mark.slow
def test_test_scores_are_areas_of_every_label(finished: Any) -> None:
    results, _, _ = finished
    found = results["0/staged/areas"].value
    assert {name: part.shape for name, part in found.items()} == {"areas": (5,), "absent": (3, 5), "probes": (3, 5)}
    assert all(part.min() >= 0 and part.max() <= 1 for part in found.values())
