"""Power laws are found again, from noisy points and past spikes, and told from what they cannot fit."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from stagejax.report.fits import PowerLaw, departure, extrapolate, fit_power_law

X = np.geomspace(20, 2000, 24)


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(st.floats(0.2, 3.0), st.floats(1.0, 20.0), st.floats(0.25, 0.9))
def test_a_law_is_found_again(floor: float, scale: float, exponent: float) -> None:
    law = PowerLaw(floor, scale, exponent)
    found = fit_power_law(X, law(X))
    np.testing.assert_allclose([found.floor, found.exponent], [floor, exponent], rtol=0.02)
    np.testing.assert_allclose(found(20_000), law(20_000), rtol=0.01)
    assert found.error < 1e-4


def test_a_spike_does_not_bend_it() -> None:
    law = PowerLaw(1.0, 5.0, 0.5)
    losses = law(X)
    losses[10] *= 1.5
    assert fit_power_law(X, losses)(20_000) == pytest.approx(law(20_000), rel=0.01)


@pytest.mark.slow
def test_the_range_of_an_extrapolation_covers_the_truth() -> None:
    law = PowerLaw(1.0, 5.0, 0.5)
    losses = law(X) * np.exp(0.003 * np.random.RandomState(0).normal(size=len(X)))
    middle, low, high = extrapolate(X, losses, to=10_000, repeats=40)
    assert low <= middle <= high
    assert low - 0.01 <= law(10_000) <= high + 0.01
    assert high - low < 0.1


def test_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match="four or more points"):
        fit_power_law(X[:3], X[:3])


def test_a_departure_is_found_where_it_begins_and_only_upwards() -> None:
    law = 3 * X**-0.4 * np.exp(0.01 * np.random.RandomState(0).normal(size=len(X)))
    assert departure(X, law) == np.inf
    bent = law * np.where(X[14] < X, 1.2, 1.0)
    assert departure(X, bent) == pytest.approx(X[15])
    assert departure(X, law / np.where(X[14] < X, 1.2, 1.0)) == np.inf
    spike = law.copy()
    spike[16:18] *= 2  # two in a row are not yet a departure
    assert departure(X, spike) == np.inf


def test_a_departure_needs_points_to_fit() -> None:
    with pytest.raises(ValueError, match="evaluate more often"):
        departure([1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0])


def test_a_flat_curve_reaches_nothing_lower() -> None:
    flat = PowerLaw(0.1, 0.5, 1e-4)
    assert flat.reaches(0.3) == float("inf")  # beyond what a float holds
    assert PowerLaw(2.0, 3.0, 0.5).reaches(3.0) == pytest.approx(9.0)
