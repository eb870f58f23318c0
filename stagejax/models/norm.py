"""Layer and root-mean-square normalisation."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from stagejax import axes

NormKind = Literal["layer", "rms"]


class Norm(nnx.Module):
    """`gain * (x - mean) / sqrt(var + eps) + shift` ("layer"), or `gain * x / sqrt(mean(x^2) + eps)` ("rms").

    Statistics are over the last axis, in at least float32; the result has the dtype of `x`.

    Args:
      axis, size: name and length of the normalised axis.
      bias: whether "layer" has a shift ("rms" never has).
      tied: the output is read by a tied head (see `stagejax.axes.Axes`).

    References: Ba et al. 2016, https://arxiv.org/abs/1607.06450; Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467.

    >>> Norm("rms", "embed", 2, eps=0.0)(jnp.array([3.0, -3.0]))
    Array([ 1., -1.], dtype=float32)
    """

    def __init__(
        self,
        kind: NormKind,
        axis: str,
        size: int,
        *,
        eps: float,
        bias: bool = True,
        tied: bool = False,
    ) -> None:
        self.kind = kind
        self.eps = eps
        self.gain = axes.param(jnp.ones(size), gain=(axis,), tied=tied)
        self.shift = axes.param(jnp.zeros(size), shift=(axis,), tied=tied) if bias and kind == "layer" else None

    def __call__(self, x: Float[Array, "... size"]) -> Float[Array, "... size"]:
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        if self.kind == "layer":
            wide = wide - wide.mean(-1, keepdims=True)
        wide = wide * jax.lax.rsqrt(jnp.mean(wide * wide, -1, keepdims=True) + self.eps)
        y = wide.astype(x.dtype) * self.gain[...]
        return y if self.shift is None else y + self.shift[...]
