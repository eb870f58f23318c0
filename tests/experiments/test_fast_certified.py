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
    NATURAL,
    WarmUp,
    held_out_images,
    preset,
    slug,
)
from stagejax import Plan
from stagejax.objectives.certified import around, attacked, smoothed
from stagejax.objectives.intervals import margins, propagate

pytestmark = pytest.mark.slow  # a smoke run of half a minute
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def test_the_radius_is_zero_then_grows_and_stays(finished: Any) -> None:
    results, _, _ = finished
    start = SMOKE.natural * SMOKE.epoch
    for arm in ("ibp", "full"):
        found = np.array(results[f"{arm}/0/warm-up"].history.train["radius"])
        steps = np.arange(len(found))
        grown = [float(smoothed(float(max(0, t - start)) / (len(found) - start))) for t in steps]
        np.testing.assert_allclose(found, SMOKE.radius * np.array(grown), rtol=1e-3, atol=1e-7)
        assert not found[: start + 1].any()
        for i in range(3):
            assert np.allclose(results[f"{arm}/0/final-{i}"].history.train["radius"], SMOKE.radius)


def test_regularisers_fade_out_in_the_warm_up_and_are_gone_after_it(finished: Any) -> None:
    results, _, _ = finished
    history = results["full/0/warm-up"].history.train
    expected = SMOKE.weight * (1 - np.array(history["radius"]) / SMOKE.radius)
    np.testing.assert_allclose(history["weight"], expected, rtol=1e-3, atol=1e-6)
    assert max(history["tightness"]) > 0
    for name, result in results.items():
        if result.kind == "train" and name != "natural/0/warm-up" and not name.startswith("full"):
            assert "weight" not in result.history.train
    assert all("weight" not in results[f"full/0/final-{i}"].history.train for i in range(3))


def test_parts_carry_their_moments_at_a_fifth_of_the_rate(finished: Any) -> None:
    results, _, _ = finished
    peaks = [results[f"full/0/{part}"].stage.optimizer.peak for part in ("warm-up", "final-0", "final-1", "final-2")]
    np.testing.assert_allclose(peaks, SMOKE.peak * np.array([1, 1, 0.2, 0.04]))
    assert any("carry" in row and "moments" in row[0] for row in results["full/0/final-1"].handover)


def test_verified_is_safe_on_every_example(finished: Any) -> None:
    results, _, _ = finished
    for arm in SMOKE.arms:
        found = results[f"{slug(arm)}/0/scores"].value
        assert found["unsound"] == 0
        assert found["clean"] <= found["attacked"] <= found["verified"]
    images, model = held_out_images(SMOKE), results["full/0/final-2"].module()
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
    steps = {arm.name: arm.cost.steps for arm in report.arms}
    assert len({count for arm, count in steps.items() if "x 2" not in arm}) == 1
    assert results["ibp-init/0/warm-up"].digest != results["ibp/0/warm-up"].digest
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
