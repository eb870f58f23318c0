"""The growth shoot-out at smoke size: one source, equal FLOPs, and refusals that are shown."""

from typing import Any

import numpy as np
import pytest
from smoke import smoke_run

from experiments.growth.growth_shootout import EXPERIMENT, LIGO, SCRATCH, contenders, preset
from stagejax.growth import LEMON

pytestmark = pytest.mark.slow  # a smoke run of minutes
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def last_loss(result: Any) -> float:
    return result.history.evals[-1]["loss"]


def test_every_arm_of_a_task_has_the_flops_of_scratch(finished: Any) -> None:
    results, _, _ = finished
    for task in ("text", "images"):
        scratch = results[f"{task}/0/{SCRATCH}"].cost.flops
        step = scratch / SMOKE.steps
        for label in contenders(task, SMOKE.contenders):
            if f"{task}/0/{label}" in results:
                assert results[f"{task}/0/{label}"].cost.flops == scratch, label
        ligo = results[f"{task}/0/{LIGO}/maps"].cost.flops + results[f"{task}/0/{LIGO}"].cost.flops
        assert abs(ligo - scratch) <= step


def test_exact_operators_begin_where_the_source_ended(finished: Any) -> None:
    results, _, _ = finished
    for name in ("text/0/LEMON", "text/0/zero-init", "images/0/LEMON"):
        source = results[name.rsplit("/", 1)[0] + "/source"]
        np.testing.assert_allclose(results[name].history.evals[0]["loss"], last_loss(source), rtol=1e-4)
        assert results[f"{name}/start"].receipt["logit_change"] < 1e-4


def test_masks_of_msg_begin_at_the_source(finished: Any) -> None:
    results, _, _ = finished
    masked, source = results["text/0/MSG"], results["text/0/source"]
    scratch = results[f"text/0/{SCRATCH}"].history.train["loss"][0]
    first = masked.history.train["loss"][0]
    assert abs(first - source.history.train["loss"][-1]) < abs(first - scratch)


def test_what_cannot_be_grown_is_said(finished: Any) -> None:
    results, report, _ = finished
    assert "images/0/zero-init" not in results
    assert any(note.startswith("zero-init cannot grow the images model") for note in report.notes)
    (table,) = report.tables
    row = next(row for row in table.rows if row[0] == "zero-init")
    assert all(cell is None for cell in row[5:])
    assert all(cell is not None for cell in row[1:3])


def test_all_contenders_are_there_by_default() -> None:
    text, images = contenders("text", ()), contenders("images", ())
    assert set(text) == set(images)
    assert len(text) == 12
    assert (text["LEMON"], images["LEMON"]) == (LEMON(norm="rms"), LEMON(norm="layer"))
