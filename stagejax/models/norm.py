"""Layer and root-mean-square normalisation."""

from __future__ import annotations

import functools
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

    def __call__(
        self, x: Float[Array, "... size"], mask: Float[Array, " size"] | None = None
    ) -> Float[Array, "... size"]:
        """With a mask m, means are `sum(m x) / sum(m)` and the result is multiplied by m."""
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        mean = functools.partial(_mean, mask=None if mask is None else mask.astype(wide.dtype))
        if self.kind == "layer":
            wide = wide - mean(wide)
        wide = wide * jax.lax.rsqrt(mean(wide * wide) + self.eps)
        y = wide.astype(x.dtype) * self.gain[...]
        y = y if self.shift is None else y + self.shift[...]
        return y if mask is None else y * mask.astype(y.dtype)


def _mean(x: Float[Array, "... size"], mask: Float[Array, " size"] | None) -> Float[Array, "... 1"]:
    """The mean over the last axis, weighted by a mask."""
    return x.mean(-1, keepdims=True) if mask is None else (mask * x).sum(-1, keepdims=True) / mask.sum()
