"""Points in the plane by the group that they are of, such as embeddings in two dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from stagejax.report.figures import PALETTE, svg_of


def draw_groups(points: Mapping[str, Float[np.ndarray, "n 2"]]) -> str:
    """An SVG element: the points of each group in a colour of its own, without axes, as distances alone mean something.

    >>> draw_groups({"code": np.zeros((3, 2)), "math": np.ones((3, 2))})[:4]
    '<svg'
    """

    def paint(canvas: Any) -> None:
        axes = canvas.subplots()
        for place, (name, own) in enumerate(points.items()):
            axes.scatter(own[:, 0], own[:, 1], s=9, color=PALETTE[place % len(PALETTE)], label=name, linewidths=0)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
        canvas.subplots_adjust(left=0.02, right=0.8, bottom=0.02, top=0.98)

    return svg_of(paint, (6.0, 4.0), f"Points of {', '.join(points)}", salt=" ".join(points))
