"""Adafactor's second moments across a growth: means of squared gradients over rows and over columns.

Adafactor keeps, of the squares of a parameter's gradients, their means over its largest dimension (`v_row`) and over
the second largest (`v_col`), which stand for v ≈ v_row v_colᵀ / mean(v_row). Growth moves that v by the squared dual
map and takes the means anew, over the dimensions that are largest in the grown model. Where v has rank one, that is
exact.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.growth.apply import LeafRule, grow_group

Triple = tuple[Any, Any, Any]  # v_row, v_col, v; what a parameter does not keep has the shape (1,)


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def grow_factored(
    triple: Triple, others: tuple[Any, ...], rule: LeafRule, before: tuple[int, ...], factored: bool
) -> Triple:
    """(v_row, v_col, v) of one grown parameter.

    Args:
      triple: of the old parameter.
      others: v of the other sources of the rule, if any.
      rule: the growth of v.
      before: the shape of the old parameter.
      factored: whether the optimizer keeps means of the grown parameter.
    """
    (v,) = grow_group(((whole(*triple, before), *others),), (rule,))
    nothing = jnp.zeros(1, v.dtype)
    if not factored:
        return nothing, nothing, v
    second, largest = largest_dims(v.shape)
    return v.mean(largest), v.mean(second), nothing


def whole(row: jax.Array, col: jax.Array, v: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """v itself, or what its row and column means stand for.

    >>> v = jnp.outer(jnp.array([1.0, 2.0]), jnp.array([3.0, 4.0, 5.0]))
    >>> bool(jnp.allclose(whole(v.mean(1), v.mean(0), jnp.zeros(1), (2, 3)), v))
    True
    """
    if v.shape == shape:
        return v
    second, largest = largest_dims(shape)
    mean = row.mean(second - (second > largest), keepdims=True)
    share = jnp.where(mean > 0, row / jnp.where(mean > 0, mean, 1), 0)
    return jnp.expand_dims(share, largest) * jnp.expand_dims(col, second)


def largest_dims(shape: tuple[int, ...]) -> tuple[int, int]:
    """The second largest dimension and the largest, as `optax.scale_by_factored_rms` chooses them.

    >>> largest_dims((4, 9, 2))
    (0, 1)
    """
    order = np.argsort(shape)
    return int(order[-2]), int(order[-1])
