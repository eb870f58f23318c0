"""Rotary position embeddings, half-split layout."""

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int


def rotary_angles(
    positions_BT: Int[Array, "B T"], head_dim: int, *, theta: float = 10000.0, dtype: DTypeLike = jnp.float32
) -> Float[Array, "B T half"]:
    """The angle of each pair of dimensions at each position: `position * theta^(-2 i / head_dim)`, in radians.

    Computed in at least float32. Pair i is the dimensions (i, i + head_dim / 2).

    >>> rotary_angles(jnp.array([[0, 1]]), 4)[0, 1]
    Array([1.  , 0.01], dtype=float32)
    """
    wide = jnp.promote_types(dtype, jnp.float32)
    frequencies = theta ** (-jnp.arange(head_dim // 2, dtype=wide) * (2 / head_dim))
    return positions_BT.astype(wide)[..., None] * frequencies


def rotate(x_BTNH: Float[Array, "B T *heads H"], angles_BTh: Float[Array, "#B T half"]) -> Float[Array, "B T *heads H"]:
    """Rotate each pair of dimensions of every head by its angle: the product of two such vectors depends only on the
    difference of their positions.

    Reference: Su et al. 2021, https://arxiv.org/abs/2104.09864, equation 34.

    >>> x = jnp.ones((1, 1, 1, 2))
    >>> rotate(x, jnp.full((1, 1, 1), jnp.pi / 2)).round(3)
    Array([[[[-1.,  1.]]]], dtype=float32)
    """
    heads = x_BTNH.ndim - 3
    angles = angles_BTh.reshape(*angles_BTh.shape[:2], *(1,) * heads, angles_BTh.shape[-1])
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    first, second = jnp.split(x_BTNH.astype(angles.dtype), 2, axis=-1)
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], -1).astype(x_BTNH.dtype)
