"""The diffusion transformer: attention over a whole video, distances by direction, text, any resolution, growth."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.growth import FPI, Growth, grow
from stagejax.models.generative.dit import DiT, attend_in_turns, grid_angles
from stagejax.models.rotary import rotate
from stagejax.objectives.flow import FlowMatching

CONFIG = DiT(channels=2, patch=2, embed=8, layers=2, heads=2, head_dim=8, mlp=12, text=3, split=(2, 1, 1), scan=True)
VIDEO = jax.random.normal(jax.random.key(0), (2, 2, 4, 4, 2))
TEXT = jax.random.normal(jax.random.key(1), (2, 3, 3))


@functools.cache
def graph(config: DiT):
    """The structure of a model, and its parameters without arrays."""
    return nnx.split(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))))


def random_params(config: DiT):
    """All parameters random, so that nothing is zero by its initial value."""
    rng = np.random.RandomState(2)
    shapes = nnx.to_pure_dict(graph(config)[1])
    return jax.tree.map(lambda x: jnp.asarray(0.3 * rng.normal(size=x.shape), x.dtype), shapes)


PARAMS = random_params(CONFIG)


def velocity(config=CONFIG, params=PARAMS, video=VIDEO, text=TEXT, **options):
    return nnx.merge(graph(config)[0], params)(video, jnp.array([0.2, 0.7]), text, **options)


@pytest.mark.slow
def test_every_token_sees_every_frame_and_pixel() -> None:
    changed = velocity(video=VIDEO.at[0, 1, 3, 3, 0].add(1.0))
    difference = np.abs(np.asarray(changed - velocity()))
    assert (difference[0].max(-1) > 1e-6).all()  # also in the other frame
    assert not difference[1].any()  # not in the other sample


def test_products_depend_on_distances_in_each_direction() -> None:
    shape, split = (3, 4, 5), (2, 1, 3)
    angles = grid_angles(shape, split)
    query, key = (
        rotate(jnp.broadcast_to(jax.random.normal(jax.random.key(i), (12,)), (1, 60, 1, 12)), angles) for i in (0, 1)
    )
    products = np.asarray(jnp.einsum("btnh,bsnh->ts", query, key)).reshape(*shape, *shape)
    np.testing.assert_allclose(products[:2, :3, :4, :2, :3, :4], products[1:, 1:, 1:, 1:, 1:, 1:], rtol=1e-4, atol=1e-4)
    assert len(np.unique(products[0, 0, 0].round(3))) > 50  # and on each of them


@pytest.mark.slow
def test_frames_that_are_not_there_are_not_seen() -> None:
    frames = jnp.array([1, 2])
    first = velocity(frames_B=frames)
    changed = velocity(video=VIDEO.at[:, 1].add(1.0), frames_B=frames)
    np.testing.assert_allclose(changed[0, 0], first[0, 0], atol=1e-5)  # an image: its first frame alone
    assert np.abs(changed[1, 0] - first[1, 0]).max() > 1e-4
    np.testing.assert_allclose(first[0, :1], velocity(video=VIDEO[:, :1])[0], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_text_counts_unless_it_is_dropped_or_masked() -> None:
    dropped = velocity(drop=jnp.array([True, False]))
    assert np.abs(np.asarray(dropped - velocity()))[0].max() > 1e-4
    np.testing.assert_array_equal(dropped[1], velocity()[1])
    np.testing.assert_array_equal(velocity(text=TEXT[::-1], drop=jnp.ones(2, bool)), velocity(drop=jnp.ones(2, bool)))
    short = jnp.array([[True, True, False]] * 2)
    np.testing.assert_allclose(
        velocity(text_mask_BS=short), velocity(text=TEXT[:, :2], text_mask_BS=short[:, :2]), rtol=1e-4, atol=1e-5
    )


@pytest.mark.slow
def test_no_parameter_depends_on_the_resolution() -> None:
    larger = jnp.ones((2, 5, 6, 8, 2))
    assert velocity(video=larger).shape == larger.shape
    assert not np.asarray(CONFIG.build(nnx.Rngs(0))(VIDEO, jnp.zeros(2), TEXT)).any()  # no velocity at first


@pytest.mark.slow
def test_scanned_is_unrolled() -> None:
    np.testing.assert_allclose(velocity(replace(CONFIG, scan=False)), velocity(), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_heads_in_turns_are_heads_at_once() -> None:
    """In both passes, and for less memory."""

    def loss(params, turns):
        return (velocity(replace(CONFIG, turns=turns), params, frames_B=jnp.array([1, 2])) ** 2).sum()

    one, two = (jax.jit(jax.value_and_grad(functools.partial(loss, turns=turns)))(PARAMS) for turns in (1, 2))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-4), one, two)
    query, keys = jnp.ones((1, 64, 4, 2)), jnp.ones((1, 500, 4, 2))
    used = [
        jax.jit(jax.grad(lambda *x, turns=turns: attend_in_turns(turns, *x).sum())).lower(query, keys, keys).compile()
        for turns in (1, 4)
    ]
    whole, quarter = (program.memory_analysis().temp_size_in_bytes for program in used)
    assert quarter < whole


@pytest.mark.slow
def test_it_grows_without_a_change_of_the_velocity() -> None:
    """Modulations multiply unit by unit, so they are copied with the units."""
    large = replace(CONFIG, embed=16, heads=4, mlp=24)
    grown = grow(Growth(FPI(), replace(CONFIG, scan=True), large), PARAMS)
    np.testing.assert_allclose(velocity(large, grown), velocity(), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_it_learns_a_flow() -> None:
    config = replace(CONFIG, text=0)
    graphdef, params = nnx.split(config.build(nnx.Rngs(0)))
    batch = {"image": jnp.broadcast_to(jnp.linspace(-1, 1, 4)[:, None, None], (8, 1, 4, 4, 2))}

    @jax.jit
    def step(params, key):
        loss, gradient = jax.value_and_grad(lambda p: FlowMatching()(nnx.merge(graphdef, p), batch, key)[0])(params)
        return jax.tree.map(lambda p, g: p - 0.03 * g, params, gradient), loss

    losses = []
    for i in range(60):
        params, loss = step(params, jax.random.key(i))
        losses.append(float(loss))
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="make split add up to head_dim / 2"):
        replace(CONFIG, head_dim=10)
    with pytest.raises(ValueError, match="cannot attend in turns=3"):
        replace(CONFIG, turns=3)
    with pytest.raises(ValueError, match="multiples of patch=2"):
        velocity(video=VIDEO[:, :, :3])
    with pytest.raises(ValueError, match="give text_BSW"):
        velocity(text=None)
