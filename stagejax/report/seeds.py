"""Arms that are trained from several seeds: each against the baseline of its own seed, and means over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from stagejax.ledger import Number
from stagejax.report.curves import Arm


def by_seed(arms: Mapping[str, Mapping[int, Arm]], baseline: str) -> tuple[Arm, ...]:
    """The arms of a report, from those of every label and seed; the arms of a label share a colour.

    Args:
      baseline: label of what all are measured against; its first seed goes without saying.

    Raises:
      ValueError: the baseline lacks a seed that another label has.

    >>> arms = {"scratch": {0: Arm("", ()), 1: Arm("", ())}, "grown": {1: Arm("", ())}}
    >>> [(arm.name, arm.group, arm.against) for arm in by_seed(arms, "scratch")][1:]
    [('scratch, seed 1', 'scratch', 'scratch, seed 1'), ('grown, seed 1', 'grown', 'scratch, seed 1')]
    """
    first = next(iter(arms[baseline]))
    mark = {seed: "" if seed == first else f", seed {seed}" for seed in arms[baseline]}
    for label, own in arms.items():
        if own.keys() - mark.keys():
            raise ValueError(f"{label!r} has the seeds {list(own)}, but {baseline!r} only {list(mark)}")
    return tuple(
        replace(arm, name=label + mark[seed], group=label, against=baseline + mark[seed])
        for label, own in arms.items()
        for seed, arm in own.items()
    )


def mean(values: Sequence[Number] | np.ndarray) -> float:
    """The mean of what was measured; NaN of nothing, as in planning.

    >>> mean([1.0, 2.0]), mean([])
    (1.5, nan)
    """
    return float(np.mean(values)) if len(values) else float("nan")


def spread(values: ArrayLike) -> tuple[float, float | None]:
    """Mean and standard deviation (n - 1) over seeds; no deviation of a single value, or where one is not finite.

    >>> spread([1.0, 2.0, 3.0]), spread([2.0]), spread([2.0, -np.inf])
    ((2.0, 1.0), (2.0, None), (-inf, None))
    """
    own = np.asarray(values, float)
    several = len(own) > 1 and bool(np.isfinite(own).all())
    return float(own.mean()), float(own.std(ddof=1)) if several else None


def above_spread(values: ArrayLike) -> bool:
    """Whether the mean is above 0 by more than the deviation (n - 1) over seeds; never of one value, or of none.

    >>> above_spread([1.0, 2.0]), above_spread([-1.0, 2.0]), above_spread([2.0]), above_spread([np.nan, np.nan])
    (True, False, False, False)
    """
    own = np.asarray(values, float)
    return len(own) > 1 and bool(own.mean() > own.std(ddof=1))


def shown(values: ArrayLike, form: str = ".3f") -> str | None:
    """Mean ± standard deviation (n - 1) over seeds, the first axis, of each column; None where a value is missing.

    Args:
      values: (seeds,) or (seeds, columns), infinite where a seed never reached what is counted.

    >>> shown([1.0, 2.0, 3.0]), shown([[0.25, 0.5]], "+.1%"), shown([20.0, np.inf]), shown([np.nan])
    ('2.000 ± 1.000', '+25.0%, +50.0%', 'never on 1 of 2 seeds', None)
    """
    seeds = np.asarray(values, float)
    columns = seeds.reshape(len(seeds), -1).T
    return None if np.isnan(columns).any() else ", ".join(_shown(own, form) for own in columns)


def _shown(own: np.ndarray, form: str) -> str:
    middle, deviation = spread(own)
    if np.isinf(own).any():
        return f"never on {np.isinf(own).sum()} of {len(own)} seeds"
    return f"{middle:{form}}" + ("" if deviation is None else f" ± {deviation:{form.strip('+')}}")


def errors_apart(a: Sequence[Number], b: Sequence[Number]) -> float:
    """How far two means over seeds are apart, in standard errors of their difference; NaN of a single seed.

    >>> round(errors_apart([1.0, 2.0, 3.0], [2.0, 3.0, 4.0]), 3), errors_apart([1.0], [2.0])
    (1.225, nan)
    """
    if min(len(a), len(b)) < 2:
        return float("nan")
    error = float(np.sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b)))
    return abs(mean(a) - mean(b)) / max(error, 1e-12)
