"""Patterns and traces: least squares as found by others, suprema as found by looking, and no look ahead."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from stagejax.report.patterns import EXPONENTIAL, LOGARITHMIC, POWER, Pattern, Trends, fit
from stagejax.report.traces import Tolerance, anchored, layers, prediction_level, stopping_level, trace, working_level

X = np.arange(1.0, 31.0)


def curves(count: int, noise: float = 2e-3) -> np.ndarray:
    """Power laws with noise."""
    rng = np.random.default_rng(0)
    a, b, c = (rng.uniform(low, high, (count, 1)) for low, high in ((0.1, 0.4), (0.3, 1.0), (0.85, 0.97)))
    return c - a * X**-b + noise * rng.normal(size=(count, len(X)))


@pytest.mark.parametrize("anchors", [False, True])
def test_power_law_is_the_least_squares_fit_of_a_trust_region(anchors: bool) -> None:
    y = curves(5)
    held = np.full(5, 0.9)
    found = fit(POWER, X, y, held if anchors else None)
    for i, own in enumerate(y):

        def residuals(p: np.ndarray, own: np.ndarray = own) -> np.ndarray:
            off = p[2] - p[0] * X ** -p[1] - own
            return np.append(off, p[2] - 0.9) if anchors else off

        other = least_squares(residuals, (0.3, 0.5, 0.9), bounds=([0, 1e-2, 0], [10, 10, 10]), xtol=1e-14, ftol=1e-14)
        ours = residuals(np.array([found.a[i] * found.unit[i] ** found.b[i], found.b[i], found.c[i]]))
        assert (ours**2).sum() <= 2 * other.cost * (1 + 1e-8)
        assert float(found.c[i]) == pytest.approx(other.x[2], abs=1e-4)


@pytest.mark.parametrize("pattern", [EXPONENTIAL, LOGARITHMIC])
def test_other_patterns_are_found_again(pattern: Pattern) -> None:
    made = Trends(pattern, *map(np.asarray, (0.2, 3.0 if pattern.bounded else 1.0, 0.9, 30.0)))
    found = fit(pattern, X, made(X))
    np.testing.assert_allclose(found(100.0), made(100.0), atol=1e-6)


def test_a_curve_that_falls_is_fitted_by_a_constant() -> None:
    found = fit(POWER, X, 0.5 + X**-0.5)
    assert float(found.a) == 0
    assert float(found(1000.0)) == pytest.approx(np.mean(0.5 + X**-0.5))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(*[st.floats(0.05, 2.0)] * 2, st.floats(0.5, 1.0), st.floats(0.5, 50.0)), min_size=2, max_size=2)
)
def test_layers_are_suprema(laws: list[tuple[float, ...]]) -> None:
    trends = Trends(POWER, *np.array(laws).T)
    x = np.array([1.0, 7.0])
    at = np.append(np.geomspace(7.0, 1e12, 4000), np.inf)
    seen = np.abs(trends[..., 1](at) - trends[..., 0](at)).max()
    assert seen <= layers(x, trends)[1] + 1e-9
    assert layers(x, trends)[1] == pytest.approx(seen, rel=1e-3, abs=1e-9)


def test_trace_of_a_law_is_the_law_at_every_level() -> None:
    y = (0.95 - 0.3 * X**-0.6)[None]
    found = trace(POWER, X, y)
    np.testing.assert_allclose(found.c[0, 2:], 0.95, atol=1e-4)
    working = working_level(found, 0.01, 3)
    trusted = prediction_level(found, working)
    assert (working.tolist(), trusted.tolist()) == ([3], [3])
    assert stopping_level(found, X, 0.01, Tolerance(ahead=3)).tolist() == [6]
    np.testing.assert_allclose(anchored(POWER, X, y, found, trusted).c[0, 2:], 0.95, atol=1e-3)
    assert float(found[0, -1].reaches(0.9)) == pytest.approx(6 ** (1 / 0.6), rel=1e-2)


def test_an_asymptote_above_one_is_not_trusted() -> None:
    found = trace(POWER, X, (0.2 + 0.2 * np.log(X))[None])
    assert (found.c[:, 2:] > 1).all()
    assert prediction_level(found, np.array([1])).tolist() == [len(X) + 1]
    assert stopping_level(found, X, 1e6, Tolerance(1e6, 1)).tolist() == [len(X) + 1]


@pytest.mark.slow
def test_no_decision_looks_ahead() -> None:
    y, rules = curves(8), Tolerance(0.02, 3)
    stops = stopping_level(trace(POWER, X, y), X, 0.01, rules)
    assert (stops < len(X)).any()
    for i, stop in enumerate(stops):
        other = y[i : i + 1].copy()
        other[:, stop:] -= 0.2
        assert stopping_level(trace(POWER, X, other), X, 0.01, rules)[0] == stop or stop > len(X)
        said, changed = trace(POWER, X, y[i : i + 1]), trace(POWER, X, other)
        np.testing.assert_array_equal(said.c[:, : stop - 1], changed.c[:, : stop - 1])


def test_anchors_hold_the_asymptote() -> None:
    y = curves(20)
    plain = trace(POWER, X, y)
    trusted = prediction_level(plain, working_level(plain, 0.02, 3))
    held = anchored(POWER, X, y, plain, trusted)
    for i, level in enumerate(trusted):
        np.testing.assert_array_equal(held.c[i, 2:level], plain.c[i, 2:level])
        if level < len(X):
            assert np.abs(np.diff(held.c[i, level - 1 :])).max() <= np.abs(np.diff(plain.c[i, level - 1 :])).max()


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="three observations"):
        fit(POWER, X[:2], X[:2])
    with pytest.raises(ValueError, match="no asymptote"):
        fit(LOGARITHMIC, X, X, np.asarray(1.0))
    with pytest.raises(ValueError, match="power laws"):
        layers(X, trace(EXPONENTIAL, X, X / 100))
    with pytest.raises(ValueError, match="power laws are inverted"):
        fit(EXPONENTIAL, X, X / 100).reaches(0.1)
