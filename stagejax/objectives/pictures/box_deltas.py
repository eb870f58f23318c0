"""Boxes as deltas from other boxes: what a detector's regression says.

A box is (top, left, bottom, right), in pixels or in shares of the image.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

#: The largest logarithm of a ratio of sides, so that no box is more than about 62 times its anchor.
_LARGEST = 4.135


def deltas(boxes: Float[Array, "*#n 4"], around: Float[Array, "*#n 4"]) -> Float[Array, "*#n 4"]:
    """Boxes seen from others: shifts of the centre in units of those sides, and logarithms of the ratios of sides.

    Reference: Girshick et al. 2014, https://arxiv.org/abs/1311.2524, appendix C.

    >>> box, anchor = jnp.array([0.0, 0.5, 1.0, 0.9]), jnp.array([0.0, 0.4, 1.0, 0.6])
    >>> deltas(box, anchor).round(3)
    Array([0.   , 1.   , 0.   , 0.693], dtype=float32)
    """
    (centre, side), (own, unit) = _centred(boxes), _centred(around)
    return jnp.concatenate([(centre - own) / unit, jnp.log(side / unit)], -1)


def moved(around: Float[Array, "*#n 4"], by: Float[Array, "*#n 4"]) -> Float[Array, "*#n 4"]:
    """The boxes whose `deltas` from others are `by`, clipped to the image.

    >>> box, anchor = jnp.array([0.0, 0.5, 1.0, 0.9]), jnp.array([0.0, 0.4, 1.0, 0.6])
    >>> bool(jnp.allclose(moved(anchor, deltas(box, anchor)), box))
    True
    """
    own, unit = _centred(around)
    centre, side = own + by[..., :2] * unit, unit * jnp.exp(jnp.minimum(by[..., 2:], _LARGEST))
    return jnp.clip(jnp.concatenate([centre - side / 2, centre + side / 2], -1), 0, 1)


def _centred(boxes: Float[Array, "*n 4"]) -> tuple[Float[Array, "*n 2"], Float[Array, "*n 2"]]:
    """Centres and sides; no side is 0."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2, jnp.maximum(boxes[..., 2:] - boxes[..., :2], 1e-6)
