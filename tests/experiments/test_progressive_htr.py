"""Progressive transcription: no label of a target line is in reach, each round begins at stage 2, quotas hold."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.self_training import progressive_htr
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
    chosen,
    preset,
    right,
    shots_of,
    spotter_of,
    target,
    transcripts,
)
from stagejax import Plan
from stagejax.inference.pictures.spotting import starting
from stagejax.inference.pictures.transcribing import truth
from stagejax.names import slug

pytestmark = pytest.mark.slow  # a smoke run of half a minute
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def of(results: dict[str, Any], arm: str, r: int, i: int = 0) -> Any:
    return results[f"0/{slug(arm)}/{r}/{i}"]


def begins(folder: Path, arm: str, r: int) -> str:
    """The fingerprint of what a round starts from."""
    page = json.loads((folder / "stages" / "0" / slug(arm) / str(r) / "0.json").read_text())
    return page["declaration"]["start"]


def labels_of(results: dict[str, Any], arm: str, r: int) -> Any:
    return results[f"0/{slug(arm)}/{r}/labels"]


def test_parts_share_no_symbol_and_the_test_is_of_another_split() -> None:
    parts = {part: getattr(SMOKE.symbols, part) for part in ("shots", "validation", "lines", "test")}
    images = {part: {np.asarray(record["image"]).tobytes() for record in own} for part, own in parts.items()}
    for first in images:
        for second in images:
            assert first == second or not images[first] & images[second]
    assert target(SMOKE, "test", 0).split == "test"
    assert len(shots_of(SMOKE, 0)) == SMOKE.shots * SMOKE.reading.classes


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
    assert {tuple(pair) for pair in data.known.tolist()} == {tuple(pair) for pair in known[:, :2].astype(int).tolist()}
    truthful = of(results, TRUE, 0).stage.data
    assert truthful.lines == target(SMOKE, "lines", 0)
    assert not truthful.of


def test_every_round_begins_at_stage_2_unless_weights_are_kept(finished: Any) -> None:
    results, _, folder = finished
    second = results["0/stage-2"]
    for arm, again in ((OURS, True), (KEPT, False), (ONCE, False)):
        for r in range(SMOKE.rounds):
            assert (begins(folder, arm, r) == second.fingerprint) == (again or r == 0)


def test_labels_are_added_up_to_the_quota(finished: Any) -> None:
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


def test_the_best_look_of_a_round_chooses_the_next_labels_and_goes_on(finished: Any) -> None:
    results, _, folder = finished

    def best_of(arm: str, r: int) -> Any:
        sers = [results[f"0/{slug(arm)}/{r}/{i}/validation"].value["ser"] for i in range(len(SMOKE.looks))]
        return of(results, arm, r, int(np.argmin(sers)))

    assert begins(folder, KEPT, 1) == best_of(KEPT, 0).fingerprint
    spotter, first = spotter_of(SMOKE, 0), labels_of(results, OURS, 0)
    again = chosen(SMOKE, spotter, SMOKE.chosen, 0, first, best_of(OURS, 0))
    for name, column in labels_of(results, OURS, 1).value.items():
        np.testing.assert_array_equal(again[name], column)


def test_true_boxes_are_read_and_chosen_without_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def all_boxes(spotter: Any, lines: Any, result: Any) -> dict[str, np.ndarray]:
        labels = starting(lines)["positive"]
        found = dict(zip(("line", "symbol", "left", "right"), labels.T, strict=True))
        found |= {name: found[name].astype(int) for name in ("line", "symbol")}
        return found | {"score": np.linspace(0.7, 0.9, len(labels))}

    monkeypatch.setattr(progressive_htr, "spot", all_boxes)
    monkeypatch.setattr(progressive_htr, "Frozen", SimpleNamespace(of=lambda result: None))
    assert transcripts(SMOKE, spotter_of(SMOKE, 0), "test", 0, None)["ser"] <= 0.1  # one that is narrow
    value = chosen(SMOKE, spotter_of(SMOKE, 0), replace(SMOKE.chosen, first=None), 0, None, None)
    assert right(SMOKE, 0, SimpleNamespace(value=value))["precision"] == 1
    value["positive"][:, 0] -= 1  # a line too early
    assert right(SMOKE, 0, SimpleNamespace(value=value))["precision"] < 0.5


def test_all_arms_behind_stage_2_take_as_many_steps(finished: Any) -> None:
    results, report, _ = finished
    steps = {}
    for arm in (LONGER, OURS, KEPT, ONCE, TRUE, ONE_OURS):
        own = [
            result for name, result in results.items() if name.startswith(f"0/{slug(arm)}/") and result.kind == "train"
        ]
        steps[arm] = sum(result.stage.steps for result in own)
    assert set(steps.values()) == {SMOKE.rounds * SMOKE.of_a_round}
    speech = [results[name] for name in results if name.startswith("0/ctc/")]
    own = sum(result.stage.steps for result in speech if result.kind == "train")
    assert own == sum(SMOKE.steps) + SMOKE.rounds * SMOKE.of_a_round
    looks = [name for name in results if name.startswith("0/ctc/") and name.endswith("validation")]
    assert len(looks) == SMOKE.rounds * len(SMOKE.looks)
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
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), SMOKE)
    assert {claim.verdict for claim in report.claims} == {"not tested"}
