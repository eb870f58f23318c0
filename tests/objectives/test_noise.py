"""Multiplicative noise: the mean gradient stays, its covariance is that of a smaller batch; evaluation has none."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.objectives import classification
from stagejax.objectives.noise import noisy_classification

RNG = np.random.RandomState(0)
LARGE, SMALL, ROWS, FEATURES = 64, 8, 4096, 3
X = jnp.asarray(RNG.randn(ROWS, FEATURES), jnp.float32)
Y = jnp.asarray(RNG.randint(0, 4, ROWS), jnp.int32)  # no class can be told: gradients have hardly any mean


def gradients(objective: Any, size: int, count: int) -> np.ndarray:
    """Gradients on random batches, at a linear model that knows nothing."""

    def one(key: jax.Array) -> jax.Array:
        own, drawn = jax.random.split(key)
        rows = jax.random.randint(drawn, (size,), 0, ROWS)
        batch = {"image": X[rows], "label": Y[rows]}
        loss = lambda w: objective(lambda image, key: image @ w, batch, own)[0]  # noqa: E731
        return jax.grad(loss)(jnp.zeros((FEATURES, 4))).ravel()

    return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(1), count)))


def noisy(model: Any, batch: Any, key: Any) -> Any:
    return noisy_classification(model, batch, key, variance=LARGE / SMALL - 1)


@pytest.mark.slow
def test_a_large_batch_has_the_covariance_of_a_small_one() -> None:
    small, large, ours = (
        gradients(objective, size, 20_000)
        for objective, size in ((classification, SMALL), (classification, LARGE), (noisy, LARGE))
    )
    traces = [np.trace(np.cov(found.T)) for found in (small, large, ours)]
    assert abs(traces[2] / traces[0] - 1) < 0.05
    assert abs(traces[0] / traces[1] / (LARGE / SMALL) - 1) < 0.05
    np.testing.assert_allclose(ours.mean(0), large.mean(0), atol=4 * (traces[0] / 20_000) ** 0.5)


def test_metrics_and_evaluation_are_without_noise() -> None:
    batch, key = {"image": X[:32], "label": Y[:32]}, jax.random.key(0)
    model = lambda image, key: image @ jnp.ones((FEATURES, 4)) * jnp.arange(4.0)  # noqa: E731
    plain, noised = classification(model, batch, key), noisy(model, batch, key)
    assert float(noised[0]) != float(plain[0])
    for name in ("loss", "accuracy"):
        np.testing.assert_allclose(noised[1][name], plain[1][name])
    np.testing.assert_allclose(noisy(model, batch, None)[0], plain[0])
