"""The generator: what its maps are, that text reaches pictures by them alone, and what its prediction is."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.apart import take_apart
from stagejax.models.generative.text_to_image import TextToImage

pytestmark = pytest.mark.slow  # compiles the model

CONFIG = TextToImage((8, 12), text=6, embed=8, layers=2, heads=2, head_dim=4, mlp=8)
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def model() -> Any:
    """With an output that is not 0."""
    model = CONFIG.build(nnx.Rngs(0))
    model.output.kernel[...] = 0.1 * jax.random.normal(KEY, model.output.kernel.shape)
    return model


@pytest.fixture(scope="module")
def looking(model: Any) -> Any:
    return nnx.jit(lambda *inputs: model.looking(*inputs))


def inputs(seed: int = 0) -> tuple[jax.Array, jax.Array, jax.Array]:
    keys = jax.random.split(jax.random.key(seed), 2)
    return jax.random.normal(keys[0], (2, 8, 12, 3)), jnp.array([0.2, 0.9]), jax.random.normal(keys[1], (2, 5, 6))


def test_maps_are_shares_of_each_place(looking: Any) -> None:
    velocity, maps = looking(*inputs(), jnp.array([False, False]))
    assert velocity.shape == (2, 8, 12, 3)
    assert maps.shape == (2, 6, 5)
    np.testing.assert_allclose(maps.sum(-1), 1, rtol=1e-5)


def test_order_of_states_moves_maps_and_nothing_else(looking: Any) -> None:
    """Nothing but attention reads the text, so it is a set of states."""
    image, t, text = inputs()
    order, keep = jnp.array([3, 1, 4, 0, 2]), jnp.array([False, False])
    velocity, maps = looking(image, t, text, keep)
    moved, others = looking(image, t, text[:, order], keep)
    np.testing.assert_allclose(moved, velocity, atol=1e-5)
    np.testing.assert_allclose(others, maps[..., order], atol=1e-6)


def test_dropped_texts_are_all_the_same(looking: Any) -> None:
    (image, t, text), (_, _, other) = inputs(), inputs(1)
    first, second = (looking(image, t, states, jnp.array([True, False]))[0] for states in (text, other))
    np.testing.assert_allclose(first[0], second[0], atol=1e-6)
    assert np.abs(first[1] - second[1]).max() > 1e-4


def test_a_new_model_predicts_black_in_the_middle() -> None:
    """x = 0 of an output of 0, so the velocity is -x_t / (1 - t), bounded near the end."""
    image, _, text = inputs()
    found = nnx.jit(CONFIG.build(nnx.Rngs(0)))(image, jnp.array([0.5, 1.0]), text)
    np.testing.assert_allclose(found[0], -2 * image[0], rtol=1e-5)
    np.testing.assert_allclose(found[1], -20 * image[1], rtol=1e-5)


def test_axes_have_their_sizes() -> None:
    _, axes, params, _ = take_apart(CONFIG)
    sizes = CONFIG.sizes()
    assert params["positions"].shape == (sizes["position"], sizes["embed"])
    assert str(axes["blocks"]["cross"]["key"]["kernel"]) == "#layers <text >kv_heads >head_dim"
    with pytest.raises(ValueError, match="does not divide"):
        TextToImage((10, 12))
