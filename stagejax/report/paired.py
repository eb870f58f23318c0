"""Two methods on the same cases: the mean difference and how sure it is; and series of several methods as lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from stagejax.ledger import Number
from stagejax.report.figures import INK, PALETTE, Figure, svg_of
from stagejax.report.tables import Table


class Paired(NamedTuple):
    """How a differs from b."""

    difference: float  # mean of a - b
    error: float  # standard error of the mean
    t: float
    share: float  # of the mean of b
    below: float  # share of cases where a is less


def paired(a: np.ndarray | None, b: np.ndarray | None) -> Paired:
    """Mean of a - b over cases with its standard error; of the first cases only where one has fewer. NaN in a plan.

    >>> found = paired(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 4.0]))
    >>> [round(float(value), 3) for value in found]
    [-1.333, 0.333, -4.0, -0.4, 1.0]
    """
    if a is None or b is None:
        return Paired(*(float("nan"),) * 5)
    a, b = a[: len(b)], b[: len(a)]
    gap = a - b
    mean, error = float(gap.mean()), float(gap.std(ddof=1) / np.sqrt(len(gap)))
    return Paired(mean, error, mean / max(error, 1e-12), mean / float(b.mean()), float((gap < 0).mean()))


def interval(found: Paired, cases: int, level: float = 0.95) -> tuple[float, float]:
    """Where the mean difference lies by Student's t, the cases drawn independently.

    >>> tuple(round(end, 2) for end in interval(paired(np.array([2.0, 3.0, 4.0]), np.ones(3)), 3))
    (-0.48, 4.48)
    """
    from scipy.stats import t

    half = float(t.ppf((1 + level) / 2, cases - 1)) * found.error
    return found.difference - half, found.difference + half


def grouped_error(values: np.ndarray, groups: np.ndarray) -> float:
    """The standard error of a mean over rows that are independent from group to group alone, such as answers to one
    question; `groups` has a number or a row of numbers for each.

    Reference: the cluster-robust variance of Liang and Zeger, Biometrika 1986.

    >>> values = np.array([1.0, 1.0, 0.0, 0.0])
    >>> [round(grouped_error(values, np.array(groups)), 3) for groups in ([0, 1, 2, 3], [0, 0, 1, 1])]
    [0.289, 0.5]
    """
    own = np.unique(groups, axis=0, return_inverse=True)[1].reshape(-1)
    sums = np.bincount(own, values - values.mean())
    return float(np.sqrt(len(sums) / max(1, len(sums) - 1) * (sums**2).sum()) / len(values))


def paired_table(
    name: str, versus: Mapping[tuple[str, ...], Paired], columns: tuple[str, ...] = ("against",), cases: str = "cases"
) -> Table:
    """How the method `name` differs from others on the same `cases`; `columns` says what the keys of `versus` are.

    >>> table = paired_table("a", {("b",): paired(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 4.0]))})
    >>> table.cells()
    [['b', '-1', '0', '-4.0', '-40.00%', '100%']]
    """
    shown = ("difference", "standard error", "t", "gap", f"{name} less on")
    formats = (*("" for _ in columns), ",.0f", ",.0f", ".1f", ".2%", ".0%")
    rows = tuple((*key, *found) for key, found in versus.items())
    return Table(f"{name} less another method, on the same {cases}", (*columns, *shown), rows, formats)


def lines(
    title: str,
    series: Mapping[str, np.ndarray],
    *,
    xlabel: str,
    ylabel: str,
    at: Sequence[Number] | None = None,
    mark: float | None = None,
    caption: str = "",
) -> Figure:
    """One line a method over `at`, or 1, 2, ... without; a dotted vertical line at `mark`.

    >>> lines("Volumes", {"a": np.arange(3.0)}, xlabel="stage", ylabel="hm3").svg[:4]
    '<svg'
    """

    def paint(canvas: Any) -> None:
        axes = canvas.add_axes((0.09, 0.14, 0.65, 0.82))
        for (name, values), color in zip(series.items(), PALETTE, strict=False):
            axes.plot(
                np.arange(1, len(values) + 1) if at is None else at, values, color=color, label=name, linewidth=1.7
            )
        if mark is not None:
            axes.axvline(mark, color=INK, alpha=0.45, linewidth=0.9, linestyle="dotted")
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)

    return Figure(title, svg_of(paint, (9.0, 3.8), f"{ylabel} over {xlabel}", salt=title), caption)
