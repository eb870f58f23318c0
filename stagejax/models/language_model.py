"""The module of `Transformer`: tokens to logits.

A decoder always ends in a norm, also where its blocks are post-norm and the stream is normalised already (with the
gain of one that it begins with, that norm repeats the last one and changes next to nothing). Growth needs it: a tied
table is stored on its writing side, so the division that its reading side needs must have a place to go, and that place
is the norm just before the head, whose output nothing else reads. In a post-norm decoder without it, the last block's
own norm would be divided, and its row in the stack would no longer be a block like the others. A post-norm encoder
needs none: the transform in its head ends in such a norm.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from stagejax.models.block import Block, Key, dropout
from stagejax.models.build import built
from stagejax.models.cache import Cache, empty_cache
from stagejax.models.head import Head
from stagejax.models.linear import Table
from stagejax.models.masks import Masks, check_masks, gated, masked, of_layer
from stagejax.models.moe import RouterStatistics, empty_statistics
from stagejax.models.norm import Norm
from stagejax.models.rotary import rotary_angles
from stagejax.models.stack import run_stack, stack
from stagejax.models.transformer import Transformer

#: Where vectors stand in place of embedded tokens (B, T), and the vectors (B, T, E).
Vectors = tuple[Array, Array]


def build(config: Transformer, key: Key) -> LanguageModel:
    """The model with its initial parameters. They are drawn by one program, compiled once for each config."""
    return built(LanguageModel, config, key)


def block_of(config: Transformer, rngs: nnx.Rngs) -> Block:
    """One block of a model; what writes into the stream of a pre-norm decoder starts at std / √(2 layers)."""
    c, sizes = config, config.sizes()
    return Block(
        *(sizes[name] for name in ("embed", "kv_heads", "q_per_kv", "head_dim", "mlp")),
        norm=c.norm,
        norm_position=c.norm_position,
        norm_eps=c.norm_eps,
        activation=c.activation,
        bias=c.use_bias,
        dropout=c.dropout,
        std=c.init_std,
        std_out=c.init_std / (2 * c.layers) ** 0.5 if c.causal and c.norm_position != "post" else c.init_std,
        rngs=rngs,
        value_dim=sizes["value_dim"],
        qkv_bias=c.qkv_bias,
        mixture=c.mixture,
        implementation=c.attention,
    )


class LanguageModel(nnx.Module):
    """Tokens to logits. It computes in the dtype of its parameters.

    Letters: B batch, T tokens, E embed, V vocab.

    >>> model = Transformer(layers=2).build(nnx.Rngs(0))
    >>> model(jnp.zeros((1, 8), int)).shape
    (1, 8, 512)
    """

    def __init__(self, config: Transformer, rngs: nnx.Rngs) -> None:
        self.config = config
        c = config
        E, std = c.embed, c.init_std
        self.tokens = Table("vocab", c.vocab, E, std=std, rngs=rngs)
        self.positions = Table("position", c.length, E, std=std, rngs=rngs) if c.positions == "learned" else None
        self.types = Table("types", c.types, E, std=std, rngs=rngs) if c.types else None
        post = c.norm_position == "post"
        self.embed_norm = Norm(c.norm, "embed", E, eps=c.norm_eps, bias=c.use_bias) if post else None

        self.blocks = stack(functools.partial(block_of, c), c.layers, rngs)
        final = c.causal or not post
        tied = c.tied and c.causal
        self.norm = Norm(c.norm, "embed", E, eps=c.norm_eps, bias=c.use_bias, tied=tied) if final else None
        self.head = Head(
            E,
            c.vocab,
            tied=c.tied,
            transform=not c.causal,
            bias=c.use_bias and not c.causal,
            norm=c.norm,
            norm_eps=c.norm_eps,
            use_bias=c.use_bias,
            std=std,
            rngs=rngs,
        )

    def __call__(self, tokens_BT: Int[Array, "B T"], **options: Any) -> Float[Array, "B T V"]:
        """Logits of every token; the options are those of `hidden`."""
        return self.logits(self.hidden(tokens_BT, **options), options.get("masks"))

    def routed(self, tokens_BT: Int[Array, "B T"], **options: Any) -> tuple[Float[Array, "B T V"], RouterStatistics]:
        """Logits, and what the routers of all layers did; the options are those of `hidden`.

        Raises:
          ValueError: the model has no experts.
        """
        if not self.config.experts:
            raise ValueError("experts=0: the model has no routers. Set Transformer.experts, or use plain causal_lm.")
        x_BTE, statistics = self._run(tokens_BT, **options)
        return self.logits(x_BTE, options.get("masks")), statistics

    def hidden(self, tokens_BT: Int[Array, "B T"], **options: Any) -> Float[Array, "B T E"]:
        """What the head reads: the stream behind the last block (and the final norm, where there is one).

        Options:
          types: token types (0 where absent), if the model has them.
          positions: of each token; 0, 1, 2, ... where absent.
          segments: sequences packed into one row see only their own segment.
          mask: True where a key may be seen: per key (padding), or per query and key.
          prefix: True at tokens that all of a row see, also those before them: the inputs of a prefix LM.
          vectors: (where (B, T), vectors (B, T, E)): at these tokens they stand in place of the table's.
          key: draws dropout; without one there is none.
          masks: on hidden vectors, by axis (see `stagejax.models.masks`).
          depth: run only the bottom `depth` blocks.
          stop_below: no gradient reaches the bottom `stop_below` blocks, nor the embeddings through them (bert2BERT's
            training of sub-models). A tied head still trains its table.

        Raises:
          ValueError: a sequence longer than `length`, a depth that the model does not have, types without a table, a
            mask of another size.
        """
        return self._run(tokens_BT, **options)[0]

    def _run(
        self,
        tokens_BT: Int[Array, "B T"],
        *,
        types: Int[Array, "B T"] | None = None,
        positions: Int[Array, "B T"] | None = None,
        segments: Int[Array, "B T"] | None = None,
        mask: Bool[Array, "B T"] | Bool[Array, "#B T T"] | None = None,
        prefix: Bool[Array, "B T"] | None = None,
        vectors: Vectors | None = None,
        key: Key | None = None,
        masks: Masks | None = None,
        depth: int | None = None,
        stop_below: int = 0,
    ) -> tuple[Float[Array, "B T E"], RouterStatistics | None]:
        c = self.config
        depth = c.layers if depth is None else depth
        if not 1 <= depth <= c.layers or not 0 <= stop_below <= depth:
            raise ValueError(
                f"depth={depth} and stop_below={stop_below} in a model of layers={c.layers}: need 1 <= depth <= layers "
                "and 0 <= stop_below <= depth"
            )
        key_embed, key_blocks = (None, None) if key is None else jax.random.split(key)
        positions = jnp.arange(tokens_BT.shape[1])[None] if positions is None else positions
        check_masks(masks, c.sizes())
        x_BTE = dropout(self.embed(tokens_BT, positions, types, masks, vectors), c.dropout, key_embed)
        context = {"causal": c.causal, "prefix": prefix, "mask": mask, "segments": segments}
        context["angles_BTh"] = self.angles(positions, x_BTE)

        def call(block: Block, layer: Any, carry: Any) -> Any:
            x_BTE, before = carry
            own_key = None if key is None else jax.random.fold_in(key_blocks, layer)
            own_masks = of_layer(masks, layer)
            y_BTE, routed = block.routed(x_BTE, own_key, own_masks, **context)
            after = jax.tree.map(lambda all_layers, own: all_layers.at[layer].set(own), before, routed)
            return gated(y_BTE, x_BTE, own_masks), after

        wide = jnp.promote_types(x_BTE.dtype, jnp.float32)
        routers = empty_statistics(depth, c.experts, wide) if c.experts else None
        for start, stop in ((0, stop_below), (stop_below, depth)):
            x_BTE = jax.lax.stop_gradient(x_BTE) if stop_below and start == stop_below else x_BTE
            carry = x_BTE, routers
            x_BTE, routers = run_stack(self.blocks, call, carry, start=start, stop=stop, scan=c.scan, remat=c.remat)
        return x_BTE if self.norm is None else self.norm(x_BTE, masks.get("embed") if masks else None), routers

    def logits(self, x_BTE: Float[Array, "B T E"], masks: Masks | None = None) -> Float[Array, "B T V"]:
        """The head on what `hidden` returns, with the same masks."""
        return self.head(x_BTE, self.tokens, masks.get("embed") if masks else None)

    def init_cache(self, batch: int, length: int) -> Cache:
        """An empty cache for `batch` sequences of at most `length` tokens.

        Raises:
          ValueError: the model is no decoder, or has fewer learned positions.
        """
        c, sizes = self.config, self.config.sizes()
        if not c.causal:
            raise ValueError("causal=False: an encoder sees the future, so it has no cache. Set causal=True.")
        self._check_length(length)
        dtype = self.tokens.table[...].dtype
        return empty_cache(c.layers, batch, length, sizes["kv_heads"], sizes["head_dim"], dtype, sizes["value_dim"])

    def step(
        self,
        tokens_BT: Int[Array, "B T"],
        cache: Cache,
        counts_B: Int[Array, " B"] | None = None,
        *,
        prefix: Bool[Array, "B T"] | None = None,
        vectors: Vectors | None = None,
    ) -> tuple[Float[Array, "B T V"], Cache]:
        """Logits of new tokens behind the cached ones (a whole prompt, or one token), and the longer cache.

        Args:
          counts_B: how many of each row's tokens are real; all where absent. Rows are padded on the right: logits
            behind the count mean nothing, and the next call overwrites what was cached there.
          prefix: True at new tokens that all of the new ones see, also those before them (prefix LM). Tokens that are
            cached already did not: give a whole prefix in one call. A prefix is seen also where `counts_B` ends before
            it: its last token may be read, left out of the count, and stepped on again for its logits.
          vectors: as in `hidden`, of the new tokens.

        A token that does not fit into the cache gets NaN.

        >>> model = Transformer(layers=2).build(nnx.Rngs(0))
        >>> prompt = jnp.array([[5, 6, 7]])
        >>> logits, cache = model.step(prompt, model.init_cache(1, 16))
        >>> logits, cache = model.step(logits[:, -1:].argmax(-1), cache)
        >>> logits.shape, cache.lengths_B
        ((1, 1, 512), Array([4], dtype=int32))
        """
        B, T = tokens_BT.shape
        positions_BT = cache.lengths_B[:, None] + jnp.arange(T, dtype=jnp.int32)
        x_BTE = self.embed(tokens_BT, positions_BT, None, vectors=vectors)
        x_BTE = jnp.where((positions_BT < cache.keys_LBSKH.shape[2])[..., None], x_BTE, jnp.nan)
        angles = self.angles(positions_BT, x_BTE)

        def call(block: Block, layer: Any, carry: Any) -> Any:
            return block.step(*carry, layer, positions_BT, angles, prefix)

        layers, scan = self.config.layers, self.config.scan
        x_BTE, cache = run_stack(self.blocks, call, (x_BTE, cache), start=0, stop=layers, scan=scan)
        counts_B = jnp.full(B, T, jnp.int32) if counts_B is None else counts_B.astype(jnp.int32)
        cache = dataclasses.replace(cache, lengths_B=cache.lengths_B + counts_B)
        return self.logits(x_BTE if self.norm is None else self.norm(x_BTE)), cache

    def embed(
        self,
        tokens: Array,
        positions: Array,
        types: Array | None,
        masks: Masks | None = None,
        vectors: Vectors | None = None,
    ) -> Array:
        """The stream that the first block reads: tokens, positions and types, and their norm where there is one."""
        if types is not None and self.types is None:
            raise ValueError("the batch has token types but the model has types=0: set Transformer.types")
        x = self.tokens(tokens)
        if vectors is not None:
            x = jnp.where(vectors[0][..., None], vectors[1].astype(x.dtype), x)
        if self.positions is not None:
            self._check_length(tokens.shape[1])
            x = x + self.positions(positions)
        if self.types is not None:
            x = x + self.types(jnp.zeros_like(tokens) if types is None else types)
        x = masked(x, masks, ("embed",))
        return x if self.embed_norm is None else self.embed_norm(x, masks.get("embed") if masks else None)

    def angles(self, positions: Array, x: Array) -> Array | None:
        """By how much rotary positions turn queries and keys of `x`; None for other positions."""
        c = self.config
        if c.positions != "rotary":
            return None
        return rotary_angles(positions, c.sizes()["head_dim"], theta=c.rotary_theta, dtype=x.dtype)

    def _check_length(self, length: int) -> None:
        if self.positions is not None and length > self.config.length:
            raise ValueError(
                f"a sequence of {length} tokens, but the model has length={self.config.length} learned positions: set "
                f"length={length} or more, or positions='rotary'"
            )
