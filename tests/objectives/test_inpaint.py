"""Masked sampling: what is known is kept, what is not is drawn, and with nothing known it is plain integration."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.objectives.flow import inpaint, integrate, shifted_times

NOISE = jax.random.normal(jax.random.key(0), (2, 4, 6, 1))
KNOWN = jax.random.normal(jax.random.key(1), (2, 4, 6, 1))


def towards_the_mean(x: jax.Array, t: jax.Array) -> jax.Array:
    return x.mean((1, 2, 3), keepdims=True) - x


def test_without_anything_known_it_is_integration() -> None:
    times = shifted_times(5)
    whole = inpaint(towards_the_mean, NOISE, KNOWN, jnp.ones_like(NOISE), times)
    np.testing.assert_allclose(whole, integrate(towards_the_mean, NOISE, times), rtol=1e-6)


def test_known_pixels_come_out_as_they_are() -> None:
    mask = jnp.zeros_like(NOISE).at[:, :, :2].set(1)
    made = inpaint(towards_the_mean, NOISE, KNOWN, mask, shifted_times(5))
    np.testing.assert_allclose(made[:, :, 2:], KNOWN[:, :, 2:], rtol=1e-6)
    assert (made[:, :, :2] != KNOWN[:, :, :2]).all()
    nothing = inpaint(towards_the_mean, NOISE, KNOWN, jnp.zeros_like(NOISE), shifted_times(5))
    np.testing.assert_allclose(nothing, KNOWN, rtol=1e-6)


def test_the_model_sees_what_is_known_at_the_noise_of_each_step() -> None:
    seen = []

    def watching(x: jax.Array, t: jax.Array) -> jax.Array:
        jax.debug.callback(lambda *pair: seen.append(pair), x, t)
        return jnp.zeros_like(x)

    mask = jnp.zeros_like(NOISE).at[0].set(1)
    inpaint(watching, NOISE, KNOWN, mask, shifted_times(4)).block_until_ready()
    jax.effects_barrier()
    assert sorted(float(t[0]) for _, t in seen) == [0.0, 0.25, 0.5, 0.75]
    for x, t in seen:
        np.testing.assert_allclose(x[1], (1 - t[1]) * NOISE[1] + t[1] * KNOWN[1], rtol=1e-5, atol=1e-6)
