"""The MM-DiT: condition and image attend to each other, what is not there is not seen, and both forms of its output."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import axes_of, is_axes
from stagejax.models.generative.mmdit import MMDiT

CONFIG = MMDiT(image=4, channels=2, patch=2, width=6, embed=8, layers=2, heads=2, head_dim=4, mlp=12)
KEYS = jax.random.split(jax.random.key(0), 3)
TOLD = {
    "context": jax.random.normal(KEYS[0], (2, 3, 6)),
    "there": jnp.array([[True, True, False], [True, True, True]]),
    "pooled": jax.random.normal(KEYS[1], (2, 6)),
}
NOISY, TIMES = jax.random.normal(KEYS[2], (2, 4, 4, 2)), jnp.array([0.2, 0.7])


@functools.cache
def graph(config: MMDiT) -> Any:
    """The structure of a model, and its parameters without arrays."""
    return nnx.split(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))))


@functools.cache
def compiled(config: MMDiT) -> Any:
    rng, shapes = np.random.RandomState(2), nnx.to_pure_dict(graph(config)[1])
    params = jax.tree.map(lambda x: jnp.asarray(0.3 * rng.normal(size=x.shape), x.dtype), shapes)
    return jax.jit(lambda noisy, t, told: nnx.merge(graph(config)[0], params)(noisy, t, **told))


def velocity(config: MMDiT = CONFIG, noisy: Any = NOISY, times: Any = TIMES, **changed: Any) -> np.ndarray:
    return np.asarray(compiled(config)(noisy, times, TOLD | changed))


@pytest.mark.parametrize("config", [CONFIG, replace(CONFIG, shared=False)])
def test_names_and_sizes(config: MMDiT) -> None:
    module = nnx.eval_shape(lambda: config.build(nnx.Rngs(0)))
    named = [axes for axes in jax.tree.leaves(axes_of(module), is_leaf=is_axes) if is_axes(axes)]
    assert {name for axes in named for name in axes.names} == set(config.sizes())
    params = nnx.to_pure_dict(graph(config)[1])
    assert params["blocks"]["image"]["query"]["kernel"].shape == (2, 8, 2, 4)
    assert (params["blocks"].get("condition") is not None) == (not config.shared)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="patch=3 does not divide image=4"):
        replace(CONFIG, patch=3)
    with pytest.raises(ValueError, match="image=4"):
        jax.eval_shape(compiled(CONFIG), jnp.zeros((2, 8, 8, 2)), TIMES, TOLD)


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False])
def test_every_place_sees_condition_pooled_and_noise(shared: bool) -> None:
    config = replace(CONFIG, shared=shared)
    first = velocity(config)
    for changed in (
        velocity(config, NOISY.at[0, 3, 3, 0].add(1.0)),
        velocity(config, context=TOLD["context"].at[0, 1, 0].add(1.0)),
        velocity(config, pooled=TOLD["pooled"].at[0, 0].add(1.0)),
    ):
        difference = np.abs(changed - first).max(-1)
        assert (difference[0] > 1e-6).all()
        assert not difference[1].any()
    hidden = velocity(config, context=TOLD["context"].at[0, 2].add(5.0))
    np.testing.assert_array_equal(hidden, first)  # a token that is not there


@pytest.mark.slow
def test_the_order_of_the_condition_does_not_matter_but_places_of_the_image_do() -> None:
    """As in SD3, tokens of a condition have no positions in the transformer: what knows them is the condition."""
    turned = velocity(context=TOLD["context"][:, [1, 0, 2]])
    np.testing.assert_allclose(turned, velocity(), rtol=1e-4, atol=1e-5)
    moved = velocity(noisy=jnp.roll(NOISY, 2, axis=2))
    assert np.abs(jnp.roll(moved, -2, axis=2) - velocity()).max() > 1e-3


@pytest.mark.slow
def test_the_velocity_leads_to_the_data_that_are_expected() -> None:
    """With parameters as they are made, the data are 0: v = -x / (1 - t), and near the end no larger."""
    model = jax.jit(lambda x, t: CONFIG.build(nnx.Rngs(0))(x, t, **TOLD))
    times = jnp.array([0.5, 0.99])
    expected = -NOISY / np.array([0.5, 0.05])[:, None, None, None]
    np.testing.assert_allclose(model(NOISY, times), expected, rtol=1e-5)


@pytest.mark.slow
def test_a_scan_is_the_same_network() -> None:
    np.testing.assert_allclose(velocity(replace(CONFIG, scan=True)), velocity(), rtol=1e-4, atol=1e-5)
    assert velocity(replace(CONFIG, predicts="velocity")).shape == NOISY.shape
