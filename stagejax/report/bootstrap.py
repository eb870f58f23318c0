"""The paired bootstrap: how sure one method is better than another on the same cases."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Bootstrapped(NamedTuple):
    """How a differs from b."""

    difference: float  # mean of a - b over cases
    probability: float  # share of resamples in which the difference is above 0; half of those in which it is 0
    low: float  # of the middle 95 % of the resamples
    high: float


BLOCK = 1000  #: resamples that are in memory at once


def paired_bootstrap(
    a: Float[np.ndarray, " cases"] | None, b: Float[np.ndarray, " cases"] | None, draws: int = 10_000, seed: int = 0
) -> Bootstrapped:
    """Cases drawn with repetition, the same ones for both methods, `draws` times; NaN in a plan, where one is None.

    Raises:
      ValueError: fewer than two cases.

    Reference: Efron and Tibshirani, An introduction to the bootstrap, 1993; on paired systems Koehn, EMNLP 2004.

    >>> better = paired_bootstrap(np.array([1.0, 0.5, 1.0, 0.0]), np.array([0.5, 0.5, 0.5, 0.0]))
    >>> better.difference, round(better.probability, 1), better.low
    (0.25, 1.0, 0.0)
    """
    if a is None or b is None:
        return Bootstrapped(*(float("nan"),) * 4)
    from scipy import stats

    gaps, how = np.asarray(a, np.float64) - np.asarray(b, np.float64), {"method": "percentile", "batch": BLOCK}
    found = stats.bootstrap((gaps,), np.mean, n_resamples=draws, rng=np.random.default_rng(seed), **how)
    means, (low, high) = found.bootstrap_distribution, found.confidence_interval
    above = (means > 0).mean() + (means == 0).mean() / 2
    return Bootstrapped(float(gaps.mean()), float(above), float(low), float(high))
