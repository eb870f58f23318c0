"""Flow matching on Gaussians, where the best velocity is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.objectives.flow import (
    FlowMatching,
    FlowPreference,
    between,
    guided,
    integrate,
    shifted_times,
    squared_errors,
)

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


def preferring(scale, reference=0.5, pairs=None, key=0, **options):
    """The loss of a velocity that is `scale` times x."""
    model, other = (lambda x, t, s=s: s * x for s in (scale, reference))
    return FlowPreference(**options)(model, pairs or PAIRS, jax.random.key(key), other)


PAIRS = dict(zip(("chosen", "rejected"), jax.random.normal(jax.random.key(4), (2, 64, 3)), strict=True))


def test_equal_models_prefer_nothing() -> None:
    for shared in (True, False):
        loss, metrics = preferring(0.5, shared=shared)
        assert float(loss) == pytest.approx(np.log(2), rel=1e-6)
        assert metrics["margin"] == 0.0


def test_preference_is_its_formula() -> None:
    loss, metrics = preferring(0.2, beta=3.0, key=5)
    keys = jax.random.split(jax.random.key(5), 3)
    noise, t = jax.random.normal(keys[0], (64, 3)), jax.random.uniform(keys[2], (64,))
    gains = {}
    for side, data in PAIRS.items():
        own, other = (squared_errors(lambda x, t, s=s: s * x, noise, data, t) for s in (0.2, 0.5))
        gains[side] = other - own
    margin = 3.0 * (gains["chosen"] - gains["rejected"])
    np.testing.assert_allclose(loss, np.log1p(np.exp(-np.asarray(margin))).mean(), rtol=1e-4)
    np.testing.assert_allclose(metrics["chosen_gain"], gains["chosen"].mean(), rtol=1e-4)
    with pytest.raises(ValueError, match="positive"):
        FlowPreference(beta=0.0)


def test_a_step_down_lowers_the_error_of_what_was_chosen() -> None:
    """A model with a free output for each side: the gradient lowers one error and raises the other."""
    pairs = {"chosen": jnp.full((1, 2), 3.0), "rejected": jnp.full((1, 2), -3.0)}

    def of(values):
        return lambda x, t: jnp.repeat(values, len(x) // 2)[:, None] + 0 * x

    def errors(values):
        noise, t = jax.random.normal(jax.random.key(1), (1, 2)), jnp.array([0.5])
        sides = zip(values, pairs.values(), strict=True)
        return [float(squared_errors(lambda x, t, v=v: v + 0 * x, noise, data, t)[0]) for v, data in sides]

    start = jnp.array([0.1, 0.1])
    loss = lambda values: FlowPreference(beta=1.0)(of(values), pairs, jax.random.key(0), of(start))[0]  # noqa: E731
    after = start - 0.01 * jax.grad(loss)(start)
    assert loss(after) < loss(start)
    assert errors(after)[0] < errors(start)[0]
    assert errors(after)[1] > errors(start)[1]


def test_shared_noise_cancels_for_equal_samples() -> None:
    equal = {"chosen": PAIRS["chosen"], "rejected": PAIRS["chosen"]}
    losses = {
        shared: [float(preferring(0.1, pairs=equal, key=k, shared=shared)[0]) for k in range(6)]
        for shared in (True, False)
    }
    np.testing.assert_allclose(losses[True], np.log(2), rtol=1e-6)
    assert np.std(losses[False]) > 0.01
    assert not np.allclose(losses[False], np.log(2), rtol=1e-3)


@pytest.mark.slow
def test_frames_that_are_not_there_are_no_part_of_the_mean() -> None:
    data = jax.random.normal(jax.random.key(0), (3, 4, 2, 2))
    key, seen = jax.random.key(1), []

    def model(x, t, frames):
        seen.append(frames)
        return x

    def loss(data, frames):
        return FlowMatching("video", frames="frames")(model, {"video": data, "frames": jnp.array(frames)}, key)[0]

    whole = FlowMatching("video")(lambda x, t: x, {"video": data}, key)[0]
    np.testing.assert_allclose(loss(data, [4, 4, 4]), whole, rtol=1e-6)
    filled = data.at[1, 1:].set(100.0)
    np.testing.assert_allclose(loss(filled, [4, 1, 4]), loss(data, [4, 1, 4]), rtol=1e-6)
    assert loss(data, [4, 1, 4]) != whole
    np.testing.assert_array_equal(seen[-1], [4, 1, 4])
