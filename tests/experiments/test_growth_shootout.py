"""The growth shoot-out at smoke size: one source, equal FLOPs, and refusals that are shown."""

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
from smoke import smoke_run

from experiments.growth.growth_shootout import (
    EXPERIMENT,
    LIGO,
    MAPS,
    SCRATCH,
    SHORT,
    SOURCE,
    Score,
    claims,
    contenders,
    orders,
    preset,
)
from stagejax.growth import FPI, LEMON, Decoalesce, Growth, interpolate
from stagejax.growth.apply import grow
from stagejax.search.lowest import Lowest

pytestmark = pytest.mark.slow  # a smoke run of minutes
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def last_loss(result: Any) -> float:
    return result.history.evals[-1]["loss"]


def test_every_arm_of_a_task_has_the_flops_of_scratch_with_the_source_counted(finished: Any) -> None:
    results, _, _ = finished
    for task in ("text", "images"):
        scratch = results[f"{task}/0/{SHORT}"].cost.flops
        step = scratch / SMOKE.steps
        whole = results[f"{task}/0/{SCRATCH}"].cost.flops
        assert abs(whole - scratch - results[f"{task}/0/{SOURCE}"].cost.flops) <= step
        for label in contenders(task, SMOKE.contenders):
            if f"{task}/0/{label}" in results:
                assert results[f"{task}/0/{label}"].cost.flops == scratch, label
        ligo = results[f"{task}/0/{LIGO}/maps"].cost.flops + results[f"{task}/0/{LIGO}"].cost.flops
        assert abs(ligo - scratch) <= step


def test_every_rate_is_chosen_on_records_that_no_stage_reads(finished: Any) -> None:
    results, report, _ = finished
    for name, result in results.items():
        if result.kind == "train":
            read = result.stage.data.source.train
            held = result.stage.evaluate.data.source
            kept = name.startswith("rates/")
            assert read.start == SMOKE.kept
            assert held.test == (replace(read, start=0, stop=SMOKE.kept) if kept else read.source.of_split("test"))
    tried = {name.rsplit("/", 1)[0].removeprefix("rates/") for name in results if name.startswith("rates/")}
    assert tried == {name for name, result in results.items() if result.kind == "train" and name[:6] != "rates/"}
    for task, label, _, _, chosen, _ in report.tables[1].rows:
        name = f"{task}/0/{label}".replace(", ", "/")
        peaks = {peak: results[f"rates/{name}/{peak:g}"].history.last("loss") for peak in SMOKE.peaks if label != MAPS}
        of = results[name].stage.optimizer
        assert (of["maps"] if label == MAPS else of).peak == chosen
        assert label == MAPS or min(peaks.values()) >= results[f"rates/{name}/{chosen:g}"].history.last("loss")


def test_sources_and_searches_are_in_the_ledger(finished: Any) -> None:
    _, report, _ = finished
    owed = {
        arm.name.split(", seed")[0]: {result.name.rsplit("/", 1)[0] for result in arm.charged} for arm in report.arms
    }
    assert owed["text: LEMON"] == {"text/0", "rates/text/0/source", "rates/text/0/LEMON"}
    assert owed["images: LiGO"] == {"images/0", *(f"rates/images/0/{name}" for name in ("source", "LiGO", "LiGO/maps"))}
    assert owed[f"text: {SCRATCH}"] == {f"rates/text/0/{SCRATCH}"}


def scores(initial: Any, final: Any) -> dict[str, Score]:
    """Of operators a, b, c, ... with a column each, of seeds with a row each."""
    columns = zip(np.array(initial).T, np.array(final).T, strict=True)
    return {name: Score(list(x), list(y), []) for name, (x, y) in zip("abcd", columns, strict=False)}


def test_orders_must_differ_by_more_than_seeds_do() -> None:
    ends = [[1.0, 2, 3, 4], [1.1, 2.1, 3.1, 4.1], [1, 3, 2, 4]]
    alike, turned = scores([[1.0, 3, 2, 4]] * 3, ends), scores([[4.0, 3, 2, 1]] * 3, ends)
    rates = dict.fromkeys("abcd", Lowest(1.0, (1.0,), (1.0,), ()))
    base = {SCRATCH: Score([], [5.0, 5.1, 4.9], [])}
    own, between = orders(alike)
    np.testing.assert_allclose([*own, *between], [0.8, 0.8, 1.0, 1.0, 0.8, 0.8])
    assert [claims("text", own | base, rates)[1].verdict for own in (alike, turned)] == ["does not hold", "holds"]
    level = scores([[2.0, 2.0 + 1e-7, 2.0, 3]] * 3, ends)
    assert len({tuple(np.round(own.initial, 4)) for own in level.values()}) == 2
    assert orders(level)[0] == orders(scores([[2.0, 2, 2, 3]] * 3, ends))[0]


def test_the_best_operator_is_the_one_of_the_best_pilot() -> None:
    ends = scores([[1.0, 2]] * 3, [[1.0, 2], [1, 2], [1, 2]]) | {SCRATCH: Score([], [3.0, 3.0, 3.1], [])}
    rates = {name: Lowest(1.0, (1.0,), (loss,), ()) for name, loss in (("a", 2.0), ("b", 1.0))}
    found = claims("text", ends, rates)[0]
    assert "(b)" in found.statement
    np.testing.assert_allclose(found.measured, 31 / 30)


def test_exact_operators_begin_where_the_source_ended(finished: Any) -> None:
    results, _, _ = finished
    for name in ("text/0/LEMON", "text/0/zero-init", "images/0/LEMON"):
        source = results[name.rsplit("/", 1)[0] + "/source"]
        np.testing.assert_allclose(results[name].history.evals[0]["loss"], last_loss(source), rtol=1e-4)
        assert results[f"{name}/start"].receipt["logit_change"] < 1e-4


def test_masks_of_msg_begin_at_the_source(finished: Any) -> None:
    results, report, _ = finished
    masked, source = results["text/0/MSG"], results["text/0/source"]
    scratch = results[f"text/0/{SCRATCH}"].history.train["loss"][0]
    first = masked.history.train["loss"][0]
    assert abs(first - source.history.train["loss"][-1]) < abs(first - scratch)
    row = next(row for row in report.tables[0].rows if row[0] == "MSG")
    assert row[1] == last_loss(source)


def test_what_cannot_be_grown_is_said(finished: Any) -> None:
    results, report, _ = finished
    assert "images/0/zero-init" not in results
    assert any(note.startswith("zero-init cannot grow the images model") for note in report.notes)
    table = report.tables[0]
    row = next(row for row in table.rows if row[0] == "zero-init")
    assert all(cell is None for cell in row[5:])
    assert all(cell is not None for cell in row[1:3])


def test_all_contenders_are_there_by_default() -> None:
    text, images = contenders("text", ()), contenders("images", ())
    assert set(text) == set(images)
    assert len(text) == 11
    assert (text["LEMON"], images["LEMON"]) == (LEMON(norm="rms"), LEMON(norm="layer"))


def test_decoalescing_to_twice_the_size_is_fpi_with_interpolation(finished: Any) -> None:
    results, _, _ = finished
    small, large = results["text/0/source"], results[f"text/0/{SCRATCH}"].model
    of = small.state().params
    operators = FPI(depth=interpolate), Decoalesce()
    grown = [grow(Growth(operator, small.model, large), of, key=jax.random.key(0)) for operator in operators]
    jax.tree.map(np.testing.assert_array_equal, *grown)
