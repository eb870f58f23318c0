"""The encoder-decoder of T5: relative positions, RMSNorm, unscaled attention, one table for everything.

Letters: B batch, S tokens of the encoder, T tokens of the decoder, E embed, K heads, H key size, V value size.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from stagejax import axes
from stagejax.models.attention import attend
from stagejax.models.block import Key, NormPosition, dropout
from stagejax.models.build import built
from stagejax.models.cache import Cache
from stagejax.models.linear import Dense, Table
from stagejax.models.masks import Masks, check_masks, gated, masked, of_layer
from stagejax.models.mlp import MLP
from stagejax.models.norm import Norm, NormKind
from stagejax.models.stack import Remat, run_stack, stack

T5Activation = Literal["relu", "geglu", "swiglu"]
Side = Literal["encoder", "decoder"]


@dataclass(frozen=True)
class T5:
    """What a T5 is: sizes and choices, nothing else.

    Encoder and decoder share the table of tokens, the residual width `embed` and the number of heads; their layers are
    the axes `layers.encoder` and `layers.decoder`. Queries and keys write `key_dim`, an axis of its own, because the
    products are not scaled as those over `head_dim` are; queries also `q_per_kv`, of size 1, which tells them apart.

    Reference: Raffel et al. 2019, https://arxiv.org/abs/1910.10683; Shazeer 2020 (version 1.1: geglu, untied).

    Raises:
      ValueError: a size below 1, buckets that cannot be halved twice, an unknown choice; the error names the field.

    >>> T5(encoder_layers=6, decoder_layers=3).sizes()["layers.decoder"]
    3
    """

    vocab: int = 512  # number of token ids
    embed: int = 64  # width of both residual streams
    encoder_layers: int = 2  # blocks of the encoder
    decoder_layers: int = 2  # blocks of the decoder
    heads: int = 4  # of each attention
    head_dim: int = 16  # size of a head: of its queries, keys and values
    mlp: int = 256  # width of the feed-forward networks
    buckets: int = 32  # of relative positions
    distance: int = 128  # tokens at least so far apart share a bucket
    activation: T5Activation = "relu"
    tied: bool = True  # the head is the token table
    head_scale: float | None = None  # of what the head reads; None becomes 1 / sqrt(embed) if tied, else 1
    norm_eps: float = 1e-6  # added to the mean square
    dropout: float = 0.0  # probability; of the embeddings, of what blocks add, and of what the stacks give
    init_scale: float = 1.0  # multiplies the standard deviations of initial kernels
    scan: bool = False  # loop over the layers in the program, or unroll them
    remat: Remat | None = None  # recomputed in the backward pass: nothing, whole blocks, or all but dense products

    norm: ClassVar[NormKind] = "rms"
    norm_position: ClassVar[NormPosition] = "pre"
    cross_attention: ClassVar[str] = "layers.decoder"  # the stack that attends to the other one's output

    def __post_init__(self) -> None:
        sizes = ("vocab", "embed", "encoder_layers", "decoder_layers", "heads", "head_dim", "mlp", "buckets")
        for field in sizes:
            if getattr(self, field) < 1:
                raise ValueError(f"{field}={getattr(self, field)}: give a size of at least 1")
        if self.activation not in get_args(T5Activation):
            raise ValueError(f"activation={self.activation!r} is unknown: choose one of {get_args(T5Activation)}")
        if self.buckets % 4 or self.distance <= self.buckets // 2:
            raise ValueError(
                f"buckets={self.buckets} and distance={self.distance}: buckets must be a multiple of 4, for halves in "
                "both directions, and distance more than half of them"
            )
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout={self.dropout} is no probability below 1")
        if self.head_scale is None:  # a number from here on, so that a wider model made of this one keeps it
            object.__setattr__(self, "head_scale", self.embed**-0.5 if self.tied else 1.0)

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        return {
            "vocab": self.vocab,
            "embed": self.embed,
            "layers.encoder": self.encoder_layers,
            "layers.decoder": self.decoder_layers,
            "kv_heads": self.heads,
            "q_per_kv": 1,
            "key_dim": self.head_dim,
            "value_dim": self.head_dim,
            "mlp": self.mlp,
            "buckets": self.buckets,
        }

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `EncoderDecoder` with its initial parameters, drawn from `rngs.params`."""
        return built(EncoderDecoder, self, rngs.params())


class HeadsOf(nnx.Module):
    """Attention of one sequence to itself or to another, with products that are not scaled."""

    def __init__(self, config: T5, rngs: nnx.Rngs) -> None:
        c, scale = config, config.init_scale
        stream, kv, heads = {"embed": c.embed}, {"kv_heads": c.heads}, {"kv_heads": c.heads, "q_per_kv": 1}
        keys, values = {"key_dim": c.head_dim}, {"value_dim": c.head_dim}
        narrow = scale * c.embed**-0.5
        self.query = Dense(stream, heads | keys, std=narrow * c.head_dim**-0.5, bias=False, rngs=rngs)
        self.key = Dense(stream, kv | keys, std=narrow, bias=False, rngs=rngs)
        self.value = Dense(stream, kv | values, std=narrow, bias=False, rngs=rngs)
        self.out = Dense(heads | values, stream, std=scale * (c.heads * c.head_dim) ** -0.5, bias=False, rngs=rngs)

    def __call__(
        self,
        x_BTE: Float[Array, "B T E"],
        seen_BSE: Float[Array, "B S E"],
        bias_KTS: Float[Array, "K T S"] | None = None,
        mask: Bool[Array, "B S"] | Bool[Array, "B T S"] | None = None,
        causal: bool = False,
        masks: Masks | None = None,
    ) -> Float[Array, "B T E"]:
        return self.look(x_BTE, *self.seen(seen_BSE), bias_KTS, mask, causal, masks)

    def seen(self, x_BSE: Float[Array, "B S E"]) -> tuple[Float[Array, "B S K H"], Float[Array, "B S K V"]]:
        """Keys and values."""
        return self.key(x_BSE), self.value(x_BSE)

    def look(
        self,
        x_BTE: Float[Array, "B T E"],
        key_BSKH: Float[Array, "B S K H"],
        value_BSKV: Float[Array, "B S K V"],
        bias_KTS: Float[Array, "*#B K T S"] | None = None,
        mask: Bool[Array, "B S"] | Bool[Array, "B T S"] | None = None,
        causal: bool = False,
        masks: Masks | None = None,
    ) -> Float[Array, "B T E"]:
        """Attention to keys and values that are there; a bias may be one of each row.

        Masks over `key_dim` multiply the queries, over `kv_heads`, `q_per_kv` and `value_dim` what the heads give.
        """
        bias_KGTS = None if bias_KTS is None else bias_KTS[..., None, :, :]
        how = {"causal": causal, "mask": mask, "bias_KGTS": bias_KGTS}
        query_BTKGH = masked(self.query(x_BTE), masks, ("key_dim",))
        y_BTKGV = attend(query_BTKGH, key_BSKH, value_BSKV, scale=1.0, **how)
        return self.out(masked(y_BTKGV, masks, ("kv_heads", "q_per_kv", "value_dim")))


class T5Block(nnx.Module):
    """Pre-norm self-attention, in a decoder attention to the encoder's output, and a feed-forward network."""

    def __init__(self, config: T5, decoder: bool, rngs: nnx.Rngs) -> None:
        c, scale = config, config.init_scale
        self.dropout, self.decoder = c.dropout, decoder
        norm = functools.partial(Norm, "rms", "embed", c.embed, eps=c.norm_eps)
        self.attention_norm, self.attention = norm(), HeadsOf(c, rngs)
        self.cross_norm, self.cross = (norm(), HeadsOf(c, rngs)) if decoder else (None, None)
        self.mlp_norm = norm()
        std, std_out = scale * c.embed**-0.5, scale * c.mlp**-0.5
        self.mlp = MLP(c.embed, c.mlp, activation=c.activation, bias=False, std=std, std_out=std_out, rngs=rngs)

    def __call__(
        self,
        x_BTE: Float[Array, "B T E"],
        bias_KTT: Float[Array, "K T T"],
        key: Key | None = None,
        mask: Bool[Array, "B T"] | Bool[Array, "B T T"] | None = None,
        memory_BSE: Float[Array, "B S E"] | None = None,
        memory_mask: Bool[Array, "B S"] | Bool[Array, "B T S"] | None = None,
        masks: Masks | None = None,
    ) -> Float[Array, "B T E"]:
        """`masks` are on hidden vectors, by axis (see `stagejax.models.masks`)."""
        keys = (None, None, None) if key is None else jax.random.split(key, 3)
        embed = masks.get("embed") if masks else None

        def added(y_BTE: Array, key: Key | None) -> Array:
            return dropout(masked(y_BTE, masks, ("embed",)), self.dropout, key)

        normed_BTE = self.attention_norm(x_BTE, embed)
        y_BTE = self.attention(normed_BTE, normed_BTE, bias_KTT, mask, causal=self.decoder, masks=masks)
        x_BTE = x_BTE + added(y_BTE, keys[0])
        if self.cross is not None and self.cross_norm is not None:
            y_BTE = self.cross(self.cross_norm(x_BTE, embed), memory_BSE, None, memory_mask, masks=masks)
            x_BTE = x_BTE + added(y_BTE, keys[1])
        return x_BTE + added(self.mlp(self.mlp_norm(x_BTE, embed), masks), keys[2])

    def step(
        self,
        x_BTE: Float[Array, "B T E"],
        cache: Cache,
        layer: int | Int[Array, ""],
        positions_BT: Int[Array, "B T"],
        bias_BKTC: Float[Array, "B K T C"],
        memory: Cache,
        memory_mask_BS: Bool[Array, "B S"] | None = None,
    ) -> tuple[Float[Array, "B T E"], Cache]:
        """A decoder's block on new tokens behind the cached ones; `memory` has what the layer sees of the encoder."""
        assert self.cross is not None
        assert self.cross_norm is not None
        normed_BTE = self.attention_norm(x_BTE)
        cache = cache.write(layer, positions_BT, *self.attention.seen(normed_BTE))
        mask_BTC = jnp.arange(bias_BKTC.shape[-1]) <= positions_BT[..., None]
        own = cache.keys_LBSKH[layer], cache.values_LBSKV[layer]
        x_BTE = x_BTE + self.attention.look(normed_BTE, *own, bias_BKTC, mask_BTC)
        read = memory.keys_LBSKH[layer], memory.values_LBSKV[layer]
        x_BTE = x_BTE + self.cross.look(self.cross_norm(x_BTE), *read, None, memory_mask_BS)
        return x_BTE + self.mlp(self.mlp_norm(x_BTE)), cache


class RelativePositions(nnx.Module):
    """A bias for every head and distance, shared by the layers of a stack: reads `buckets`, writes `kv_heads`."""

    def __init__(self, config: T5, decoder: bool, rngs: nnx.Rngs) -> None:
        self.distance, self.decoder = config.distance, decoder
        shape = (config.buckets, config.heads)
        drawn = config.init_scale * config.embed**-0.5 * jax.random.normal(rngs.params(), shape)
        self.table = axes.param(drawn, reads=("buckets",), writes=("kv_heads",))

    def __call__(self, length: int) -> Float[Array, "K T T"]:
        at = np.arange(length)
        buckets = self.table[...].shape[0]
        bucket_TT = bucket(at[None, :] - at[:, None], buckets, self.distance, both=not self.decoder)
        return jnp.moveaxis(self.table[...][bucket_TT], -1, 0)

    def behind(self, positions_BT: Int[Array, "B T"], length: int) -> Float[Array, "B K T S"]:
        """The same of queries at any positions, to the keys 0..length-1; those of a decoder alone."""
        bucket_S = jnp.asarray(bucket(-np.arange(length), self.table[...].shape[0], self.distance, both=False))
        far_BTS = jnp.maximum(positions_BT[..., None] - jnp.arange(length), 0)
        return jnp.moveaxis(self.table[...][bucket_S.at[far_BTS].get(mode="clip")], -1, 1)


def bucket(relative: np.ndarray, buckets: int, distance: int, *, both: bool) -> np.ndarray:
    """The bucket of a position relative to the query: the first half exact, the rest logarithmic up to `distance`.

    Args:
      relative: position of the key less that of the query.
      both: half of the buckets are for keys behind the query; else those all count as distance 0.

    Reference: Raffel et al. 2019, section 2.1.

    >>> bucket(np.array([-200, -9, -1, 0, 1, 9]), 8, 32, both=True)
    array([3, 3, 1, 0, 5, 7])
    """
    behind = np.zeros_like(relative)
    if both:
        buckets //= 2
        behind, far = np.where(relative > 0, buckets, 0), np.abs(relative)
    else:
        far = np.maximum(-relative, 0)
    exact = buckets // 2
    ratio = np.log(np.maximum(far, 1).astype(np.float32) / np.float32(exact)) / np.float32(math.log(distance / exact))
    logarithmic = exact + (ratio * np.float32(buckets - exact)).astype(np.int64)
    return behind + np.where(far < exact, far, np.minimum(logarithmic, buckets - 1))


def within(
    query_BT: Int[Array, "B T"], key_BS: Int[Array, "B S"], mask_BS: Bool[Array, "B S"] | None = None
) -> Bool[Array, "B T S"]:
    """Where query and key are of one segment, and the key may be seen.

    >>> within(jnp.array([[1, 2]]), jnp.array([[1, 1, 2]]))[0].tolist()
    [[True, True, False], [False, False, True]]
    """
    same_BTS = query_BT[:, :, None] == key_BS[:, None, :]
    return same_BTS if mask_BS is None else same_BTS & mask_BS[:, None, :]


class EncoderDecoder(nnx.Module):
    """Tokens in, and logits of the tokens out that follow those given. It computes in the dtype of its parameters.

    >>> model = T5().build(nnx.Rngs(0))
    >>> model(jnp.zeros((1, 7), int), jnp.zeros((1, 5), int)).shape
    (1, 5, 512)
    """

    def __init__(self, config: T5, rngs: nnx.Rngs) -> None:
        self.config = config
        c = config
        self.tokens = Table("vocab", c.vocab, c.embed, std=c.init_scale, rngs=rngs)
        self.encoder_positions = RelativePositions(c, False, rngs)
        self.decoder_positions = RelativePositions(c, True, rngs)
        self.encoder = stack(lambda r: T5Block(c, False, r), c.encoder_layers, rngs, "layers.encoder")
        self.decoder = stack(lambda r: T5Block(c, True, r), c.decoder_layers, rngs, "layers.decoder")
        self.encoder_norm = Norm("rms", "embed", c.embed, eps=c.norm_eps)
        self.decoder_norm = Norm("rms", "embed", c.embed, eps=c.norm_eps, tied=c.tied)
        std = c.init_scale * c.embed**-0.5
        self.output = None if c.tied else Dense({"embed": c.embed}, {"vocab": c.vocab}, std=std, bias=False, rngs=rngs)

    def __call__(
        self,
        tokens_BS: Int[Array, "B S"],
        targets_BT: Int[Array, "B T"],
        *,
        mask: Bool[Array, "B S"] | None = None,
        segments: tuple[Int[Array, "B S"], Int[Array, "B T"]] | None = None,
        key: Key | None = None,
        masks: Masks | None = None,
    ) -> Float[Array, "B T vocab"]:
        """Logits of every token behind `targets_BT`, which begin with a start token.

        Args:
          mask: True where a token of the encoder may be seen; all where absent.
          segments: of the tokens of encoder and decoder: those packed into one row see only their own segment, and
            positions are relative, so that each is as it would be alone.
          key: draws dropout; without one there is none.
          masks: on hidden vectors, by axis, in both stacks (see `stagejax.models.masks`).

        Raises:
          ValueError: masks over another axis, or of another size.
        """
        check_masks(masks, self.config.sizes())
        keys = (None, None) if key is None else jax.random.split(key)
        own = mask if segments is None else within(segments[0], segments[0], mask)
        cross = mask if segments is None else within(segments[1], segments[0], mask)
        memory_BSE = self.encode(tokens_BS, mask=own, key=keys[0], masks=masks)
        alone = None if segments is None else within(segments[1], segments[1])
        return self.logits(self.decode(targets_BT, memory_BSE, mask=cross, own=alone, key=keys[1], masks=masks))

    def encode(
        self,
        tokens_BS: Int[Array, "B S"],
        *,
        mask: Bool[Array, "B S"] | Bool[Array, "B S S"] | None = None,
        key: Key | None = None,
        masks: Masks | None = None,
    ) -> Float[Array, "B S E"]:
        """What the decoder attends to."""
        bias_KSS = self.encoder_positions(tokens_BS.shape[1])
        return self._run("encoder", tokens_BS, key, masks, bias_KSS, mask=mask)

    def decode(
        self,
        targets_BT: Int[Array, "B T"],
        memory_BSE: Float[Array, "B S E"],
        *,
        mask: Bool[Array, "B S"] | Bool[Array, "B T S"] | None = None,
        own: Bool[Array, "B T T"] | None = None,
        key: Key | None = None,
        masks: Masks | None = None,
    ) -> Float[Array, "B T E"]:
        """What the head reads. `mask` is of the memory, `own` of the decoder's tokens, beside what is causal."""
        bias_KTT = self.decoder_positions(targets_BT.shape[1])
        context = {"mask": own, "memory_BSE": memory_BSE, "memory_mask": mask}
        return self._run("decoder", targets_BT, key, masks, bias_KTT, **context)

    def logits(self, x_BTE: Float[Array, "B T E"]) -> Float[Array, "B T vocab"]:
        """The head on what `decode` returns."""
        x_BTE = x_BTE * self.config.head_scale
        return self.tokens.transposed(x_BTE) if self.output is None else self.output(x_BTE)

    def _run(
        self, side: Side, tokens: Array, key: Key | None, masks: Masks | None, bias: Array, **context: Any
    ) -> Array:
        c = self.config
        encodes = side == "encoder"
        blocks, norm = (self.encoder, self.encoder_norm) if encodes else (self.decoder, self.decoder_norm)
        keys = (None, None, None) if key is None else jax.random.split(key, 3)

        def call(block: T5Block, layer: Any, x: Any) -> Any:
            own_key, own = None if key is None else jax.random.fold_in(keys[1], layer), of_layer(masks, layer, stacked)
            return gated(block(x, bias, own_key, masks=own, **context), x, own)

        stacked = f"layers.{side}"
        x = dropout(masked(self.tokens(tokens), masks, ("embed",)), c.dropout, keys[0])
        x = run_stack(blocks, call, x, start=0, stop=c.sizes()[stacked], scan=c.scan, remat=c.remat)
        return dropout(norm(x, masks.get("embed") if masks else None), c.dropout, keys[2])
