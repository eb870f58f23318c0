"""The distance of features, and the loss of a denoiser."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.objectives.pictures.features import cosine, feature_distance, feature_matching

Y = jax.random.normal(jax.random.key(0), (5, 7))


def test_the_distance_is_squared_error_and_one_minus_cosine() -> None:
    other = jax.random.normal(jax.random.key(1), (5, 7))
    a, b = np.asarray(Y, np.float64), np.asarray(other, np.float64)
    cosines = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert float(feature_distance(Y, other)) == pytest.approx(((a - b) ** 2).mean() + 1 - cosines.mean(), rel=1e-5)
    assert float(feature_distance(Y, Y)) == pytest.approx(0.0, abs=1e-6)


def test_zero_features_have_a_finite_gradient() -> None:
    found = jax.grad(lambda x: feature_distance(x, Y))(jnp.zeros_like(Y))
    assert np.isfinite(found).all()
    assert float(cosine(jnp.zeros(3), jnp.ones(3))) == 0.0


def test_matching_reads_the_named_fields() -> None:
    batch = {"raw": Y, "mean": 2 * Y, "clean": -Y}
    loss, metrics = feature_matching(lambda x, key: 2 * x, batch, None, targets="mean")
    assert float(loss) == pytest.approx(0.0, abs=1e-6)
    assert float(metrics["cosine"]) == pytest.approx(1.0, abs=1e-6)
    assert float(feature_matching(lambda x, key: x, batch, None)[1]["cosine"]) == pytest.approx(-1.0, abs=1e-6)
