"""EfficientTrain at smoke size: small tensors of the true spectrum, one schedule throughout, scored on whole images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from smoke import smoke_run

from experiments.curriculum.efficienttrain import (
    ARMS,
    BASELINE,
    CROP,
    EFFICIENT,
    EQUAL,
    EXPERIMENT,
    MAGNITUDES,
    RESIZED,
    REVERSED,
    SCALE,
    measured,
    preset,
    schedules,
    scored,
    standard,
    whole_images,
)
from stagejax import Plan
from stagejax.data import Portion
from stagejax.names import slug

pytestmark = pytest.mark.slow  # a smoke run of a minute
SMOKE = preset("smoke")
RESNET = SMOKE.tasks[0]
RESNET_TEST = scored(SMOKE, RESNET)
finished = smoke_run(EXPERIMENT, SMOKE)


def parts(results: dict[str, Any], arm: str, task: str = "ResNet") -> list[Any]:
    return [results[f"{task}/{slug(arm)}/0/{i}"] for i in range(1, 6)]


class Seen:
    """Stands for a model of a size, and keeps the images that it is given."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def __call__(self, images: jax.Array, key: Any = None) -> jax.Array:
        self.images = images
        return jnp.zeros((len(images), 10))


def test_early_parts_are_smaller_tensors_and_cheaper_steps(finished: Any) -> None:
    results, _, _ = finished
    cost = [result.cost.flops / result.steps for result in parts(results, EFFICIENT)]
    whole = [result.cost.flops / result.steps for result in parts(results, BASELINE)]
    assert cost[0] == cost[1] == cost[2] < 0.4 * cost[4]
    assert cost[2] < cost[3] < cost[4]
    assert whole == [cost[4]] * 5
    assert [result.model.image for result in parts(results, EFFICIENT)] == [4, 4, 4, 6, 8]


def test_what_is_learned_from_is_the_crop_of_the_spectrum(finished: Any) -> None:
    results, _, _ = finished
    for arm, same in ((EFFICIENT, True), (RESIZED, False)):
        stage = parts(results, arm)[0].stage
        batch = jax.tree.map(jnp.asarray, stage.data.take(np.arange(3)))
        seen = Seen(stage.model)
        stage.objective(seen, batch, jax.random.key(0))
        spectrum = np.fft.fftshift(np.fft.fft2(standard(batch["image"]), axes=(1, 2)), axes=(1, 2))[:, 2:6, 2:6]
        crop = np.fft.ifft2(np.fft.ifftshift(spectrum, axes=(1, 2)), axes=(1, 2)).real / 4
        assert seen.images.shape == (3, 4, 4, 1)
        assert np.allclose(seen.images, crop, atol=1e-5) == same


def test_one_learning_rate_and_one_pass_through_the_data_run_through_all_parts(finished: Any) -> None:
    results, _, _ = finished
    own, base = parts(results, EFFICIENT), parts(results, BASELINE)
    assert [int(result.state().step) for result in own] == [4, 8, 12, 16, 20]
    assert {result.stage.optimizer for result in own} == {base[0].stage.optimizer}
    assert own[0].stage.optimizer.horizon == 20
    assert [result.position for result in own] == [{"step": 4 * i} for i in range(1, 6)]
    for result in own[1:]:
        table = {row[0]: row[3] for row in result.handover}
        assert {table[name] for name in ("params", "moments mu", "moments nu", "schedule", "data", "rest")} == {"carry"}
    numbers = np.arange(64, 128)
    strong, weak = (of[1].stage.data.take(numbers) for of in (base, own))
    np.testing.assert_array_equal(strong["label"], weak["label"])
    assert not np.array_equal(strong["image"], weak["image"])


def test_augmentation_grows_stronger_where_it_is_to(finished: Any) -> None:
    results, _, _ = finished
    strength = {
        arm: [result.stage.data.augment.magnitude for result in parts(results, arm)]
        for arm in (BASELINE, EFFICIENT, CROP, MAGNITUDES, REVERSED)
    }
    assert strength[EFFICIENT] == strength[MAGNITUDES] == strength[REVERSED][::-1] == [1, 3, 5, 7, 9]
    assert strength[BASELINE] == strength[CROP] == [9] * 5
    assert [result.model.image for result in parts(results, REVERSED)] == [8, 6, 4, 4, 4]


def test_networks_are_scored_on_whole_images_that_nobody_distorted(finished: Any) -> None:
    results, _, _ = finished
    for result in parts(results, EFFICIENT):
        test = result.stage.evaluate
        assert test.objective.func is whole_images
        assert test.data == RESNET_TEST
        seen = Seen(result.model)
        batch = jax.tree.map(jnp.asarray, test.data.take(np.arange(2)))
        test.objective(seen, batch, None)
        np.testing.assert_allclose(seen.images, standard(batch["image"]), rtol=1e-6)
    assert [result.stage.evaluate is None for result in parts(results, EFFICIENT, "ViT")] == [True] * 4 + [False]


def test_equal_flops_are_equal(finished: Any) -> None:
    results, _, _ = finished
    own, base = (sum(r.cost.flops for r in parts(results, arm)) for arm in (EQUAL, BASELINE))
    assert own == pytest.approx(base, rel=0.06)
    assert schedules(SMOKE, RESNET)[EQUAL][1] > SMOKE.tasks[0].steps


def test_positions_and_their_moments_are_resampled_where_the_size_changes(finished: Any) -> None:
    results, _, _ = finished
    small, start, large = (results[f"ViT/efficienttrain/0/{name}"] for name in ("3", "4/start", "4"))
    before, after = small.state(), start.state()
    table, resampled = (np.asarray(state.params["positions"]["table"]) for state in (before, after))
    assert (table.shape, resampled.shape) == ((4, 8), (9, 8))
    resized = jax.image.resize(table.reshape(2, 2, 8), (3, 3, 8), "cubic").reshape(9, 8)
    np.testing.assert_allclose(resampled, resized, atol=1e-5)
    moments = after.opt_state[0].mu["positions"]["table"]
    assert moments.shape == (9, 8)
    assert float(abs(moments).max()) > 0
    assert int(after.opt_state[0].count) == 12
    assert int(large.state().step) == 16
    assert "ViT/efficienttrain/0/3/start" not in results


def test_the_search_shares_parts_and_is_charged_once(finished: Any) -> None:
    results, report, _ = finished
    own = [result for name, result in results.items() if "/search/" in name and result.kind == "train"]
    assert len({result.fingerprint for result in own}) < len(own)
    table = report.tables[-1]
    scores = dict(zip([row[0] for row in table.rows], [row[1] for row in table.rows], strict=True))
    found = next(row[0] for row in table.rows if row[2] == "found")
    assert scores[found] >= scores["8 8 8 8 8"]
    assert len(table.rows) == 6
    once = {result.fingerprint: result.cost.flops for result in own}
    assert f"{sum(once.values()):.2e} FLOPs" in table.note
    kept, trained = own[0].stage.data.data.source, results["ResNet/search/8-8-8-8-8/1"].stage.data.data.source
    assert kept.start == trained.start == SMOKE.kept


def test_rates_are_chosen_on_images_that_no_arm_learns_or_is_scored_on(finished: Any) -> None:
    results, report, _ = finished
    table = next(table for table in report.tables if table.title == "Learning rates and initial scale")
    tried, errors, chosen = {}, {}, {}
    for of, rates, wrong, best, _ in table.rows:
        tried[of], errors[of] = [[float(x) for x in cell.split(", ")] for cell in (rates, wrong)]
        chosen[of] = best
    assert list(chosen) == [f"ResNet: {BASELINE}", f"ResNet: {EFFICIENT}"]
    arms = {arm.name: arm for arm in report.arms}
    for arm in ARMS:
        of = f"ResNet: {BASELINE if arm in (BASELINE, MAGNITUDES) else EFFICIENT}"
        assert {result.stage.optimizer.peak for result in parts(results, arm)} == {chosen[of]}
        owed = {result.stage.optimizer.peak for result in arms[f"ResNet: {arm}"].charged}
        assert owed >= set(tried[of]) - {chosen[of]}
        assert (chosen[of] in owed) == (arm not in (BASELINE, EFFICIENT))  # whose own run is the pilot
    for name, rates in tried.items():
        arm = name.removeprefix("ResNet: ")
        assert set(RESNET.peaks) < set(rates) or chosen[name] not in (min(rates), max(rates))
        assert min(errors[name]) == errors[name][rates.index(chosen[name])]
        pilot = results[f"ResNet/pilots/{slug(arm)}/peak-{chosen[name]:g}/5"]
        assert pilot.fingerprint == parts(results, arm)[-1].fingerprint
    kept = Portion(RESNET.source, 0, SMOKE.kept)
    for result in parts(results, EFFICIENT) + parts(results, EFFICIENT, "ViT"):
        assert result.stage.data.data.source == Portion(RESNET.source, SMOKE.kept)
    pilot = results[f"ResNet/pilots/baseline/peak-{chosen[f'ResNet: {BASELINE}']:g}/5"]
    error = 1 - kept_accuracy_of(pilot, kept)
    assert error == pytest.approx(min(errors[f"ResNet: {BASELINE}"]), abs=1e-3)


def kept_accuracy_of(result: Any, kept: Portion) -> float:
    model = result.module()
    images = jnp.asarray(np.stack([kept[i]["image"] for i in range(len(kept))])).reshape(-1, 8, 8, 1)
    labels = [kept[i]["label"] for i in range(len(kept))]
    return float((model(standard(images)).argmax(-1) == jnp.asarray(labels)).mean())


def test_the_scale_of_a_vit_is_chosen_before_its_rates() -> None:
    task = replace(SMOKE.tasks[1], peaks=(1e-2, 2e-2), stds=(0.02, 0.1))
    run = Plan.on("data=1", price=False)
    made = measured(run, SMOKE, task)
    assert list(made.tried) == [SCALE, BASELINE, EFFICIENT]
    assert made.tried[SCALE].tried == (0.02, 0.1)
    assert made.at(BASELINE).net.init_std == 0.02
    scales = {result.model.init_std for result in made.tried[SCALE].spent}
    assert scales == {0.02, 0.1}
    assert {result.model.init_std for result in made.tried[EFFICIENT].spent} == {0.02}


def test_report_judges_every_claim(finished: Any) -> None:
    _, report, folder = finished
    assert len(report.claims) == 7
    assert all(claim.verdict != "not tested" for claim in report.claims)
    assert "what the baseline needs of the spectrum" in (folder / "report.html").read_text()


@pytest.mark.parametrize("name", ["laptop", "pod"])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=2", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}
