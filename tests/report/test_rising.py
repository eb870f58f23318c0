"""Rising laws are found again from noisy points, told from each other, and refuse what they cannot fit."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from stagejax.report.rising import fit_rising

SIZES = np.array([30.0, 60, 100, 200, 400, 1000, 3000])


@settings(max_examples=10, deadline=None)
@given(st.floats(0.01, 0.1), st.floats(0.1, 0.5))
def test_a_power_is_found_again_and_does_not_saturate(scale: float, exponent: float) -> None:
    values = scale * SIZES**exponent
    law = fit_rising(SIZES, values, most=10.0)
    np.testing.assert_allclose([law.scale, law.exponent, law.r2], [scale, exponent, 1.0], rtol=1e-6)
    assert not law.saturates


@settings(max_examples=10, deadline=None)
@given(st.floats(0.4, 0.9), st.floats(0.3, 1.2), st.floats(0.5, 0.9))
def test_what_saturates_is_found_again(limit: float, beta: float, share: float) -> None:
    drop = share * limit * 30**beta
    law = fit_rising(SIZES, limit - drop * SIZES**-beta)
    np.testing.assert_allclose([law.limit, law.drop, law.beta], [limit, drop, beta], rtol=1e-3)
    assert law.saturates


def test_criteria_are_those_of_a_reference_fit() -> None:
    from scipy.optimize import curve_fit

    values = np.array([0.05, 0.11, 0.16, 0.3, 0.41, 0.55, 0.62])
    law = fit_rising(SIZES, values, most=10.0)
    (a, b), _ = curve_fit(lambda x, a, b: a * x**b, SIZES, values, p0=(0.02, 0.4))
    (p, c, e), _ = curve_fit(lambda x, p, c, e: p - c * x**-e, SIZES, values, p0=(0.8, 2.0, 0.4), maxfev=20_000)
    for found, curve, numbers in (
        (law.power_aic, a * SIZES**b, 3),
        (law.saturating_aic, p - c * SIZES**-e, 4),
    ):
        assert found == pytest.approx(7 * np.log(np.mean((values - curve) ** 2)) + 2 * numbers, abs=1e-3)
    x, y = np.log(SIZES), np.log(values)
    assert law.r2 == pytest.approx(np.corrcoef(x, y)[0, 1] ** 2)
    assert law.exponent == pytest.approx(np.polyfit(x, y, 1)[0])


def test_a_limit_is_no_more_than_what_can_be() -> None:
    assert fit_rising(SIZES, 0.1 * np.log(SIZES)).limit == 1.0
    assert fit_rising(SIZES, 0.1 * np.log(SIZES), most=3.0).limit > 1.0


def test_what_no_law_fits_is_refused() -> None:
    with pytest.raises(ValueError, match="four or more sizes"):
        fit_rising([30, 100, 300, 300], [0.1, 0.2, 0.3, 0.3])
    with pytest.raises(ValueError, match="all positive"):
        fit_rising(SIZES, [0.0, *[0.5] * 6])
