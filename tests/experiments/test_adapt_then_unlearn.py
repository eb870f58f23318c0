"""Adapt-then-Unlearn: who sees which images, what each border passes on, and which way parameters go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.generative.adapt_then_unlearn import (
    ASCENT,
    AWAY,
    EL2,
    EXPERIMENT,
    POSITIVES,
    RANDOM,
    RETRAINED,
    playing,
    preset,
    slug,
)
from stagejax import Plan, running
from stagejax.data import Images
from stagejax.data.prompts.answers import MadeRows
from stagejax.inference import Frozen
from stagejax.inference.generated import looked_at
from stagejax.models.generative.stylegan2 import StyleGenerator
from stagejax.models.generative.stylegan2_discriminator import StyleDiscriminator
from stagejax.objectives.elastic import fisher_distance
from stagejax.objectives.pictures.gan import PathLength
from stagejax.objectives.repulsion import mean_distance

pytestmark = pytest.mark.slow  # a smoke run of a minute, most of it compilation
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def generator(results: Any, name: str) -> Any:
    return results[f"0/{name}"].state()["generator"].params


def averaged(results: Any, name: str) -> Any:
    return results[f"0/{name}"].state()["generator"].ema


def test_behind_the_first_stage_no_real_image_is_trained_on(finished: Any) -> None:
    results, _, _ = finished
    feedback = results["0/feedback"].value
    made = {row.tobytes() for row in feedback["image"]}
    for name, result in results.items():
        if result.kind == "train" and name not in ("user", "judge", "0/gan", "0/retrained"):
            data = result.stage.data
            assert isinstance(data, MadeRows), name
            assert {row.tobytes() for row in data.take(np.arange(8))["image"]} <= made, name
    assert isinstance(results["0/gan"].stage.data, Images)


def test_the_user_labels_samples_and_each_adapted_model_sees_other_negatives(finished: Any) -> None:
    results, _, _ = finished
    feedback = results["0/feedback"].value
    assert (looked_at(Frozen.of(results["user"]), feedback["image"])[0] == feedback["label"]).all()
    seen = [set(map(bytes, results[f"0/adapted/{j}"].stage.data.arrays["image"])) for j in range(2)]
    assert not seen[0] & seen[1]
    for j in range(2):
        assert (results[f"0/adapted/{j}"].stage.data.arrays["label"] == SMOKE.forget).all()
    for arm in (EL2, POSITIVES, RANDOM):
        assert (results[f"0/{slug(arm)}"].stage.data.arrays["label"] != SMOKE.forget).all()
    assert (results[f"0/{slug(ASCENT)}"].stage.data.arrays["label"] == SMOKE.forget).all()
    assert results["user"].model != results["judge"].model
    assert results["user"].stage.seed != results["judge"].stage.seed


def test_moments_of_both_players_and_the_average_are_restored(finished: Any) -> None:
    results, _, _ = finished
    before = results["0/gan"].state()["discriminator"].opt_state[0]
    lazy = SMOKE.gan // SMOKE.lazy
    assert int(before.count) == SMOKE.gan + lazy
    for name in ("adapted/0", slug(EL2), slug(POSITIVES)):
        actions = {row[0]: row[3] for row in results[f"0/{name}"].handover}
        for player in ("generator", "discriminator"):
            assert actions[f"{player}: moments mu"] == actions[f"{player}: moments nu"] == "carry"
        assert actions["generator: ema"] == "carry"
    after = results["0/el2"].state()["discriminator"].opt_state[0]
    assert int(after.count) == int(before.count) + SMOKE.unlearn + SMOKE.unlearn // SMOKE.lazy


def test_elastic_adaptation_stays_nearer_in_fishers_metric_than_as_free(finished: Any, tmp_path: Any) -> None:
    """The Fisher diagonal is 0 outside of convolutions, and its strength holds back where it is not."""
    results, _, _ = finished
    fisher = flat(results["0/fisher"])
    assert {path for path, x in fisher.items() if x.any()} == {"levels/2/kernel", "levels/2/bias"}
    players = {name: results["0/gan"].member(name) for name in ("generator", "discriminator")}
    players["generator"] = players["generator"].averaged()
    free = playing(SMOKE, "free", results["0/adapted/0"].stage.data, SMOKE.adapt, 0)
    with running(tmp_path, "free", mesh="data=1") as run:
        other = run.train(free, players).state()["generator"].params
    origin, metric = averaged(results, "gan"), results["0/fisher"].state().params
    held, loose = (float(fisher_distance(p, origin, metric)) for p in (generator(results, "adapted/0"), other))
    assert 0 < held < loose


def test_repulsion_leads_away_from_the_adapted_models(finished: Any) -> None:
    results, _, _ = finished
    anchors = [averaged(results, f"adapted/{j}") for j in range(2)]
    distances = {name: float(mean_distance(generator(results, name), anchors)) for name in ("gan", "el2")}
    distances["positives"] = float(mean_distance(generator(results, slug(POSITIVES)), anchors))
    assert distances["el2"] > max(distances["gan"], distances["positives"])
    history = results["0/el2"].history.train
    assert history["generator_distance"][0] == pytest.approx(distances["gan"], rel=1e-4)
    assert history["generator_distance"][-1] > history["generator_distance"][0]
    wanted = SMOKE.weight * np.exp(-2 * distances["gan"])  # 2^2 / 2
    assert history["generator_repulsion"][0] == pytest.approx(wanted, rel=1e-4)


def test_random_points_are_as_far_in_every_tensor(finished: Any) -> None:
    results, _, _ = finished
    origin, stage = generator(results, "gan"), results[f"0/{slug(RANDOM)}"].state()
    for j in range(2):
        anchor, twin = averaged(results, f"adapted/{j}"), results[f"0/random/{j}"].state().params
        for a, t, o in zip(*map(jax.tree.leaves, (anchor, twin, origin)), strict=True):
            assert np.linalg.norm(t - o) == pytest.approx(float(np.linalg.norm(a - o)), rel=1e-3)
        np.testing.assert_array_equal(stage[f"anchor.{j}"].params["pixels"]["bias"], twin["pixels"]["bias"])
    one, two = (results[f"0/random/{j}"].state().params["pixels"]["dense"]["kernel"] for j in range(2))
    assert np.abs(one - two).max() > 0


def test_extrapolation_leads_from_the_average_by_the_gamma_that_was_chosen(finished: Any) -> None:
    results, _, _ = finished
    search = results["0/search"].value
    assert search["gamma"] in SMOKE.reach
    assert [trial["gamma"] for trial in search["trials"]] == list(SMOKE.reach)
    own = results["0/gan"].state()["generator"].ema["pixels"]["dense"]["kernel"]
    others = [results[f"0/adapted/{j}"].state()["generator"].ema["pixels"]["dense"]["kernel"] for j in range(2)]
    wanted = own + search["gamma"] * (own - (others[0] + others[1]) / 2)
    found = results["0/extrapolation"].state().params["pixels"]["dense"]["kernel"]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_all_is_charged_and_shown(finished: Any) -> None:
    results, report, folder = finished
    arms = {arm.name: arm for arm in report.arms}
    assert set(arms) == {*SMOKE.arms, AWAY, RETRAINED}
    charged = {name: {result.name for result in arm.charged} for name, arm in arms.items()}
    asked = {"user", "0/feedback"}
    adapted = {"0/fisher", "0/adapted/0", "0/adapted/1"}
    assert charged[POSITIVES] == charged[ASCENT] == asked
    assert charged[EL2] == asked | adapted
    assert charged[AWAY] == asked | adapted | {"0/search"}
    for name in ("0/feedback", "0/fisher", "0/search"):
        assert results[name].cost.flops > 0
    assert {arm.cost.steps for arm in report.arms} == {SMOKE.gan, SMOKE.gan + SMOKE.unlearn}
    assert "<svg" in (folder / "report.html").read_text(encoding="utf-8")


def test_shares_of_unwanted_samples_and_distances_to_the_retrained_gan_are_told(finished: Any) -> None:
    results, report, _ = finished
    assert set(results["0/retrained"].stage.data.source.parts[0].classes) == set(range(10)) - {SMOKE.forget}
    table = {row[0]: dict(zip(report.tables[0].columns, row, strict=True)) for row in report.tables[0].rows}
    for arm in (EL2, POSITIVES, AWAY, RETRAINED, "adapted 0", "rejection"):
        histogram = results[f"0/measures/{slug(arm)}"].value["histogram"]
        assert float(table[arm]["unwanted"]) == pytest.approx(100 * histogram[SMOKE.forget] / sum(histogram), abs=0.01)
        assert float(table[arm]["distance to retrained"]) > 0
    track = results["0/el2"].history.train["generator_distance"]
    assert float(table[EL2]["away"]) == pytest.approx(track[-1] / track[0], abs=0.01)
    assert "from as many others" in report.notes[-1]


def test_stylegan2_plays_by_the_same_rounds_with_a_penalty_of_its_own(tmp_path: Any) -> None:
    """The generator of the pod preset, tiny: two more moves in four rounds, its running path length, its average."""
    generator = StyleGenerator(latent=3, style=4, mapping=1, channels=(4, 3), pixels=1)
    cfg = replace(SMOKE, generator=generator, discriminator=StyleDiscriminator(8, (3, 4), 1), path=PathLength(every=2))
    data = Images(source=cfg.source, batch=4, shape=cfg.shape)
    with running(tmp_path, "style", mesh="data=1") as run:
        result = run.train(playing(cfg, "style", data, 4, 0))
    state, track = result.state(), result.history.train["generator_path_length"]
    assert int(state["generator"].opt_state[0].count) == 4 + 2
    assert int(state["discriminator"].opt_state[0].count) == 4 + 1
    assert [length > 0 for length in track] == [True, False, True, False]
    wanted = 0.01 * (0.99 * track[0] + track[2])
    assert float(state["generator"].rest["path_length"]) == pytest.approx(wanted, rel=1e-5)
    assert result.stage.ema["generator"] == SMOKE.ema ** (2 / 3)


@pytest.mark.parametrize("name", ["smoke", "laptop", "pod"])
def test_presets_pass_the_plan(name: str) -> None:
    cfg = preset(name)
    plan = Plan.on("data=16,fsdp=16" if name == "pod" else "data=1", price=False)
    EXPERIMENT.pipeline(plan, cfg)
    assert {stage.steps for stage in plan.stages if stage.name.startswith("0/adapted")} == {cfg.adapt}
