"""How far a measure still moves from evaluation to evaluation, and when it is low enough."""

from __future__ import annotations

from collections.abc import Mapping
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


def first_below(result: Any, bounds: Mapping[str, float]) -> float:
    """The number, from 0, of the first evaluation of a stage at which all these measures are below their bounds.

    Infinite if there is none: a rule by which training would have stopped there, and did not.

    >>> from types import SimpleNamespace
    >>> rows = [{"loss": 3.0, "score": 0.0}, {"loss": 1.0, "score": 2.0}, {"loss": 1.0, "score": 0.0}]
    >>> result = SimpleNamespace(history=SimpleNamespace(evals=rows))
    >>> first_below(result, {"loss": 2.0}), first_below(result, {"loss": 2.0, "score": 1.0})
    (1.0, 2.0)
    """
    below = [evaluated(result, name) < bound for name, bound in bounds.items()]
    numbers = np.flatnonzero(np.all(below, axis=0))
    return float(numbers[0]) if len(numbers) else float("inf")
