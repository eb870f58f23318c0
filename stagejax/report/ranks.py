"""Several methods on several cases, by their ranks: which is best, and whether chance would do as well."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Ranked(NamedTuple):
    """Mean ranks, 1 the best, and the p-value of Friedman's test that all methods are alike."""

    means: Float[np.ndarray, " methods"]
    p: float


def mean_ranks(scores: Float[np.ndarray, "cases methods"]) -> Ranked:
    """The mean rank of each method over cases, of which a higher score is better; equal ones share their ranks.

    The statistic is 12 n / (k (k + 1)) · Σ (R_j - (k + 1) / 2)², corrected for ties, for n cases and k methods; p is
    that of a chi-square with k - 1 degrees of freedom. NaN in a plan; p is 1 where all scores of every case are equal.

    Raises:
      ValueError: fewer than three methods.

    Reference: Friedman 1937; Demšar, Statistical comparisons of classifiers over multiple data sets, JMLR 2006.

    >>> found = mean_ranks(np.array([[0.9, 0.5, 0.1], [0.8, 0.6, 0.2], [0.7, 0.3, 0.1], [0.9, 0.4, 0.4]]))
    >>> found.means.tolist(), round(found.p, 3)
    ([1.0, 2.125, 2.875], 0.022)
    """
    from scipy.stats import friedmanchisquare, rankdata

    if scores.shape[1] < 3:
        raise ValueError(f"{scores.shape[1]} methods: Friedman's test is of three or more")
    if not len(scores) or np.isnan(scores).any():
        return Ranked(np.full(scores.shape[1], np.nan), float("nan"))
    means = rankdata(-scores, axis=1).mean(0)
    if len(scores) < 2 or (np.ptp(scores, axis=1) == 0).all():
        return Ranked(means, 1.0)
    return Ranked(means, float(friedmanchisquare(*scores.T).pvalue))
