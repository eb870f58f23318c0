"""Final values by arm as dots, one panel a task: for more arms than curves can show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from stagejax.ledger import Number
from stagejax.report.figures import INK, PALETTE, svg_of

Values = Mapping[str, Sequence[Number]]  # one a seed, by arm


def draw_dots(panels: Mapping[str, Values], *, baseline: str, xlabel: str) -> str:
    """An SVG element: a row for each arm, a dot for each seed, a bar at their mean, a dotted line at the baseline's.

    Args:
      panels: by title. The rows of all are those of the first, sorted there by their mean; an arm that a panel lacks
        has no dot in it.
      baseline: the arm drawn in ink.
      xlabel: what the values are.

    >>> draw_dots({"text": {"scratch": [3.0, 3.1], "FPI": [2.9]}}, baseline="scratch", xlabel="loss")[:4]
    '<svg'
    """
    first = next(iter(panels.values()))
    known = {label: None for values in panels.values() for label in values}
    order = sorted(known, key=lambda label: _mean(first.get(label, ())))

    def paint(canvas: Any) -> None:
        grids = canvas.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (title, values) in zip(grids, panels.items(), strict=True):
            for row, label in enumerate(order):
                own = [value for value in values.get(label, ()) if not math.isnan(value)]
                color = INK if label == baseline else PALETTE[0]
                axes.plot(own, [row] * len(own), marker="o", markersize=4, linestyle="none", color=color, alpha=0.55)
                if own:
                    axes.plot([_mean(own)], [row], marker="|", markersize=14, markeredgewidth=2, color=color)
            if values.get(baseline):
                axes.axvline(_mean(values[baseline]), color=INK, alpha=0.45, linewidth=0.9, linestyle=(0, (1, 2)))
            axes.set_title(title, fontsize=10, loc="left")
            axes.set_xlabel(xlabel)
            axes.grid(color=INK, alpha=0.12, linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
        grids[0].set_yticks(range(len(order)), order)
        grids[0].set_ylim(len(order) - 0.5, -0.5)
        canvas.subplots_adjust(left=0.24, right=0.98, bottom=0.5 / height + 0.02, top=1 - 0.35 / height, wspace=0.08)

    height = 1.2 + 0.26 * len(order)
    return svg_of(paint, (9.0, height), f"{xlabel} by arm: {', '.join(panels)}", salt=xlabel)


def _mean(values: Sequence[Number]) -> float:
    """The mean of the values that are numbers; infinity if none is."""
    own = [value for value in values if not math.isnan(value)]
    return sum(own) / len(own) if own else math.inf
