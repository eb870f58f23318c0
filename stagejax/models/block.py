"""One transformer block: attention and a feed-forward network, each with its norm and residual."""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from stagejax.models.attention import Attention, Implementation
from stagejax.models.cache import Cache
from stagejax.models.masks import Masks, masked
from stagejax.models.mlp import MLP, Activation
from stagejax.models.moe import Mixture, MoE, RouterStatistics
from stagejax.models.norm import Norm, NormKind

NormPosition = Literal["pre", "post"]
Key = PRNGKeyArray | Array


class Block(nnx.Module):
    """Pre-norm `x + f(norm(x))` or post-norm `norm(x + f(x))`, for f attention and then f the MLP.

    Dropout acts on what f adds to the residual stream, and only where a key is given. With a `mixture` the MLP is a
    mixture of experts.
    """

    def __init__(
        self,
        embed: int,
        kv_heads: int,
        q_per_kv: int,
        head_dim: int,
        mlp: int,
        *,
        norm: NormKind,
        norm_position: NormPosition,
        norm_eps: float,
        activation: Activation,
        bias: bool,
        dropout: float,
        std: float,
        std_out: float,
        rngs: nnx.Rngs,
        value_dim: int | None = None,
        qkv_bias: bool | None = None,
        mixture: Mixture | None = None,
        implementation: Implementation = "xla",
    ) -> None:
        self.norm_position = norm_position
        self.dropout = dropout
        self.attention_norm = Norm(norm, "embed", embed, eps=norm_eps, bias=bias)
        self.attention = Attention(
            embed,
            kv_heads,
            q_per_kv,
            head_dim,
            bias=bias,
            std=std,
            std_out=std_out,
            rngs=rngs,
            value_dim=value_dim,
            qkv_bias=qkv_bias,
            implementation=implementation,
        )
        self.mlp_norm = Norm(norm, "embed", embed, eps=norm_eps, bias=bias)
        options = {"activation": activation, "bias": bias, "std": std, "std_out": std_out, "rngs": rngs}
        self.mlp = MLP(embed, mlp, **options) if mixture is None else MoE(embed, mlp, mixture, **options)

    def __call__(self, x_BTE: Float[Array, "B T E"], key: Key | None = None, **context: Any) -> Float[Array, "B T E"]:
        """`context` goes to `Attention`: causal, prefix, mask, segments, angles_BTh; `masks` are on hidden vectors."""
        return self.routed(x_BTE, key, **context)[0]

    def routed(
        self, x_BTE: Float[Array, "B T E"], key: Key | None = None, masks: Masks | None = None, **context: Any
    ) -> tuple[Float[Array, "B T E"], RouterStatistics | None]:
        """The same, and what the router did if the MLP has one."""
        key_attention, key_mlp = (None, None) if key is None else jax.random.split(key)
        return self.fed(self.attended(x_BTE, key_attention, masks, **context), key_mlp, masks)

    def attended(
        self, x_BTE: Float[Array, "B T E"], key: Key | None = None, masks: Masks | None = None, **context: Any
    ) -> Float[Array, "B T E"]:
        """The first half of the block: attention."""
        embed = masks.get("embed") if masks else None
        y_BTE = self.attention(self._before(self.attention_norm, x_BTE, embed), masks=masks, **context)
        y_BTE = dropout(masked(y_BTE, masks, ("embed",)), self.dropout, key)
        return self._after(self.attention_norm, x_BTE, y_BTE, embed)

    def fed(
        self, x_BTE: Float[Array, "B T E"], key: Key | None = None, masks: Masks | None = None
    ) -> tuple[Float[Array, "B T E"], RouterStatistics | None]:
        """The second half: the feed-forward network, and what its router did if it has one."""
        embed = masks.get("embed") if masks else None
        y_BTE, statistics = self._mlp(self._before(self.mlp_norm, x_BTE, embed), masks)
        y_BTE = dropout(masked(y_BTE, masks, ("embed",)), self.dropout, key)
        return self._after(self.mlp_norm, x_BTE, y_BTE, embed), statistics

    def attention_weights(self, x_BTE: Float[Array, "B T E"], **context: Any) -> Float[Array, "B N T T"]:
        """`Attention.weights` of what the block reads: how its heads attend."""
        return self.attention.weights(self._before(self.attention_norm, x_BTE), **context)

    def step(
        self,
        x_BTE: Float[Array, "B T E"],
        cache: Cache,
        layer: int | Int[Array, ""],
        positions_BT: Int[Array, "B T"],
        angles_BTh: Float[Array, "B T half"] | None = None,
        prefix_BT: Bool[Array, "B T"] | None = None,
    ) -> tuple[Float[Array, "B T E"], Cache]:
        """The block on new tokens behind the cached ones."""
        x_BTE, cache = self.attended_step(x_BTE, cache, layer, positions_BT, angles_BTh, prefix_BT)
        return self.fed(x_BTE)[0], cache

    def attended_step(
        self,
        x_BTE: Float[Array, "B T E"],
        cache: Cache,
        layer: int | Int[Array, ""],
        positions_BT: Int[Array, "B T"],
        angles_BTh: Float[Array, "B T half"] | None = None,
        prefix_BT: Bool[Array, "B T"] | None = None,
    ) -> tuple[Float[Array, "B T E"], Cache]:
        """`attended` on new tokens behind the cached ones."""
        normed_BTE = self._before(self.attention_norm, x_BTE)
        y_BTE, cache = self.attention.step(normed_BTE, cache, layer, positions_BT, angles_BTh, prefix_BT)
        return self._after(self.attention_norm, x_BTE, y_BTE), cache

    def _mlp(self, x_BTE: Array, masks: Masks | None) -> tuple[Float[Array, "B T E"], RouterStatistics | None]:
        return self.mlp.routed(x_BTE, masks) if isinstance(self.mlp, MoE) else (self.mlp(x_BTE, masks), None)

    def _before(self, norm: Norm, x_BTE: Array, mask_E: Array | None = None) -> Float[Array, "B T E"]:
        return norm(x_BTE, mask_E) if self.norm_position == "pre" else x_BTE

    def _after(self, norm: Norm, x_BTE: Array, y_BTE: Array, mask_E: Array | None = None) -> Float[Array, "B T E"]:
        return x_BTE + y_BTE if self.norm_position == "pre" else norm(x_BTE + y_BTE, mask_E)


def dropout(x: Float[Array, "*shape"], rate: float, key: Key | None) -> Float[Array, "*shape"]:
    """Zero each number with probability `rate` and divide the others by `1 - rate`; without a key, `x` itself.

    Reference: Srivastava et al. 2014.

    >>> dropout(jnp.ones(3), 0.5, None)
    Array([1., 1., 1.], dtype=float32)
    """
    if key is None or rate == 0.0:
        return x
    return jnp.where(jax.random.bernoulli(key, 1.0 - rate, x.shape), x / (1.0 - rate), 0.0).astype(x.dtype)


def pre_norm_block(
    embed: int,
    heads: int,
    head_dim: int,
    mlp: int,
    *,
    std: float,
    rngs: nnx.Rngs,
    eps: float = 1e-5,
    activation: Activation = "gelu",
    dropout: float = 0.0,
    std_out: float | None = None,
) -> Block:
    """The `Block` of ViT and GPT-2: LayerNorm before attention and feed-forward network, GELU, biases everywhere.

    Weights are drawn with `std`, those that write to the stream with `std_out` where that is another.

    >>> block = pre_norm_block(8, 2, 4, 16, std=0.02, rngs=nnx.Rngs(0))
    >>> block(jnp.zeros((1, 3, 8))).shape
    (1, 3, 8)
    """
    std_out = std if std_out is None else std_out
    own: dict[str, Any] = {"norm": "layer", "norm_position": "pre", "norm_eps": eps, "activation": activation}
    return Block(embed, heads, 1, head_dim, mlp, bias=True, dropout=dropout, std=std, std_out=std_out, rngs=rngs, **own)
