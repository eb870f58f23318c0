"""A matrix as coloured cells with their numbers, such as how much each source counts for each target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stagejax.report.figures import INK, Figure, svg_of


def heat_map(
    title: str, rows: Sequence[str], columns: Sequence[str], values: np.ndarray, caption: str = "", digits: int = 2
) -> Figure:
    """Cells from blue (below 0) over white to red (above), each with its number.

    Args:
      rows, columns: their names.
      values: (rows, columns).

    Raises:
      ValueError: `values` has another shape.

    >>> heat_map("Scales", ("a",), ("x", "y"), np.array([[1.0, -0.5]])).svg[:4]
    '<svg'
    """
    if values.shape != (len(rows), len(columns)):
        raise ValueError(f"values of shape {values.shape} for {len(rows)} rows and {len(columns)} columns")
    most = max(float(np.abs(values).max()), 1e-12)
    height = 0.7 + 0.36 * len(rows)

    def paint(canvas: Any) -> None:
        axes = canvas.add_axes((0.14, 0.4 / height, 0.84, 1 - 0.5 / height))
        axes.pcolormesh(values, cmap="coolwarm", vmin=-most, vmax=most, edgecolors="white", linewidth=1)
        for (i, j), value in np.ndenumerate(values):
            ink = "white" if abs(value) > 0.7 * most else "black"
            axes.text(j + 0.5, i + 0.5, f"{value:.{digits}f}", ha="center", va="center", fontsize=9, color=ink)
        axes.set_xticks(np.arange(len(columns)) + 0.5, columns)
        axes.set_yticks(np.arange(len(rows)) + 0.5, rows)
        axes.invert_yaxis()
        axes.tick_params(length=0, colors=INK)
        axes.spines[:].set_visible(False)

    return Figure(title, svg_of(paint, (9.0, height), f"{title}: {len(rows)} by {len(columns)}", salt=title), caption)
