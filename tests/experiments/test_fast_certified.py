"""Fast certified training: schedules, regularisers only in the warm-up, and verified error above attacked error."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from smoke import smoke_run

from experiments.objective.fast_certified import (
    EXPERIMENT,
    FULL,
    IBP,
    NATURAL,
    WarmUp,
    held_out_images,
    kept_apart,
    preset,
    slug,
)
from stagejax import Plan
from stagejax.objectives.certified import around, attacked, smoothed
from stagejax.objectives.intervals import margins, propagate

pytestmark = pytest.mark.slow  # a smoke run of half a minute
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def chosen(report: Any, arm: str) -> float:
    table = next(table for table in report.tables if table.title == "Learning rates")
    return next(row[3] for row in table.rows if row[0] == arm)


def at(report: Any, arm: str) -> str:
    """Where an arm's stages are, with the first seed and its own rate."""
    return f"{slug(arm)}/0/{chosen(report, arm):g}"


def test_the_radius_is_zero_then_grows_and_stays(finished: Any) -> None:
    results, report, _ = finished
    start = SMOKE.natural * SMOKE.epoch
    for arm in (at(report, IBP), at(report, FULL)):
        found = np.array(results[f"{arm}/warm-up"].history.train["radius"])
        steps = np.arange(len(found))
        grown = [float(smoothed(float(max(0, t - start)) / (len(found) - start))) for t in steps]
        np.testing.assert_allclose(found, SMOKE.radius * np.array(grown), rtol=1e-3, atol=1e-7)
        assert not found[: start + 1].any()
        for i in range(3):
            assert np.allclose(results[f"{arm}/final-{i}"].history.train["radius"], SMOKE.radius)


def test_regularisers_fade_out_in_the_warm_up_and_are_gone_after_it(finished: Any) -> None:
    results, report, _ = finished
    full = at(report, FULL)
    history = results[f"{full}/warm-up"].history.train
    expected = SMOKE.weight * (1 - np.array(history["radius"]) / SMOKE.radius)
    np.testing.assert_allclose(history["weight"], expected, rtol=1e-3, atol=1e-6)
    assert max(history["tightness"]) > 0
    for name, result in results.items():
        if result.kind == "train" and not name.startswith("full"):
            assert "weight" not in result.history.train
    assert all("weight" not in results[f"{full}/final-{i}"].history.train for i in range(3))


def test_parts_carry_their_moments_at_a_fifth_of_the_rate(finished: Any) -> None:
    results, report, _ = finished
    own = [results[f"{at(report, FULL)}/{part}"] for part in ("warm-up", "final-0", "final-1", "final-2")]
    peaks = [result.stage.optimizer.peak for result in own]
    np.testing.assert_allclose(peaks, chosen(report, FULL) * np.array([1, 1, 0.2, 0.04]))
    assert any("carry" in row and "moments" in row[0] for row in own[2].handover)


def test_rates_are_chosen_on_images_that_are_neither_trained_on_nor_tested(finished: Any) -> None:
    results, report, _ = finished
    apart = kept_apart(SMOKE).source
    pixels = {np.asarray(apart[i]["image"]).tobytes() for i in range(len(apart))}
    for source in (SMOKE.source, SMOKE.source.of_split("test")):
        assert pixels.isdisjoint(np.asarray(source[i]["image"]).tobytes() for i in range(len(source)))
    for arm, metric in ((IBP, "loss"), (FULL, "loss"), (NATURAL, "clean_loss")):
        losses = {
            name.split("/")[2]: result.history.last(metric)
            for name, result in results.items()
            if name.startswith(f"{slug(arm)}/0/") and name.endswith("/final-2")
        }
        assert len(losses) >= len(SMOKE.peaks)
        assert f"{chosen(report, arm):g}" == min(losses, key=lambda rate: losses[rate])
        owed = next(own for own in report.arms if own.name == arm)
        assert len(owed.results) + len(owed.charged) == 4 * len(losses)


def test_verified_is_safe_on_every_example(finished: Any) -> None:
    results, report, _ = finished
    for arm in SMOKE.arms:
        found = results[f"{slug(arm)}/0/scores"].value
        assert found["unsound"] == 0
        assert found["clean"] <= found["attacked"] <= found["verified"]
    images, model = held_out_images(SMOKE), results[f"{at(report, FULL)}/final-2"].module()
    x, y = jnp.asarray(images["image"][:64]), jnp.asarray(images["label"][:64])
    features, _ = propagate(model.features, around(x, SMOKE.radius))
    output = model.heads["label"].output
    low = margins(features, output.kernel[...], output.bias[...], y)
    for seed in range(3):
        logits = model(attacked(model, x, y, jax.random.key(seed), radius=SMOKE.radius, steps=3))
        margin = jnp.take_along_axis(logits, y[:, None], 1) - logits
        assert (low <= margin + 1e-4).all()  # a lower bound of every margin, not only of its sign


def test_arms_have_equal_epochs_and_their_own_starts(finished: Any) -> None:
    results, report, _ = finished
    rate = f"{SMOKE.peaks[0]:g}"
    steps = {arm.name: arm.cost.steps for arm in report.arms}
    assert len({count for arm, count in steps.items() if "x 2" not in arm}) == 1
    assert results[f"ibp-init/0/{rate}/warm-up"].digest != results[f"ibp/0/{rate}/warm-up"].digest
    widths = results["widths"].value
    assert widths["IBP + init"][-1] < 10 < widths["IBP"][-1]
    assert results["natural/0/scores"].value["clean"] == min(
        results[f"{slug(arm)}/0/scores"].value["clean"] for arm in (NATURAL, FULL)
    )


def test_warm_up_options_at_its_ends() -> None:
    options = WarmUp(natural=0.2, radius=0.3, weight=0.5)
    start, end = options(jnp.asarray(0.1)), options(jnp.asarray(1.0))
    assert (float(start["radius"]), float(start["weight"])) == (0.0, 0.5)
    assert float(end["radius"]) == pytest.approx(0.3, rel=1e-5)
    assert float(end["weight"]) == pytest.approx(0, abs=1e-5)


def test_a_plan_tests_no_claim() -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), SMOKE)
    assert {claim.verdict for claim in report.claims} == {"not tested"}
