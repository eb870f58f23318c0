"""Regions of a feature map: anchors, and RoI alignment.

A box is (top, left, bottom, right) in shares of the image.

Letters: Y and X rows and columns of a map, C channels, A anchors, R boxes, h and w bins of a box.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32


def anchors(
    cells: tuple[int, int], image: tuple[int, int], shapes: Sequence[tuple[int, int]]
) -> Float32[np.ndarray, "A 4"]:
    """Boxes of every shape around the centre of every cell, cell by cell, clipped to the image.

    Args:
      cells: rows and columns of the map.
      image: height and width in pixels.
      shapes: height and width in pixels.

    Reference: Ren et al. 2015, https://arxiv.org/abs/1506.01497, section 3.1.1.

    >>> anchors((1, 2), (8, 16), [(8, 4)]).tolist()
    [[0.0, 0.125, 1.0, 0.375], [0.0, 0.625, 1.0, 0.875]]
    """
    rows, columns = ((np.arange(count) + 0.5) / count for count in cells)
    centres = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 1, 2)
    half = np.array(shapes, np.float64) / np.array(image) / 2
    boxes = np.concatenate([centres - half, centres + half], -1).reshape(-1, 4)
    return np.clip(boxes, 0, 1).astype(np.float32)


def roi_align(
    map_YXC: Float[Array, "Y X C"], boxes_R4: Float[Array, "R 4"], bins: tuple[int, int], samples: int = 2
) -> Float[Array, "R h w C"]:
    """The features of boxes in h x w bins: each the mean of `samples`² points of it, interpolated between cells.

    The value of a cell is at its centre. Points are interpolated along rows and along columns independently, so the
    mean over the points of a bin is a product of two weightings.

    Reference: He et al. 2017 (Mask R-CNN), https://arxiv.org/abs/1703.06870, section 3.

    >>> ramp = jnp.arange(4.0)[None, :, None]
    >>> roi_align(ramp, jnp.array([[0.0, 0.0, 1.0, 1.0], [0.0, 0.25, 1.0, 0.75]]), (1, 2))[:, 0, :, 0]
    Array([[0.5, 2.5],
           [1. , 2. ]], dtype=float32)
    """
    Y, X, _ = map_YXC.shape
    rows_RhY = _weights(boxes_R4[:, 0], boxes_R4[:, 2], bins[0], Y, samples)
    columns_RwX = _weights(boxes_R4[:, 1], boxes_R4[:, 3], bins[1], X, samples)
    return jnp.einsum("rhy,rwyc->rhwc", rows_RhY, jnp.einsum("rwx,yxc->rwyc", columns_RwX, map_YXC))


def _weights(
    first_R: Float[Array, " R"], last_R: Float[Array, " R"], bins: int, size: int, samples: int
) -> Float[Array, "R n size"]:
    """How much every cell of a side counts in every bin of a box."""
    at = (jnp.arange(bins * samples) + 0.5) / (bins * samples)
    points = size * (first_R[:, None] + (last_R - first_R)[:, None] * at) - 0.5
    points = jnp.clip(points, 0, size - 1)
    weights = jnp.maximum(1 - jnp.abs(points[..., None] - jnp.arange(size)), 0)
    return weights.reshape(len(first_R), bins, samples, size).mean(2)
