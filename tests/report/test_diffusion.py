"""Fits of distances: each law is found in its own data, and told from the other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.report.diffusion import fit_logarithm, fit_power, spaced

TIMES = spaced(10, 2000, 30)


@settings(deadline=None, max_examples=25)
@given(st.floats(0.1, 5), st.floats(0.1, 3), st.integers(0, 100))
def test_a_logarithm_is_told_from_a_power(a: float, b: float, seed: int) -> None:
    d = a + b * np.log(TIMES)
    noisy = d + 1e-3 * b * np.random.RandomState(seed).randn(len(d))
    fit = fit_logarithm(TIMES, noisy)
    assert (fit.first, fit.second) == pytest.approx((a, b), rel=0.02, abs=0.02)
    assert fit.aic < fit_power(TIMES, noisy).aic


@settings(deadline=None, max_examples=25)
@given(st.floats(0.1, 5), st.floats(0.2, 1.2), st.integers(0, 100))
def test_a_power_is_told_from_a_logarithm(a: float, c: float, seed: int) -> None:
    d = a * TIMES**c * (1 + 1e-3 * np.random.RandomState(seed).randn(len(TIMES)))
    fit = fit_power(TIMES, d)
    assert (fit.first, fit.second) == pytest.approx((a, c), rel=0.02)
    assert fit.aic < fit_logarithm(TIMES, d).aic


def test_least_squares_of_the_logarithm_by_hand() -> None:
    d = np.random.RandomState(0).rand(len(TIMES)) + 1
    b, a = np.polyfit(np.log(TIMES), d, 1)
    fit = fit_logarithm(TIMES, d)
    assert (fit.first, fit.second) == pytest.approx((a, b))
    rest = np.sum((a + b * np.log(TIMES) - d) ** 2)
    assert fit.aic == pytest.approx(len(d) * np.log(rest / len(d)) + 6)
    assert fit.r2 == pytest.approx(1 - rest / np.sum((d - d.mean()) ** 2))


def test_the_power_is_the_best_of_a_grid() -> None:
    d = 1 + np.sqrt(TIMES) + np.random.RandomState(1).rand(len(TIMES))
    fit = fit_power(TIMES, d)

    def rest(c: float) -> float:
        power = TIMES**c
        return float(np.sum((power @ d / (power @ power) * power - d) ** 2))

    assert rest(fit.second) <= min(rest(c) for c in np.linspace(0.01, 2, 2000)) * (1 + 1e-9)


def test_times_are_spaced_in_their_logarithm() -> None:
    assert spaced(1, 8, 30).tolist() == list(range(1, 9))
    assert (TIMES[0], TIMES[-1]) == (10, 2000)
    assert np.all(np.diff(TIMES) > 0)


def test_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match="four or more points"):
        fit_power([1, 2, 3], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="all positive"):
        fit_logarithm([0, 1, 2, 3], [1.0, 2.0, 3.0, 4.0])
