"""DVT at smoke size: a frozen backbone, fields of single images, a denoiser that never sees the test scenes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.distillation.denoising_vit import (
    BARE,
    CAPACITY,
    CLEAN,
    EXPERIMENT,
    LABELS,
    MASKED,
    MINUS,
    ONLINE,
    PLACE,
    RAW,
    UNPLACED,
    Resized,
    preset,
    scenes_of,
)
from stagejax import Plan
from stagejax.inference import Frozen, apply
from stagejax.inference.pictures.dense import dense_of
from stagejax.inference.pictures.separating import separation_flops

pytestmark = pytest.mark.slow  # a smoke run of a minute
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def test_raw_features_are_the_frozen_backbones_of_whole_scenes(finished: Any) -> None:
    results, _, _ = finished
    net, pairs = results["by-labels/dense"], results["by-labels/0/pairs"].value
    raw = apply(dense_of, Frozen.of(net), pairs["image"], 8)
    np.testing.assert_allclose(pairs["raw"], raw, atol=2e-3)
    old, new = flat(results["by-labels/backbone"]), flat(net)
    assert all(np.array_equal(old[path], new[path]) for path in old if path != "positions/table")


def test_positions_are_resized_and_an_encoder_is_taken_out(finished: Any) -> None:
    results, _, _ = finished
    small, large = (flat(results[f"by-labels/{name}"])["positions/table"] for name in ("backbone", "dense"))
    assert (len(small), len(large)) == (16, 36)
    np.testing.assert_allclose(
        large.reshape(6, 6, -1), jax.image.resize(small.reshape(4, 4, -1), (6, 6, 16), "cubic"), atol=1e-5
    )
    whole, encoder = flat(results["masked-autoencoder/backbone"]), flat(results["masked-autoencoder/dense"])
    assert all(np.array_equal(whole[f"encoder/{path}"], own) for path, own in encoder.items() if "position" not in path)
    same = Resized(3, 3)(None, ({"positions": {"table": jnp.eye(9)}}, {}))[0]["positions"]["table"]
    np.testing.assert_allclose(same, np.eye(9), atol=1e-6)


def test_every_scene_has_an_artifact_of_its_own_and_it_does_not_know_the_scene(finished: Any) -> None:
    results, _, _ = finished
    pairs = results["by-labels/0/pairs"].value
    assert pairs["artifact"].shape == pairs["raw"].shape == (16, 36, 16)
    assert np.abs(pairs["artifact"][0] - pairs["artifact"][1]).max() > 1e-3
    assert np.abs(pairs["clean"] - pairs["bare"]).max() > 1e-4
    assert np.isfinite(pairs["loss"]).all()
    views = pairs["points"][:, 0]
    assert (np.ptp(views[..., 0], axis=1) < 0.9).all()  # kept views are parts, not the whole
    assert not np.allclose(views[0], views[1])


def test_the_denoiser_learns_from_other_scenes_than_it_is_tested_on() -> None:
    found = [scenes_of(SMOKE, part, 0).take_records(np.arange(8))["image"] for part in ("pairs", "tested", "chosen")]
    for own, other in ((0, 1), (0, 2)):
        assert not (found[own][:, None] == found[other][None]).all((2, 3, 4)).any()
    pod = preset("pod")
    chosen, pairs = (scenes_of(pod, part, 0).source for part in ("chosen", "pairs"))
    assert (chosen.start, pairs.stop) == (pod.pairs, pod.pairs)


def test_denoisers_see_raw_features_and_the_target_of_their_scenes(finished: Any) -> None:
    results, _, _ = finished
    pairs = results["by-labels/0/pairs"].value
    for name, target in (("denoiser", "clean"), ("denoiser to views", "mean")):
        batch = results[f"by-labels/0/{name}"].stage.data.take(np.arange(4))
        for raw, said in zip(batch["raw"], batch[target], strict=True):
            row = int(np.abs(pairs["raw"] - raw).sum((1, 2)).argmin())
            np.testing.assert_array_equal(pairs[target][row], said)


def test_every_arm_has_its_measures(finished: Any) -> None:
    results, _, _ = finished
    worth = results["by-labels/0/worth"].value
    for arm in (RAW, MINUS, CLEAN, BARE, ONLINE):
        assert {"miou", "row", "column", "outliers"} <= set(worth[arm])
    assert {"row in a view", "agreement"} <= set(worth[RAW])
    assert "agreement" not in worth[CLEAN]
    assert set(worth[CAPACITY]) == set(worth[PLACE]) == {"miou"}
    assert worth["chosen"]["decay"] in SMOKE.decays


def test_sources_and_fields_are_charged(finished: Any) -> None:
    results, report, _ = finished
    arms = {arm.name: arm for arm in report.arms}
    for kind, name in ((LABELS, "by-labels"), (MASKED, "masked-autoencoder"), (UNPLACED, "by-labels-no-positions")):
        charged = {result.name for result in arms[f"{kind}: {ONLINE}"].charged}
        assert charged == {f"{name}/backbone", f"{name}/0/pairs"}
    pairs, plain = (
        separation_flops(SMOKE.separating, results["by-labels/dense"].model, 16, bare) for bare in (True, False)
    )
    assert results["by-labels/0/pairs"].cost.flops == pairs > plain > 0


def test_report_has_claims_and_pictures(finished: Any) -> None:
    _, report, folder = finished
    assert all(claim.verdict != "not tested" for claim in report.claims)
    assert [figure.title for figure in report.figures] == ["Test scenes"]
    assert "Test scenes" in (folder / "report.html").read_text()


@pytest.mark.parametrize("name", ["laptop", "pod"])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=2", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}
