"""Rows that were timed in turn, as ratios and as a table: only what stood in the same window is compared."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stagejax.report.reaching import steps_until
from stagejax.report.tables import Table


def ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """The median over windows of one's seconds over the other's in the same window.

    >>> ratio([2.0, 6.0, 9.0], [1.0, 2.0, 3.0])
    3.0
    """
    return float(np.median(np.array(one) / np.array(other)))


def step_table(
    title: str,
    timed: Mapping[str, Mapping[str, Any]],
    evals: Mapping[str, Sequence[Mapping[str, Any]]],
    against: Mapping[str, str],
    *,
    tokens: int,
    peak: float,
    note: str = "",
) -> Table:
    """Training options beside each other, of stages of as many tokens.

    Args:
      timed: by row, "seconds" of a step in each window, "flops" of a step, bytes of "params", "moments", "temporary".
      evals: by row, the evaluations of its stage in order.
      against: by row, the one it is measured against.
      tokens: of a step.
      peak: FLOPs a second, of which the utilisation is a share.

    >>> own = {"seconds": [0.5], "flops": 10, "params": 4, "moments": 8, "temporary": 16}
    >>> step_table("a", {"x": own}, {"x": [{"step": 1, "loss": 0.0}]}, {"x": "x"}, tokens=3, peak=40.0).rows
    (('x', 1.0, 6.0, 1.0, 0.5, 4, 8, 16, 0.5),)
    """

    def row(label: str) -> tuple[Any, ...]:
        own, base = timed[label], against[label]
        second, goal = statistics.median(own["seconds"]), evals[base][-1]["loss"]
        steps = steps_until(evals[label], lambda each: each["loss"] <= goal)
        return (
            label, math.exp(evals[label][-1]["loss"]), tokens / second, ratio(own["seconds"], timed[base]["seconds"]),
            own["flops"] / second / peak, own["params"], own["moments"], own["temporary"],
            None if steps is None else steps * second,
        )  # fmt: skip

    columns = ("row", "perplexity", "tokens/s", "time of a step", "utilisation", "parameters", "moments", "activations",
               "time to the first row's perplexity")  # fmt: skip
    return Table(
        title, columns, tuple(map(row, timed)), ("", ".1f", "si", ".2f", ".1%", "si", "si", "si", "time"), note
    )
