"""Gradient reversal: the updates of the saddle point, by hand; and how far apart two domains look."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models.vision.cnn import CNN, ConvLayer
from stagejax.objectives.adversarial import domain_adversarial, proxy_a_distance, ramp, reverse_gradient
from stagejax.objectives.loss import weighted

CONFIG = CNN((4, 4, 1), (ConvLayer(2),), (3,), heads=(("label", (3,)), ("domain", (4, 1))), activation="sigmoid")
RNG = np.random.RandomState(0)
BATCH = {
    "image": jnp.asarray(RNG.rand(5, 4, 4, 1), jnp.float32),
    "label": jnp.asarray(RNG.randint(0, 3, 5)),
    "target_image": jnp.asarray(RNG.rand(3, 4, 4, 1) + 0.5, jnp.float32),
}
GRAPH, PARAMS, REST = nnx.split(CONFIG.build(nnx.Rngs(0)), nnx.Param, ...)


def test_the_layer_is_the_identity_and_turns_the_gradient_by_a_traced_strength() -> None:
    x, g = jnp.array([1.0, -2.0]), jnp.array([3.0, 5.0])
    for strength in (0.0, 0.3, 2.0):
        value, back = jax.jit(lambda s: jax.vjp(lambda x: reverse_gradient(x, s), x))(jnp.asarray(strength))
        np.testing.assert_array_equal(value, x)
        np.testing.assert_allclose(back(g)[0], -strength * g, rtol=1e-6)
    assert jax.grad(lambda s: reverse_gradient(x, s).sum())(1.0) == 0


@pytest.mark.slow
def test_updates_are_those_of_the_saddle_point() -> None:
    """Features: dL_y - strength dL_d; label head: dL_y; domain head: dL_d, with weight 1."""
    strength = 0.7

    def parts(params):
        model = nnx.merge(GRAPH, params, REST)
        both = model.features(jnp.concatenate([BATCH["image"], BATCH["target_image"]]))
        label = weighted(model.head(both[:5]), BATCH["label"])[0]
        p = jax.nn.sigmoid(model.head(both, "domain")[:, 0])
        return label, -jnp.log(1 - p[:5]).mean() - jnp.log(p[5:]).mean()

    by_label, by_domain = (jax.grad(lambda p, i=i: parts(p)[i])(PARAMS) for i in (0, 1))
    loss = lambda p: domain_adversarial(nnx.merge(GRAPH, p, REST), BATCH, None, strength=strength)  # noqa: E731
    (value, metrics), found = jax.value_and_grad(loss, has_aux=True)(PARAMS)
    assert float(value) == pytest.approx(float(sum(parts(PARAMS))), rel=1e-5)
    assert float(metrics["label_loss"]) == pytest.approx(float(parts(PARAMS)[0]), rel=1e-5)
    assert "label" not in str([name for name in BATCH if name.startswith("target")])
    signs = {"label": (1, 0), "domain": (0, 1), None: (1, -strength)}
    for path, leaf in jax.tree_util.tree_leaves_with_path(nnx.to_pure_dict(found)):
        names = [entry.key for entry in path]
        a, b = signs[names[1] if names[0] == "heads" else None]
        pick = lambda tree, path=path: dict(jax.tree_util.tree_leaves_with_path(nnx.to_pure_dict(tree)))[path]  # noqa: E731
        np.testing.assert_allclose(leaf, a * pick(by_label) + b * pick(by_domain), rtol=1e-4, atol=1e-6)


def test_the_ramp() -> None:
    for p in np.linspace(0, 1, 5).tolist():
        assert float(ramp(p, 4.0)) == pytest.approx(np.tanh(2 * p), abs=1e-6)


def test_distance_of_equal_and_of_different_domains() -> None:
    a, b = np.random.RandomState(1).randn(2, 600, 3).astype(np.float32)
    assert abs(proxy_a_distance(a, b)) < 0.4
    assert proxy_a_distance(a, b + np.float32(8)) == pytest.approx(2.0, abs=0.02)
