"""How far a measure still moves from evaluation to evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike


def evaluated(result: Any, what: str) -> Float[np.ndarray, " n"]:
    """A measure at all evaluations of a stage, in order; empty in a plan."""
    return np.array([row[what] for row in result.history.evals], float)


def variance(values: ArrayLike, degree: int = 0) -> float:
    """The variance of values one after the other about their mean or, of degree 1, about a line through them.

    The sum of squares is divided by n - 1 - degree; NaN of too few values.

    >>> variance([1.0, 2.0, 3.0]), variance([1.0, 2.0, 3.0], degree=1) < 1e-12, variance([1.0])
    (1.0, True, nan)
    """
    own = np.asarray(values, float)
    if len(own) < degree + 2:
        return float("nan")
    at = np.arange(len(own))
    return float(((own - np.polyval(np.polyfit(at, own, degree), at)) ** 2).sum() / (len(own) - 1 - degree))
