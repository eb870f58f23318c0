"""The paired bootstrap against the normal approximation, and alike from both sides."""

import numpy as np
import pytest
from scipy.stats import norm

from stagejax.report.bootstrap import paired_bootstrap


def test_many_cases_give_the_normal_approximation() -> None:
    rng = np.random.default_rng(0)
    b = rng.standard_normal(400)
    a = b + 0.05 + 0.5 * rng.standard_normal(400)
    found, gaps = paired_bootstrap(a, b), a - b
    error = gaps.std() / 20
    assert found.difference == pytest.approx(gaps.mean())
    assert found.probability == pytest.approx(norm.cdf(gaps.mean() / error), abs=0.02)
    assert found.low == pytest.approx(gaps.mean() - 1.96 * error, abs=0.1 * error)
    assert found.high == pytest.approx(gaps.mean() + 1.96 * error, abs=0.1 * error)


def test_turned_round_it_is_the_complement_and_equal_methods_are_even() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 2, 30).astype(float), rng.integers(0, 2, 30).astype(float)
    one, other = paired_bootstrap(a, b), paired_bootstrap(b, a)
    assert one.probability == pytest.approx(1 - other.probability)
    assert paired_bootstrap(a, a).probability == 0.5
    assert np.isnan(paired_bootstrap(None, b).probability)
