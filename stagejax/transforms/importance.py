"""How much an entry of a kernel matters on some data, and the entries that matter most.

A kernel is a matrix (..., inputs, outputs) that its inputs are multiplied with, y = x W; a row in the sense of the
papers, whose weights are (outputs x inputs), holds all inputs of one output. Letters: I inputs, O outputs.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Within = Literal["row", "tensor"]


def squared_norms(x: Float[Array, "*stack B T I"], counted_BT: Bool[Array, "B T"]) -> Float[Array, "*stack I"]:
    """The squared norm of each feature over the counted tokens of a sequence, as a mean over the B sequences.

    Norms of parts of equal size average to those of the whole, so they may be taken batch by batch.

    >>> x = jnp.array([[[1.0, 2.0], [3.0, 0.0], [9.0, 9.0]]])
    >>> squared_norms(x, jnp.array([[True, True, False]]))
    Array([10.,  4.], dtype=float32)
    """
    own = jnp.where(counted_BT[..., None], jnp.square(x.astype(jnp.float32)), 0)
    return own.sum((-3, -2)) / x.shape[-3]


def wanda(weight: Float[Array, "*stack I O"], squares: Float[Array, "*stack I"]) -> Float[Array, "*stack I O"]:
    """h = |W_io| · sqrt(squared norm of what input i has held).

    Reference: Sun et al. 2023, https://arxiv.org/abs/2306.11695, equation 1.

    >>> wanda(jnp.array([[2.0, -1.0], [1.0, 3.0]]), jnp.array([4.0, 1.0])).tolist()
    [[4.0, 2.0], [1.0, 3.0]]
    """
    return jnp.abs(weight) * jnp.sqrt(squares)[..., None]


def largest(scores: Float[Array, "*stack I O"], share: float, within: Within = "row") -> Bool[Array, "*stack I O"]:
    """Where the entries of largest score are: the first ceil(share n) of the n that are ranked together.

    Args:
      scores: of the entries; of equals the first come first.
      share: from 0 to 1.
      within: rank the inputs of each output ("row"), or all entries of a matrix ("tensor").

    Raises:
      ValueError: a share out of range.

    >>> scores = jnp.array([[4.0, 2.0], [1.0, 3.0], [5.0, 0.0]])
    >>> largest(scores, 0.3).tolist()
    [[False, False], [False, True], [True, False]]
    >>> largest(scores, 0.3, within="tensor").tolist()
    [[True, False], [False, False], [True, False]]
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share={share} of the entries: choose 0 <= share <= 1")
    ranked = scores if within == "row" else scores.reshape(*scores.shape[:-2], -1, 1)
    order = jnp.argsort(-ranked, axis=-2, stable=True)
    place = jnp.argsort(order, axis=-2, stable=True)
    return (place < math.ceil(share * ranked.shape[-2] - 1e-9)).reshape(scores.shape)


def without(params: Any, masks: Any) -> Any:
    """W <- (1 - m) W: the parameters with zeros where a mask holds. `masks` has a part of their nested names.

    >>> params = {"a": jnp.ones(2), "b": {"c": jnp.ones(2), "d": jnp.ones(1)}}
    >>> found = without(params, {"b": {"c": jnp.array([True, False])}})
    >>> found["a"].tolist(), found["b"]["c"].tolist(), found["b"]["d"].tolist()
    ([1.0, 1.0], [0.0, 1.0], [1.0])
    """
    if not isinstance(params, dict):
        return jnp.where(masks, 0, params)
    return {name: without(own, masks[name]) if name in masks else own for name, own in params.items()}
