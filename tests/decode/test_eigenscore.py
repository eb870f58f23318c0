"""EigenScore against eigenvalues; its estimate against the series that it is, and against the exact value."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import chebyshev

from stagejax.decode.eigenscore import (
    covariance,
    efficient_eigenscore,
    eigenscore,
    largest,
    log_coefficients,
    mean_log_eigenvalue,
)

SAMPLES = np.random.default_rng(0).normal(size=(20, 10, 64)).astype(np.float32)


def test_it_is_the_mean_log_eigenvalue_of_embeddings_centred_over_coordinates() -> None:
    z = SAMPLES[0].astype(np.float64)
    centre = np.eye(64) - np.ones((64, 64)) / 64
    sigma = z @ centre @ z.T
    np.testing.assert_allclose(covariance(jnp.array(SAMPLES[0])), sigma, atol=1e-3)
    wanted = np.log(np.linalg.eigvalsh(sigma + 1e-3 * np.eye(10))).mean()
    np.testing.assert_allclose(eigenscore(jnp.array(SAMPLES[0])), wanted, rtol=1e-4)


def test_answers_that_agree_have_a_lower_score() -> None:
    near = SAMPLES[0][:1] + 0.01 * SAMPLES[1]
    assert eigenscore(jnp.array(near)) < eigenscore(jnp.array(SAMPLES[0])) - 3
    assert efficient_eigenscore(jnp.array(near), jax.random.key(0)) < eigenscore(jnp.array(SAMPLES[0])) - 1


def test_coefficients_are_those_of_the_logarithm() -> None:
    nodes = (2 * np.arange(200_000) + 1) * np.pi / 400_000  # Chebyshev-Gauss quadrature
    values = np.log((np.cos(nodes) + 1) / 2)
    wanted = [(2 - (m == 0)) * (values * np.cos(m * nodes)).mean() for m in range(8)]
    np.testing.assert_allclose(log_coefficients(7), wanted, atol=1e-4)


def test_of_a_diagonal_matrix_it_is_the_cut_series_exactly() -> None:
    """Probes of ±1 give its trace without noise, so what is left is the series: nothing of the exact value is added."""
    values = np.array([0.001, 0.01, 0.3, 1.0, 2.5], np.float64)
    scale = float(largest(jnp.diag(jnp.array(values)), jnp.ones((5, 1))))
    for moments in (5, 20):
        found = mean_log_eigenvalue(jnp.diag(jnp.array(values)), jax.random.key(3), moments)
        series = np.log(scale) + chebyshev.chebval(2 * values / scale - 1, log_coefficients(moments)).mean()
        np.testing.assert_allclose(found, series, atol=2e-3)
    assert abs(float(found) - np.log(values).mean()) > 0.1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([2, 10, 40]), st.floats(-3.0, 1.0))
def test_the_scale_is_above_the_largest_eigenvalue_but_not_far(seed: int, size: int, power: float) -> None:
    z = np.random.default_rng(seed).normal(size=(size, 30)) * np.exp(power * np.arange(size) / size)[:, None]
    a = jnp.array(z @ z.T + 1e-3 * np.eye(size), jnp.float32)
    probes = jax.random.rademacher(jax.random.key(seed), (size, 20), jnp.float32)
    ratio = float(jax.jit(largest)(a, probes)) / float(np.linalg.eigvalsh(np.asarray(a, np.float64))[-1])
    assert 0.9999 < ratio < 1.1001


def test_the_estimate_follows_the_exact_score_of_random_answers() -> None:
    scales = jnp.linspace(0.2, 2.0, 20)[:, None, None]
    z = jnp.array(SAMPLES) * scales
    exact = jax.vmap(eigenscore)(z)
    keys = jax.random.split(jax.random.key(0), 20)
    for moments in (20, 100):
        found = jax.vmap(lambda z, key, m=moments: efficient_eigenscore(z, key, moments=m))(z, keys)
        assert np.corrcoef(exact, found)[0, 1] > 0.99
        assert jnp.abs(found - exact).max() < 0.5
