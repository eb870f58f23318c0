"""From the stream to logits: BERT's transform, a tied or an own kernel, a bias."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from stagejax import axes
from stagejax.models.linear import Dense, Table
from stagejax.models.norm import Norm, NormKind


class Head(nnx.Module):
    """`[norm(gelu(dense(x)))] . (token table or kernel) [+ bias]`.

    The transform (dense, GELU, norm) goes from `embed` to `embed_out`, an axis that grows as `embed` does. Its norm is
    the one that growth divides where the head is tied.

    Args:
      tied: the logits are products with the token table, which is handed in at the call.
      transform: whether the transform comes first.
    """

    def __init__(
        self,
        embed: int,
        vocab: int,
        *,
        tied: bool,
        transform: bool,
        bias: bool,
        norm: NormKind,
        norm_eps: float,
        use_bias: bool,
        std: float,
        rngs: nnx.Rngs,
    ) -> None:
        own = {"embed": embed}, {"embed_out": embed}
        self.dense = Dense(*own, std=std, bias=use_bias, rngs=rngs) if transform else None
        self.norm = Norm(norm, "embed_out", embed, eps=norm_eps, bias=use_bias, tied=tied) if transform else None
        reads = {"embed_out" if transform else "embed": embed}
        self.output = None if tied else Dense(reads, {"vocab": vocab}, std=std, bias=False, rngs=rngs)
        self.bias = axes.param(jnp.zeros(vocab), writes=("vocab",)) if bias else None

    def __call__(
        self, x_BTE: Float[Array, "B T E"], tokens: Table, mask_E: Float[Array, " E"] | None = None
    ) -> Float[Array, "B T V"]:
        """`mask_E` masks the transform: `x_BTE` is masked already."""
        if self.dense is not None and self.norm is not None:
            x_BTE = self.norm(jax.nn.gelu(self.dense(x_BTE), approximate=False), mask_E)
        logits_BTV = tokens.transposed(x_BTE) if self.output is None else self.output(x_BTE)
        return logits_BTV if self.bias is None else logits_BTV + self.bias[...]
