"""Flow matching on Gaussians, where the best velocity is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.objectives.flow import FlowMatching, between, guided, integrate, shifted_times, squared_errors

MEAN, STD = jnp.array([1.0, -2.0]), jnp.array([0.5, 0.2])


def best(x: jax.Array, t: jax.Array) -> jax.Array:
    """E[X_1 - X_0 | X_t = x] of data from N(MEAN, STD²): linear in x."""
    t = t[:, None]
    variance = (1 - t) ** 2 + (t * STD) ** 2
    return MEAN + (t * STD**2 - (1 - t)) / variance * (x - t * MEAN)


def test_integrating_the_best_velocity_gives_the_data() -> None:
    noise = jax.random.normal(jax.random.key(0), (4000, 2))
    for shift in (1.0, 3.0):
        found = integrate(best, noise, shifted_times(200, shift))
        np.testing.assert_allclose(found.mean(0), MEAN + STD * noise.mean(0), atol=0.02)
        np.testing.assert_allclose(found.std(0), STD * noise.std(0), rtol=0.05)
        np.testing.assert_allclose(found, MEAN + STD * noise, atol=0.1)  # the map from noise to data is monotone


def test_the_best_velocity_has_the_least_loss() -> None:
    batch = {"image": MEAN + STD * jax.random.normal(jax.random.key(1), (4000, 2))}
    key, losses = jax.random.key(2), []
    for change in (0.0, -0.2, 0.2):
        loss, metrics = FlowMatching()(lambda x, t, c=change: best(x, t) + c, batch, key)
        losses.append(float(loss))
        assert metrics["loss"] == loss
    assert losses[0] < min(losses[1:])
    np.testing.assert_allclose(losses[1:], losses[0] + 0.04, atol=0.02)


def test_the_loss_is_its_formula_and_evaluation_draws_the_same() -> None:
    noise, data = jax.random.normal(jax.random.key(3), (2, 5, 4))
    t = jnp.linspace(0.1, 0.9, 5)
    found = squared_errors(lambda x, t: 2 * x, noise, data, t)
    for i in range(5):
        x = (1 - t[i]) * noise[i] + t[i] * data[i]
        np.testing.assert_allclose(found[i], ((2 * x - data[i] + noise[i]) ** 2).mean(), rtol=1e-5)
    losses = [FlowMatching()(lambda x, t: 2 * x, {"image": data}, None)[0] for _ in range(2)]
    assert losses[0] == losses[1]
    np.testing.assert_array_equal(between(noise, data, jnp.zeros(5)), noise)


def test_conditions_are_dropped_in_training_only() -> None:
    seen = []

    def model(x: jax.Array, t: jax.Array, label: jax.Array, drop: jax.Array) -> jax.Array:
        seen.append((label, drop))
        return x

    batch = {"image": jnp.zeros((1000, 2)), "label": jnp.arange(1000)}
    objective = FlowMatching(condition=("label",), drop=0.1)
    objective(model, batch, jax.random.key(0))
    objective(model, batch, None)
    assert 0.05 < seen[0][1].mean() < 0.15
    assert not seen[1][1].any()
    np.testing.assert_array_equal(seen[0][0], np.arange(1000))


def test_times_and_guidance() -> None:
    times = FlowMatching(logit_normal=(0.0, 1.0)).times(jax.random.key(0), 4000)
    assert float(jnp.median(times)) == pytest.approx(0.5, abs=0.02)
    assert float((times < 0.2689).mean()) == pytest.approx(0.1587, abs=0.02)  # sigmoid(-1): one deviation below
    u = np.linspace(1, 0, 11)
    np.testing.assert_allclose(shifted_times(10, 13.0), 1 - 13 * u / (1 + 12 * u), atol=1e-6)
    mixed = guided(lambda x, t: x, lambda x, t: 0 * x, 9.0)
    np.testing.assert_allclose(mixed(jnp.ones((1, 2)), jnp.zeros(1)), 9.0)
