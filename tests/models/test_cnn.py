"""Plain convolutional classifiers: named axes of the right sizes, heads on shared features, norms as asked for."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import axes_of, is_axes
from stagejax.models.vision.cnn import CNN, ConvLayer

TWO = CNN(
    (9, 6, 2),
    (ConvLayer(3, 5, pool=True), ConvLayer(4, stride=2)),
    (7,),
    heads=(("label", (6, 5)), ("domain", (1,))),
    norm=True,
    mean=0.5,
    std=2.0,
)


@pytest.mark.parametrize("config", [TWO, CNN((1, 1, 2), (), (3,), heads=(("label", (2,)),), activation="sigmoid")])
def test_axes_have_the_sizes_that_the_configuration_says(config: CNN) -> None:
    module = nnx.eval_shape(lambda: config.build(nnx.Rngs(0)))
    params = nnx.to_pure_dict(nnx.state(module, nnx.Param))
    for axes, leaf in zip(jax.tree.leaves(axes_of(module), is_leaf=is_axes), jax.tree.leaves(params), strict=True):
        assert tuple(config.sizes()[name] for name in axes.names) == leaf.shape


def test_a_shallow_network_is_the_formula() -> None:
    config = CNN((1, 1, 2), (), (3,), heads=(("label", (2,)),), activation="sigmoid", mean=0.5, std=2.0)
    model, x = config.build(nnx.Rngs(0)), jnp.asarray(np.random.RandomState(0).randn(4, 1, 1, 2), jnp.float32)
    up, down = model.hidden["1"].dense, model.heads["label"].output
    hidden = jax.nn.sigmoid((x[:, 0, 0] - 0.5) / 2.0 @ up.kernel[...][0, 0] + up.bias[...])
    np.testing.assert_allclose(model(x), hidden @ down.kernel[...] + down.bias[...], rtol=1e-4, atol=1e-5)


def test_heads_read_the_same_features() -> None:
    model, x = TWO.build(nnx.Rngs(0)), jnp.ones((2, 9, 6, 2))
    features = model.features(x)
    assert features.shape == (2, 7)
    np.testing.assert_allclose(model(x), model.head(features, "label"), rtol=1e-5)
    assert model.head(features, "domain").shape == (2, 1)


def test_a_copy_with_measured_norms_leaves_the_model_as_training_would() -> None:
    plain = CNN((4, 4, 1), (ConvLayer(2),), heads=(("label", (3,)),)).build(nnx.Rngs(0))
    assert plain.measured(jnp.ones((2, 4, 4, 1)), jax.random.key(0)) is plain  # nothing to measure
    model = TWO.build(nnx.Rngs(0))
    before = model.convolutions["1"].norm.mean[...]
    copy = model.measured(jnp.asarray(np.random.RandomState(1).rand(3, 9, 6, 2), jnp.float32), jax.random.key(0))
    batch, after = copy.convolutions["1"].norm.mean[...], model.convolutions["1"].norm.mean[...]
    np.testing.assert_allclose(after, 0.9 * before + 0.1 * batch, rtol=1e-5, atol=1e-7)
    assert model.convolutions["1"].norm.momentum == 0.9


def test_impossible_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="leave a pixel"):
        CNN((2, 2, 1), (ConvLayer(2, pool=True), ConvLayer(2, pool=True)))
    with pytest.raises(ValueError, match="each head a size"):
        CNN(heads=(("label", ()),))
