"""Pictures in a report: rows of small images under titles of their columns, inline like the curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stagejax.report.figures import PALETTE, Figure, svg_of


def pictures(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[np.ndarray]],
    caption: str = "",
    names: Sequence[str] = (),
) -> Figure:
    """A grid of images, one column a kind.

    Args:
      columns: a title each.
      rows: images (Y, X, 3) or (Y, X), uint8 or from 0 to 1; grey ones from black to white.
      names: of the rows.

    >>> pictures("Scenes", ("image",), [[np.zeros((4, 4, 3))]]).svg[:4]
    '<svg'
    """
    known = [image for row in rows for image in row]
    height, width = known[0].shape[:2]
    left = 1.2 if names else 0.0
    side = (9.0 - left) / len(columns)
    tall = 0.3 + len(rows) * side * height / width

    def paint(canvas: Any) -> None:
        grid = canvas.subplots(len(rows), len(columns), squeeze=False)
        for i, row in enumerate(rows):
            for j, image in enumerate(row):
                shown = image if image.dtype == np.uint8 else np.round(255 * np.clip(image, 0, 1)).astype(np.uint8)
                grid[i, j].imshow(shown, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="auto")
                grid[i, j].set_axis_off()
                if i == 0:
                    grid[i, j].set_title(columns[j], fontsize=9)
            if names:
                grid[i, 0].text(
                    -0.05, 0.5, names[i], transform=grid[i, 0].transAxes, ha="right", va="center", fontsize=9
                )
        canvas.subplots_adjust(left / 9, 0, 1, 1 - 0.3 / tall, wspace=0.03, hspace=0.03)

    return Figure(title, svg_of(paint, (9.0, tall), f"{title}: {', '.join(columns)}", salt=title), caption)


def in_colour(labels: np.ndarray) -> np.ndarray:
    """Classes of pixels as colours (..., 3), uint8; what is no class (negative) is black. Later classes are darker.

    >>> in_colour(np.array([[0, -1]])).tolist()
    [[[68, 119, 170], [0, 0, 0]]]
    """
    base = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in PALETTE])
    table = np.concatenate([base * share // 100 for share in (100, 60, 35)]).astype(np.uint8)
    return np.where(labels[..., None] < 0, np.uint8(0), table[np.maximum(labels, 0) % len(table)])


def tiled(images: np.ndarray, across: int) -> np.ndarray:
    """Images (n, Y, X, ...) as one, `across` of them side by side; what is missing in the last row is black.

    >>> tiled(np.ones((3, 2, 2)), 2).shape
    (4, 4)
    """
    down = -(-len(images) // across)
    full = np.concatenate([images, np.zeros((down * across - len(images), *images.shape[1:]), images.dtype)])
    rows = full.reshape(down, across, *images.shape[1:]).swapaxes(1, 2)
    return rows.reshape(down * images.shape[1], across * images.shape[2], *images.shape[3:])
