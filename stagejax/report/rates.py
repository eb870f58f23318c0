"""Rows that were timed in turn, as ratios and as a table: only what stood in the same window is compared."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stagejax.report.tables import Table


def ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """The median over windows of one's seconds over the other's in the same window.

    >>> ratio([2.0, 6.0, 9.0], [1.0, 2.0, 3.0])
    3.0
    """
    return float(np.median(np.array(one) / np.array(other)))


def seconds_to(evals: Sequence[Mapping[str, Any]], goal: float, step: float) -> float | None:
    """Seconds until the loss of an evaluation is at the goal or below, at so many seconds a step; None if never.

    >>> seconds_to([{"step": 10, "loss": 3.0}, {"step": 20, "loss": 2.0}], goal=2.5, step=0.5)
    10.0
    """
    return next((float(row["step"] * step) for row in evals if row["loss"] <= goal), None)


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
    rows = []
    for label, own in timed.items():
        second, base = statistics.median(own["seconds"]), against[label]
        rows.append((
            label, math.exp(evals[label][-1]["loss"]), tokens / second, ratio(own["seconds"], timed[base]["seconds"]),
            own["flops"] / second / peak, own["params"], own["moments"], own["temporary"],
            seconds_to(evals[label], evals[base][-1]["loss"], second),
        ))  # fmt: skip
    columns = ("row", "perplexity", "tokens/s", "time of a step", "utilisation", "parameters", "moments", "activations",
               "time to the first row's perplexity")  # fmt: skip
    return Table(title, columns, tuple(rows), ("", ".1f", "si", ".2f", ".1%", "si", "si", "si", "time"), note)
