"""Attention with named axes, around `jax.nn.dot_product_attention`.

Letters: B batch, T queries, S keys, E embed, K key/value heads, G query heads per key/value head, H head size (of
queries and keys), V value size.
"""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from stagejax.models.cache import Cache
from stagejax.models.linear import Dense
from stagejax.models.masks import Masks, masked
from stagejax.models.rotary import rotate

Implementation = Literal["xla", "cudnn"]


def attend(
    query_BTKGH: Float[Array, "B T K G H"],
    key_BSKH: Float[Array, "B S K H"],
    value_BSKV: Float[Array, "B S K V"],
    *,
    causal: bool = False,
    prefix: Bool[Array, "B S"] | None = None,
    mask: Bool[Array, "B S"] | Bool[Array, "#B T S"] | None = None,
    segments: Int[Array, "B T"] | None = None,
    lengths_B: Int[Array, " B"] | None = None,
    bias_KGTS: Float[Array, "*#B K G T S"] | None = None,
    scale: float | None = None,
    implementation: Implementation = "xla",
) -> Float[Array, "B T K G V"]:
    """`softmax(scale q k^T + bias) v` over the keys a query may see; the softmax is taken in at least float32.

    The one place in stagejax that computes attention. Query heads are grouped by the key/value head they share: G = 1
    is multi-head attention, K = 1 multi-query. All given restrictions hold together.

    Args:
      causal: query t sees keys 0..t (queries and keys start at the same position).
      prefix: True at keys that a causal query sees wherever it stands: with inputs as prefix, these see each other in
        both directions, and what follows them is causal (prefix LM).
      mask: True where a key may be seen: per key (padding), or per query and key (anything).
      segments: tokens see only tokens of the same segment (packed sequences; T = S).
      lengths_B: only the first so many keys exist.
      bias_KGTS: added to the scores, such as relative positions; of all rows, or (B, K, G, T, S) of each.
      scale: of the products; None: 1 / sqrt(H).
      implementation: "xla" anywhere, "cudnn" (flash attention) on NVIDIA GPUs in half precision.

    References: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; Ainslie et al. 2023 (grouped queries),
    https://arxiv.org/abs/2305.13245; Raffel et al. 2020 (prefix LM), https://arxiv.org/abs/1910.10683, section 3.2.1.

    >>> q, k = jnp.ones((1, 2, 1, 1, 4)), jnp.ones((1, 2, 1, 4))
    >>> v = jnp.arange(8.0).reshape(1, 2, 1, 4)
    >>> attend(q, k, v, causal=True)[0, :, 0, 0, 0]
    Array([0., 2.], dtype=float32)
    """
    B, T, K, G, H = query_BTKGH.shape
    V = value_BSKV.shape[-1]
    visible = None
    if mask is not None:
        visible = mask[:, None, None, :] if mask.ndim == 2 else mask[:, None]
    if segments is not None:
        same = (segments[:, :, None] == segments[:, None, :])[:, None]
        visible = same if visible is None else visible & same
    if causal and prefix is not None:
        seen = (jnp.tril(jnp.ones((T, key_BSKH.shape[1]), bool)) | prefix[:, None, :])[:, None]
        causal, visible = False, seen if visible is None else visible & seen
    scale = H**-0.5 if scale is None else scale
    if query_BTKGH.dtype == jnp.float64:
        return _attend_float64(query_BTKGH, key_BSKH, value_BSKV, causal, visible, lengths_B, bias_KGTS, scale)
    query_BTNH = query_BTKGH.reshape(B, T, K * G, H)
    wide = max(H, V)  # `dot_product_attention` takes one size for keys and values
    y_BTNV = jax.nn.dot_product_attention(
        *(_padded(x, wide) for x in (query_BTNH, key_BSKH, value_BSKV)),
        bias=None if bias_KGTS is None else bias_KGTS.reshape(-1, K * G, T, key_BSKH.shape[1]),
        mask=visible,
        scale=scale,
        is_causal=causal,
        key_value_seq_lengths=None if lengths_B is None else lengths_B.astype(jnp.int32),
        implementation=implementation,
    )
    return y_BTNV[..., :V].reshape(B, T, K, G, V)


def _padded(x: Array, size: int) -> Array:
    """`x` with zeros behind its last axis, up to `size`."""
    return x if x.shape[-1] == size else jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, size - x.shape[-1])])


def _attend_float64(
    query_BTKGH: Array,
    key_BSKH: Array,
    value_BSKV: Array,
    causal: bool,
    visible: Array | None,
    lengths_B: Array | None,
    bias_KGTS: Array | None,
    scale: float,
) -> Array:
    """The same in float64, for checks of exactness: `jax.nn.dot_product_attention` takes every softmax in float32."""
    T, S = query_BTKGH.shape[1], key_BSKH.shape[1]
    seen = jnp.tril(jnp.ones((T, S), bool)) if causal else jnp.ones((T, S), bool)
    seen = seen if visible is None else seen & visible
    seen = seen if lengths_B is None else seen & (jnp.arange(S) < lengths_B[:, None, None, None])
    scores = scale * jnp.einsum("btkgh,bskh->bkgts", query_BTKGH, key_BSKH)
    scores = scores if bias_KGTS is None else scores + bias_KGTS
    least = jnp.finfo(scores.dtype).min / 2
    weights = jax.nn.softmax(jnp.where(seen if seen.ndim == 2 else seen[:, :, None], scores, least), axis=-1)
    return jnp.einsum("bkgts,bskv->btkgv", weights, value_BSKV)


class Attention(nnx.Module):
    """Self-attention: project, rotate, `attend`, project back.

    Kernels: query (embed, kv_heads, q_per_kv, head_dim), key (embed, kv_heads, head_dim), value (embed, kv_heads,
    value_dim), out (kv_heads, q_per_kv, value_dim, embed). `value_dim` is the head size unless given: an axis of its
    own, because values grow by another rule than the pairs of entries whose products are taken. `qkv_bias` says whether
    query, key and value have a bias, where that differs from `bias`.

    >>> attention = Attention(8, 2, 2, 4, bias=False, std=0.02, std_out=0.02, rngs=nnx.Rngs(0))
    >>> attention(jnp.ones((1, 3, 8)), causal=True).shape
    (1, 3, 8)
    """

    def __init__(
        self,
        embed: int,
        kv_heads: int,
        q_per_kv: int,
        head_dim: int,
        *,
        bias: bool,
        std: float,
        std_out: float,
        rngs: nnx.Rngs,
        value_dim: int | None = None,
        qkv_bias: bool | None = None,
        implementation: Implementation = "xla",
    ) -> None:
        self.implementation: Implementation = implementation
        inner = bias if qkv_bias is None else qkv_bias
        reads, keys, values = {"embed": embed}, {"head_dim": head_dim}, {"value_dim": value_dim or head_dim}
        kv, heads = {"kv_heads": kv_heads}, {"kv_heads": kv_heads, "q_per_kv": q_per_kv}
        self.query = Dense(reads, heads | keys, std=std, bias=inner, rngs=rngs)
        self.key = Dense(reads, kv | keys, std=std, bias=inner, rngs=rngs)
        self.value = Dense(reads, kv | values, std=std, bias=inner, rngs=rngs)
        self.out = Dense(heads | values, reads, std=std_out, bias=bias, rngs=rngs)

    def project(
        self, x_BTE: Float[Array, "B T E"], angles_BTh: Float[Array, "#B T half"] | None = None
    ) -> tuple[Float[Array, "B T K G H"], Float[Array, "B T K H"], Float[Array, "B T K V"]]:
        """Queries, keys and values; the first two rotated where `angles_BTh` is given."""
        query, key, value = self.query(x_BTE), self.key(x_BTE), self.value(x_BTE)
        if angles_BTh is None:
            return query, key, value
        return rotate(query, angles_BTh), rotate(key, angles_BTh), value

    def __call__(
        self,
        x_BTE: Float[Array, "B T E"],
        *,
        causal: bool = False,
        prefix: Bool[Array, "B T"] | None = None,
        mask: Bool[Array, "B T"] | Bool[Array, "#B T T"] | None = None,
        segments: Int[Array, "B T"] | None = None,
        angles_BTh: Float[Array, "#B T half"] | None = None,
        masks: Masks | None = None,
    ) -> Float[Array, "B T E"]:
        """Masks over `kv_heads`, `q_per_kv` and `value_dim` multiply what the heads give."""
        query, key, value = self.project(x_BTE, angles_BTh)
        seen = {"causal": causal, "prefix": prefix, "mask": mask, "segments": segments}
        y_BTKGV = attend(query, key, value, implementation=self.implementation, **seen)
        return self.out(masked(y_BTKGV, masks, ("kv_heads", "q_per_kv", "value_dim")))

    def weights(
        self,
        x_BTE: Float[Array, "B T E"],
        *,
        causal: bool = False,
        mask: Bool[Array, "B T"] | None = None,
        angles_BTh: Float[Array, "#B T half"] | None = None,
    ) -> Float[Array, "B N T T"]:
        """The distribution over keys of every head's every query, in float32; exactly 0 where a key is not seen."""
        query, key, _ = self.project(x_BTE, angles_BTh)
        T, scale = x_BTE.shape[1], query.shape[-1] ** -0.5
        scores_BKGTS = scale * jnp.einsum("btkgh,bskh->bkgts", query, key).astype(jnp.float32)
        seen = jnp.tril(jnp.ones((T, T), bool)) if causal else jnp.ones((T, T), bool)
        seen = seen if mask is None else seen & mask[:, None, None, None, :]
        weights = jax.nn.softmax(jnp.where(seen, scores_BKGTS, jnp.finfo(jnp.float32).min / 2), axis=-1)
        return weights.reshape(len(weights), -1, T, T)

    def step(
        self,
        x_BTE: Float[Array, "B T E"],
        cache: Cache,
        layer: int | Int[Array, ""],
        positions_BT: Int[Array, "B T"],
        angles_BTh: Float[Array, "B T half"] | None = None,
        prefix_BT: Bool[Array, "B T"] | None = None,
    ) -> tuple[Float[Array, "B T E"], Cache]:
        """Causal attention of new tokens to everything cached and to themselves, and the cache with them in it.

        Those of the new tokens that are a prefix are seen by all of the new ones.
        """
        query, key, value = self.project(x_BTE, angles_BTh)
        cache = cache.write(layer, positions_BT, key, value)
        seen = jnp.arange(cache.keys_LBSKH.shape[2]) <= positions_BT[..., None]
        seen = seen if prefix_BT is None else seen | cache.marked(positions_BT, prefix_BT)[:, None]
        how = self.implementation
        y = attend(query, cache.keys_LBSKH[layer], cache.values_LBSKV[layer], mask=seen, implementation=how)
        return self.out(y), cache
