"""The growth shoot-out at smoke size: one source, equal FLOPs, and refusals that are shown."""

from typing import Any

import numpy as np
import pytest

from experiments.growth.growth_shootout import EXPERIMENT, LIGO, SCRATCH, contenders, preset
from stagejax import running
from stagejax.growth import LEMON

pytestmark = pytest.mark.slow  # a smoke run of minutes
SMOKE = preset("smoke")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Any]:
    """Results by name and the report of one smoke run."""
    folder = tmp_path_factory.mktemp("smoke")
    with running(folder, "growth_shootout", mesh="data=1") as run:
        report = EXPERIMENT.pipeline(run, SMOKE)
        report.write(folder, stages=run.results)
        return {result.name: result for result in run.results}, report


def last_loss(result: Any) -> float:
    return result.history.evals[-1]["loss"]


def test_every_arm_of_a_task_has_the_flops_of_scratch(finished: Any) -> None:
    results, _ = finished
    for task in ("text", "images"):
        scratch = results[f"{task}/0/{SCRATCH}"].cost.flops
        step = scratch / SMOKE.steps
        for label in contenders(task, SMOKE.contenders):
            if f"{task}/0/{label}" in results:
                assert results[f"{task}/0/{label}"].cost.flops == scratch, label
        ligo = results[f"{task}/0/{LIGO}/maps"].cost.flops + results[f"{task}/0/{LIGO}"].cost.flops
        assert abs(ligo - scratch) <= step


def test_exact_operators_begin_where_the_source_ended(finished: Any) -> None:
    results, _ = finished
    for name in ("text/0/LEMON", "text/0/zero-init", "images/0/LEMON"):
        source = results[name.rsplit("/", 1)[0] + "/source"]
        np.testing.assert_allclose(results[name].history.evals[0]["loss"], last_loss(source), rtol=1e-4)
        assert results[f"{name}/start"].receipt["logit_change"] < 1e-4


def test_masks_of_msg_begin_at_the_source(finished: Any) -> None:
    results, _ = finished
    masked, source = results["text/0/MSG"], results["text/0/source"]
    scratch = results[f"text/0/{SCRATCH}"].history.train["loss"][0]
    first = masked.history.train["loss"][0]
    assert abs(first - source.history.train["loss"][-1]) < abs(first - scratch)


def test_what_cannot_be_grown_is_said(finished: Any) -> None:
    results, report = finished
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
