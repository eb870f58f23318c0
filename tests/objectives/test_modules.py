"""Objectives of modules: what stands still gets no gradient and passes it on; smoothed labels; imitation of a layer."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models import ViT
from stagejax.objectives.classification import classification
from stagejax.objectives.modules import AmongFrozen, ImitateLayer

CONFIG = ViT(image=4, channels=1, patch=2, classes=3, embed=8, layers=3, heads=2, mlp=12, scan=True)
BATCH = {"image": jax.random.normal(jax.random.key(0), (4, 4, 4, 1)), "label": jnp.array([0, 1, 2, 0])}


@pytest.fixture(scope="module")
def parts() -> tuple:
    return nnx.split(CONFIG.build(nnx.Rngs(0)), nnx.Param, ...)


def gradients(parts: tuple, objective: object) -> dict:
    graphdef, params, rest = parts
    grads = jax.jit(jax.grad(lambda p: objective(nnx.merge(graphdef, p, rest), BATCH, None)[0]))(params)
    return nnx.to_pure_dict(grads)


@pytest.mark.slow
def test_only_own_layers_learn_and_gradients_reach_what_lies_below(parts: tuple) -> None:
    grads, whole = gradients(parts, AmongFrozen(1, 2)), gradients(parts, lambda m, b, k: classification(m, b, k))
    for own, all_of_it in zip(jax.tree.leaves(grads["blocks"]), jax.tree.leaves(whole["blocks"]), strict=True):
        assert not np.any(own[np.array([0, 2])])
        np.testing.assert_allclose(own[1], all_of_it[1], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(grads["patches"]["kernel"], whole["patches"]["kernel"], rtol=1e-4, atol=1e-7)


def test_labels_are_smoothed(parts: tuple) -> None:
    model = nnx.merge(*parts)
    log_p = jax.nn.log_softmax(model(BATCH["image"]))
    sharp = -log_p[jnp.arange(4), BATCH["label"]].mean()
    loss, metrics = AmongFrozen(0, 3, smoothing=0.3)(model, BATCH, None)
    assert float(loss) == pytest.approx(float(0.7 * sharp - 0.3 * log_p.mean()), rel=1e-5)
    assert float(metrics["loss"][0] / metrics["loss"][1]) == pytest.approx(float(loss), rel=1e-6)
    _, plain = classification(model, BATCH, None)
    assert metrics["accuracy"] == plain["accuracy"]


@pytest.mark.slow
def test_a_layer_imitates_itself_without_loss(parts: tuple) -> None:
    graphdef, params, rest = parts
    twice = jax.tree.map(lambda x: x, params)
    twice["blocks"] = jax.tree.map(lambda x: x.at[1].set(x[2]), params["blocks"])
    objective = ImitateLayer(1, 2)
    assert float(objective(nnx.merge(graphdef, twice, rest), BATCH, None)[0]) == 0
    assert float(objective(nnx.merge(graphdef, params, rest), BATCH, None)[0]) > 0
    grads = gradients(parts, objective)
    for leaf in jax.tree.leaves(grads["blocks"]):
        assert not np.any(leaf[np.array([0, 2])])
    assert not np.any(grads["head"]["kernel"])
