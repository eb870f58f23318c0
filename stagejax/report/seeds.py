"""Arms that are trained from several seeds: each against the baseline of its own seed, and means over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

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


def mean(values: Sequence[Number]) -> float:
    """The mean of what was measured; NaN of nothing, as in planning.

    >>> mean([1.0, 2.0]), mean([])
    (1.5, nan)
    """
    return float(np.mean(values)) if len(values) else float("nan")


def spread(values: Sequence[Number]) -> tuple[float, float | None]:
    """Mean and standard deviation (n - 1) over seeds; no deviation of a single value, or where one is not finite.

    >>> spread([1.0, 2.0, 3.0]), spread([2.0]), spread([2.0, -np.inf])
    ((2.0, 1.0), (2.0, None), (-inf, None))
    """
    several = len(values) > 1 and bool(np.isfinite(values).all())
    return float(np.mean(values)), float(np.std(values, ddof=1)) if several else None


def errors_apart(a: Sequence[Number], b: Sequence[Number]) -> float:
    """How far two means over seeds are apart, in standard errors of their difference; NaN of a single seed.

    >>> round(errors_apart([1.0, 2.0, 3.0], [2.0, 3.0, 4.0]), 3), errors_apart([1.0], [2.0])
    (1.225, nan)
    """
    if min(len(a), len(b)) < 2:
        return float("nan")
    error = float(np.sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b)))
    return abs(mean(a) - mean(b)) / max(error, 1e-12)
