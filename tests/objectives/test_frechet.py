"""The Fréchet distance: closed forms of Gaussians, singular covariances, and invariances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.objectives.pictures.frechet import frechet_distance, gaussian_distance, moments

RNG = np.random.default_rng(0)


def random_covariance(size: int, rank: int) -> np.ndarray:
    factor = RNG.normal(size=(size, rank))
    return factor @ factor.T


def rotation(size: int) -> np.ndarray:
    return np.linalg.qr(RNG.normal(size=(size, size)))[0]


def test_of_commuting_covariances_it_is_the_distance_of_standard_deviations() -> None:
    basis, a, b = rotation(4), np.array([4.0, 1.0, 0.25, 0.0]), np.array([1.0, 9.0, 0.0, 0.0])
    covariances = [(basis * values) @ basis.T for values in (a, b)]
    shift = np.array([1.0, -2.0, 0.0, 0.5])
    found = gaussian_distance(np.zeros(4), covariances[0], shift, covariances[1])
    assert found == pytest.approx(shift @ shift + np.sum((np.sqrt(a) - np.sqrt(b)) ** 2), abs=1e-6)


def test_of_two_by_two_covariances_the_trace_of_the_root_is_known() -> None:
    """tr √M = √(tr M + 2 √det M) for a 2 x 2 matrix with positive eigenvalues."""
    a, b = random_covariance(2, 2), random_covariance(2, 2)
    product = a @ b
    root = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    found = gaussian_distance(np.zeros(2), a, np.zeros(2), b)
    assert found == pytest.approx(np.trace(a) + np.trace(b) - 2 * root)


def test_it_is_that_of_scipy_where_scipy_can() -> None:
    linalg = pytest.importorskip("scipy.linalg")
    a, b = random_covariance(6, 6), random_covariance(6, 6)
    root = linalg.sqrtm(a @ b).real
    found = gaussian_distance(np.zeros(6), a, np.ones(6), b)
    assert found == pytest.approx(6 + np.trace(a) + np.trace(b) - 2 * np.trace(root), rel=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(0, 5), st.integers(0, 5))
def test_it_is_symmetric_turns_with_the_basis_and_is_zero_between_equals(size: int, one: int, other: int) -> None:
    a, b, turn = random_covariance(size, one), random_covariance(size, other), rotation(size)
    zero, shift = np.zeros(size), RNG.normal(size=size)
    forth, back = gaussian_distance(zero, a, shift, b), gaussian_distance(shift, b, zero, a)
    turned = gaussian_distance(zero, turn @ a @ turn.T, turn @ shift, turn @ b @ turn.T)
    assert forth == pytest.approx(back, abs=1e-6)
    assert forth == pytest.approx(turned, abs=1e-6)
    assert gaussian_distance(shift, a, shift, a) == pytest.approx(0.0, abs=1e-6)


def test_fewer_rows_than_features_are_no_trouble() -> None:
    features = RNG.normal(size=(5, 20)).astype(np.float32)
    assert frechet_distance(features, features) == pytest.approx(0.0, abs=1e-5)
    assert frechet_distance(features, features + 2) == pytest.approx(80.0, rel=1e-4)


def test_what_is_no_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 rows"):
        moments(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="not finite"):
        frechet_distance(np.full((3, 2), np.nan), np.zeros((3, 2)))
