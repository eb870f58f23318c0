"""One stream: prompt, source and noisy latent see each other, long skips, both wirings, other resolutions."""

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
from stagejax.growth import Growth, Resample, grow
from stagejax.models.generative.single_stream import SingleStream

SIZES = {"width": 6, "embed": 8, "layers": 4, "heads": 2, "head_dim": 4, "mlp": 12}
CONFIG = SingleStream(latent=4, channels=2, patch=2, prompt=3, **SIZES)
KEYS = jax.random.split(jax.random.key(0), 3)
INPUTS = {
    "prompt": jax.random.normal(KEYS[0], (2, 3, 6)),
    "there": jnp.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]),
    "source": jax.random.normal(KEYS[1], (2, 4, 4, 2)),
    "sourced": jnp.array([1.0, 0.0]),
}
NOISY = jax.random.normal(KEYS[2], (2, 4, 4, 2))


@functools.cache
def graph(config: SingleStream) -> Any:
    """The structure of a model, and its parameters without arrays."""
    return nnx.split(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))))


@functools.cache
def random_params(config: SingleStream) -> Any:
    """All parameters random, so that nothing is zero by its initial value."""
    rng, shapes = np.random.RandomState(2), nnx.to_pure_dict(graph(config)[1])
    return jax.tree.map(lambda x: jnp.asarray(0.3 * rng.normal(size=x.shape), x.dtype), shapes)


@functools.cache
def compiled(config: SingleStream) -> Any:
    def call(params: Any, noisy: Any, drop: Any, inputs: Any) -> Any:
        return nnx.merge(graph(config)[0], params)(noisy, jnp.array([0.2, 0.7]), drop=drop, **inputs)

    return jax.jit(call)


def velocity(
    config: SingleStream = CONFIG, noisy: Any = NOISY, drop: Any = None, params: Any = None, **changed: Any
) -> Any:
    drop = jnp.zeros(2, bool) if drop is None else jnp.array(drop)
    return np.asarray(compiled(config)(params or random_params(config), noisy, drop, INPUTS | changed))


def test_names_and_sizes() -> None:
    module = nnx.eval_shape(lambda: CONFIG.build(nnx.Rngs(0)))
    named = [axes for axes in jax.tree.leaves(axes_of(module), is_leaf=is_axes) if is_axes(axes)]
    assert {name for axes in named for name in axes.names} <= set(CONFIG.sizes()) | {"waves", "embed_out", "modulation"}
    assert nnx.to_pure_dict(graph(CONFIG)[1])["skips"]["kernel"].shape == (2, 16, 8)
    assert nnx.eval_shape(lambda: replace(CONFIG, skips=False).build(nnx.Rngs(0))).skips is None


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="layers=3 with skips"):
        replace(CONFIG, layers=3)
    with pytest.raises(ValueError, match="patch=3 does not divide latent=4"):
        replace(CONFIG, patch=3)


@pytest.mark.slow
@pytest.mark.parametrize("wiring", ["channels", "tokens"])
def test_every_place_sees_words_source_and_noise(wiring: Any) -> None:
    config = replace(CONFIG, wiring=wiring)
    first = velocity(config)
    noisy = np.abs(velocity(config, NOISY.at[0, 3, 3, 0].add(1.0)) - first)
    assert (noisy[0].max(-1) > 1e-6).all()  # also of the patch farthest from it
    assert not noisy[1].any()
    words = np.abs(velocity(config, prompt=INPUTS["prompt"].at[:, 1].add(1.0)) - first)
    assert (words.max((1, 2, 3)) > 1e-5).all()
    source = np.abs(velocity(config, source=INPUTS["source"].at[:, 0, 0].add(1.0)) - first)
    assert (source[0].max(-1) > 1e-6).all()
    assert not source[1].any()  # a sample without a source does not see what stands in its place


@pytest.mark.slow
def test_padding_is_not_seen_and_a_dropped_prompt_is_as_good_as_any() -> None:
    first = velocity()
    padded = velocity(prompt=INPUTS["prompt"].at[:, 2].add(5.0))
    np.testing.assert_allclose(padded[0], first[0], atol=1e-6)
    assert np.abs(padded[1] - first[1]).max() > 1e-4
    dropped = velocity(drop=[True, True])
    other = velocity(drop=[True, True], prompt=-INPUTS["prompt"], there=jnp.ones((2, 3)))
    np.testing.assert_allclose(dropped, other, atol=1e-6)
    assert np.abs(dropped - first).max() > 1e-4
    assert np.abs(velocity(drop=[True, True], source=-INPUTS["source"]) - dropped)[0].max() > 1e-4  # the source stays


@pytest.mark.slow
def test_the_mean_of_the_prompt_modulates_every_place() -> None:
    """Without attention to the prompt, its words still matter, but not their order."""
    params = jax.tree.map(jnp.asarray, random_params(CONFIG))
    blind = jax.tree.map(lambda x: x, params)
    blind["blocks"]["attention"]["value"]["kernel"] = jnp.zeros_like(params["blocks"]["attention"]["value"]["kernel"])
    first = velocity(params=blind)
    np.testing.assert_allclose(
        velocity(params=blind, prompt=INPUTS["prompt"][:, jnp.array([1, 0, 2])]), first, atol=1e-5
    )
    assert (np.abs(velocity(params=blind, prompt=INPUTS["prompt"] + 1) - first).max((1, 2, 3)) > 1e-3).all()


@pytest.mark.slow
def test_skips_join_the_last_of_the_lower_half_first() -> None:
    """With a join that reads its skip alone, block i of the upper half reads what block N - 1 - i gave."""
    params = jax.tree.map(jnp.asarray, random_params(CONFIG))
    plain = {name: x for name, x in params.items() if name != "skips"}
    stream, skip = np.vstack([np.eye(8), np.zeros((8, 8))]), np.vstack([np.zeros((8, 8)), np.eye(8)])
    by_stream = {"kernel": jnp.asarray(np.stack([stream, stream]), jnp.float32), "bias": jnp.zeros((2, 8))}
    same = velocity(params=params | {"skips": by_stream})
    np.testing.assert_allclose(same, velocity(replace(CONFIG, skips=False), params=plain), atol=1e-5)
    own = by_stream | {"kernel": jnp.asarray(np.stack([stream, skip]), jnp.float32)}  # the last join: block 0's output
    without = jax.tree.map(lambda x: x[jnp.array([0, 3, 3, 3])], params["blocks"])
    without["modulation"]["table"] = without["modulation"]["table"].at[1:3].add(1.0)
    other = jax.tree.map(lambda x, y: x.at[1:3].set(y[1:3]), params["blocks"], without)
    np.testing.assert_allclose(
        velocity(params=params | {"skips": own}), velocity(params=params | {"skips": own, "blocks": other}), atol=1e-5
    )
    assert np.abs(velocity(params=params | {"skips": own}) - same).max() > 1e-4


@pytest.mark.slow
def test_positions_interpolate_to_another_resolution() -> None:
    large = replace(CONFIG, latent=8)
    params = grow(Growth(Resample(grid=True), CONFIG, large), random_params(CONFIG))
    assert params["positions"]["table"].shape == (16, 8)
    changed = [name for name in params if name != "positions"]
    jax.tree.map(np.testing.assert_array_equal, *({n: x[n] for n in changed} for x in (params, random_params(CONFIG))))
    found = velocity(large, jnp.ones((2, 8, 8, 2)), params=params, source=jnp.ones((2, 8, 8, 2)))
    assert found.shape == (2, 8, 8, 2)
    with pytest.raises(ValueError, match="grow the axis `position`"):
        velocity(large, NOISY, params=params)
    model = CONFIG.build(nnx.Rngs(0))
    gates = model.blocks.modulation.table[...].mean((0, 2))
    assert (np.abs(gates - jnp.array([0, 0, 1, 0, 0, 1])) < 0.4).all()  # what a block finds is added from the start
    assert {float(x) for x in model.blocks.attention.query_norm.gain[...].reshape(-1)} == {2.0}
    first = model(NOISY, jnp.array([0.0, 0.75]), **INPUTS)
    np.testing.assert_allclose(first, -NOISY * jnp.array([1.0, 4.0])[:, None, None, None], rtol=1e-5)  # towards 0
