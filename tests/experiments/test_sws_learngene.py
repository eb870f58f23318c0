"""SWS at smoke size: what is shared while the learngene learns is what is repeated when it is expanded."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from smoke import flat, smoke_run

from experiments.growth.sws_learngene import (
    EXPERIMENT,
    SCRATCH,
    SHUFFLED,
    SWS,
    TLEG,
    UNSHARED,
    expansion,
    images,
    learning,
    preset,
)
from stagejax import Plan
from stagejax.inference import flops_of_one, logits_of
from stagejax.objectives.distillation import kl_divergence

pytestmark = pytest.mark.slow  # a smoke run of a minute
SMOKE, LAPTOP = preset("smoke"), preset("laptop")
finished = smoke_run(EXPERIMENT, SMOKE)


def test_the_learngene_has_one_layer_for_each_stage_norms_included(finished: Any) -> None:
    results, _, _ = finished
    layers = {leaf.shape[0] for path, leaf in flat(results[f"aux/{SWS}"]).items() if "blocks" in path}
    assert layers == {len(SMOKE.counts)}
    assert results[f"aux/{SWS}"].parameters == results[f"aux/{UNSHARED}"].parameters


def test_a_descendant_repeats_whole_layers_and_keeps_all_else(finished: Any) -> None:
    results, _, _ = finished
    gene = flat(results[f"aux/{SWS}"])
    for label, source in ((SWS, (0, 0, 1)), (SHUFFLED, (1, 1, 0))):
        start = flat(results[f"{label}/3-layers/0/start"])
        for path, leaf in gene.items():
            expected = leaf[np.array(source)] if "blocks" in path else leaf
            np.testing.assert_array_equal(start[path], expected, err_msg=path)


def test_with_its_own_counts_the_descendant_is_the_auxiliary_network(finished: Any) -> None:
    results, _, _ = finished
    assert results["aux/same"].receipt["logit_change"] < 1e-6
    own, network = results[f"aux/{SWS}"].module(), results["aux/same"].module()
    picture = jnp.ones((2, 8, 8, 1)) * jnp.linspace(0, 1, 8)[:, None]
    np.testing.assert_allclose(own(picture), network(picture), atol=1e-6)


def test_layers_on_a_line(finished: Any) -> None:
    results, _, _ = finished
    gene, start = flat(results[f"aux/{TLEG}"]), flat(results[f"{TLEG}/4-layers/0/start"])
    path = next(path for path in gene if path.endswith("up/kernel"))
    line = [gene[path][0] + share * gene[path][1] for share in (0.25, 0.5, 0.75, 1.0)]
    np.testing.assert_allclose(start[path], np.stack(line), atol=1e-6)


def test_the_learngene_learns_from_the_teacher_alone(finished: Any) -> None:
    """The loss is KL to the cached logits, and other labels do not change it."""
    results, _, _ = finished
    stage = learning(SMOKE, SWS, results["teacher-logits"])
    with stage.data.batches() as batches:
        batch = {name: jnp.asarray(value) for name, value in next(batches).items()}
    np.testing.assert_allclose(batch["logits"], results["teacher"].module()(batch["image"]), atol=1e-4)
    model = results[f"aux/{SWS}"].module()
    loss, _ = stage.objective(model, batch, None)
    other, _ = stage.objective(model, batch | {"label": (batch["label"] + 1) % 10}, None)
    expected = kl_divergence(model(batch["image"]), jax.nn.softmax(batch["logits"])).mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    assert loss == other


def test_the_gradient_of_a_shared_layer_is_the_sum_over_its_places(finished: Any) -> None:
    results, _, _ = finished
    shared, network = results[f"aux/{SWS}"].module(), results["aux/same"].module()
    picture = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 8, 1)), jnp.float32)

    def gradient(model: nnx.Module) -> np.ndarray:
        graphdef, params = nnx.split(model)
        grads = jax.grad(lambda p: jnp.square(nnx.merge(graphdef, p)(picture)).sum())(params)
        return np.asarray(nnx.to_pure_dict(grads)["blocks"]["mlp"]["up"]["kernel"])

    places = gradient(network).reshape(len(SMOKE.counts), SMOKE.counts[0], *gradient(shared).shape[1:])
    np.testing.assert_allclose(gradient(shared), places.sum(1), atol=1e-5)


def test_arms_tune_alike_and_scratch_has_the_same_total(finished: Any) -> None:
    results, report, _ = finished
    arms = {arm.name: arm for arm in report.arms}
    for depth in SMOKE.depths:
        for label in (SWS, UNSHARED, SHUFFLED, TLEG):
            assert results[f"{label}/{depth}-layers/0"].steps == SMOKE.tune_steps
    scratch = sum(arms[f"{SCRATCH}, {depth} layers"].results[-1].cost.flops for depth in SMOKE.depths)
    tuned = sum(arms[f"{SWS}, {depth} layers"].results[-1].cost.flops for depth in SMOKE.depths)
    once = arms[f"{SWS}, {SMOKE.depths[0]} layers"].charged_cost.flops
    assert abs(scratch / (tuned + once) - 1) < 0.05
    unshared, shared = results[f"aux/{UNSHARED}"].cost.flops, results[f"aux/{SWS}"].cost.flops
    assert abs(unshared / shared - 1) < 0.02
    image = results["teacher"].stage.data.sample_spec()["image"]
    assert results["teacher-logits"].cost.flops == flops_of_one(logits_of, SMOKE.teacher, image) * SMOKE.records
    assert {claim.verdict for claim in report.claims} <= {"holds", "does not hold"}


def test_extra_repeats_go_to_the_early_stages() -> None:
    assert expansion(preset("pod"), SWS, 12).source == (0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 4)
    assert expansion(LAPTOP, SHUFFLED, 6).source == (2, 2, 0, 0, 3, 1)


def test_every_record_has_logits() -> None:
    assert images(SMOKE, SMOKE.batch).size() == SMOKE.records


def test_a_plan_tests_no_claim() -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=2", price=False), SMOKE)
    assert {claim.verdict for claim in report.claims} == {"not tested"}
