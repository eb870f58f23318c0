"""Mean ranks and Friedman's test."""

from __future__ import annotations

import numpy as np
import pytest

from stagejax.report.ranks import mean_ranks


def test_ties_share_their_ranks_and_the_test_is_that_of_the_formula() -> None:
    scores = np.array([[3.0, 2.0, 1.0], [3.0, 1.0, 2.0], [2.0, 3.0, 1.0], [9.0, 8.0, 7.0]])
    found = mean_ranks(scores)
    np.testing.assert_allclose(found.means, [1.25, 2.0, 2.75])
    cases, methods = scores.shape
    statistic = 12 * cases / (methods * (methods + 1)) * ((found.means - 2) ** 2).sum()
    assert found.p == pytest.approx(np.exp(-statistic / 2))  # a chi-square with two degrees of freedom
    np.testing.assert_allclose(mean_ranks(np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]])).means, [1.5, 1.5, 3.0])


def test_nothing_is_told_apart_by_equal_scores_by_one_case_or_in_a_plan() -> None:
    assert mean_ranks(np.ones((4, 3))).p == 1
    assert mean_ranks(np.array([[1.0, 2.0, 3.0]])).p == 1
    assert np.isnan(mean_ranks(np.full((2, 3), np.nan)).means).all()
    assert np.isnan(mean_ranks(np.zeros((0, 3))).p)


def test_two_methods_are_refused() -> None:
    with pytest.raises(ValueError, match="three or more"):
        mean_ranks(np.ones((4, 2)))
