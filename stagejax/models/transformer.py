"""Transformer language models: encoders that predict masked tokens (BERT) and decoders that predict the next one (GPT).

A decoder always ends in a norm, also where its blocks are post-norm and the stream is normalised already (at its initial
gain of one that norm repeats the last one and changes nothing). Growth needs it: a tied table is stored on its writing
side, so the division that its reading side needs must have a place to go, and that place is the norm just before the
head, which nothing else reads. A post-norm encoder needs none: the transform before its head ends in such a norm.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from stagejax import axes
from stagejax.models.attention import Implementation
from stagejax.models.block import Block, Key, NormPosition, dropout
from stagejax.models.cache import Cache, empty_cache
from stagejax.models.linear import Dense, Table
from stagejax.models.mlp import Activation
from stagejax.models.norm import Norm
from stagejax.models.rotary import rotary_angles
from stagejax.models.stack import Remat, run_stack, stack

Positions = Literal["learned", "rotary"]
NormKind = Literal["layer", "rms"]


@dataclass(frozen=True)
class Transformer:
    """What a transformer language model is: sizes and choices, nothing else.

    Raises:
      ValueError: a size that does not fit another, or an unknown choice; the error names the field and the fix.

    >>> Transformer(heads=4, kv_heads=2, embed=64).sizes()["q_per_kv"]
    2
    >>> Transformer(heads=4, kv_heads=3)
    Traceback (most recent call last):
    ...
    ValueError: kv_heads=3 does not divide heads=4: each key/value head serves heads / kv_heads queries. Set kv_heads to 1, 2 or 4.
    """

    vocab: int = 512  # number of token ids
    embed: int = 64  # width of the residual stream
    layers: int = 4  # number of blocks
    heads: int = 4  # query heads
    kv_heads: int | None = None  # key/value heads; None: as many as query heads
    head_dim: int | None = None  # size of a head; None: embed // heads
    mlp: int = 256  # width of the feed-forward network
    length: int = 64  # number of learned positions: the longest sequence; rotary positions have no limit
    types: int = 0  # number of token types (BERT's sentences A and B); 0: no such table
    causal: bool = True  # decoder that predicts the next token, or encoder with BERT's transform before its head
    norm: NormKind = "layer"
    norm_position: NormPosition = "pre"  # post: also a norm behind the embeddings
    norm_eps: float = 1e-5  # added to the variance
    positions: Positions = "learned"
    rotary_theta: float = 10000.0  # longest wavelength of rotary positions, in tokens / 2 pi
    activation: Activation = "gelu"
    tied: bool = True  # the head is the token table
    use_bias: bool = True  # on every dense layer and LayerNorm
    dropout: float = 0.0  # probability; of the embeddings and of what each block adds
    init_std: float = 0.02  # standard deviation of initial kernels and tables
    scan: bool = False  # loop over the layers in the program, or unroll them
    remat: Remat | None = (
        None  # what the backward pass recomputes in each block: nothing, all, or all but dense products
    )
    attention: Implementation = "xla"

    def __post_init__(self) -> None:
        for field in ("vocab", "embed", "layers", "heads", "mlp", "length"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field}={getattr(self, field)}: give a size of at least 1")
        choices = {
            "norm": NormKind,
            "norm_position": NormPosition,
            "positions": Positions,
            "activation": Activation,
            "attention": Implementation,
        }
        for field, choice in choices.items():
            if getattr(self, field) not in get_args(choice):
                raise ValueError(f"{field}={getattr(self, field)!r} is unknown: choose one of {get_args(choice)}")
        if self.remat not in (None, *get_args(Remat)):
            raise ValueError(f"remat={self.remat!r} is unknown: choose None or one of {get_args(Remat)}")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout={self.dropout} is no probability below 1")
        if self.head_dim is None and self.embed % self.heads:
            raise ValueError(
                f"heads={self.heads} does not divide embed={self.embed}, so head_dim=None is undefined. Set head_dim, or "
                f"embed to a multiple of {self.heads}."
            )
        if self.kv_heads is not None and (self.kv_heads < 1 or self.heads % self.kv_heads):
            fits = [str(k) for k in range(1, self.heads + 1) if self.heads % k == 0]
            raise ValueError(
                f"kv_heads={self.kv_heads} does not divide heads={self.heads}: each key/value head serves heads / kv_heads "
                f"queries. Set kv_heads to {' or '.join([', '.join(fits[:-1]), fits[-1]] if fits[1:] else fits)}."
            )
        if self.positions == "rotary" and self.sizes()["head_dim"] % 2:
            raise ValueError(
                f"head_dim={self.sizes()['head_dim']} is odd, but rotary positions turn pairs of dimensions. Set head_dim to "
                "an even number, or positions='learned'."
            )

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters.

        >>> Transformer(causal=False).sizes()["embed_out"]
        64
        """
        kv_heads = self.kv_heads or self.heads
        sizes = {
            "vocab": self.vocab,
            "embed": self.embed,
            "kv_heads": kv_heads,
            "q_per_kv": self.heads // kv_heads,
            "head_dim": self.head_dim or self.embed // self.heads,
            "mlp": self.mlp,
            "layers": self.layers,
        }
        if not self.causal:
            sizes["embed_out"] = self.embed
        if self.positions == "learned":
            sizes["position"] = self.length
        if self.types:
            sizes["types"] = self.types
        return sizes

    def build(self, rngs: nnx.Rngs) -> LanguageModel:
        """The model with its initial parameters, drawn from `rngs.params`."""
        return LanguageModel(self, rngs)


class LanguageModel(nnx.Module):
    """Tokens to logits. It computes in the dtype of its parameters.

    Letters: B batch, T tokens, E embed, V vocab.

    >>> model = Transformer(layers=2).build(nnx.Rngs(0))
    >>> model(jnp.zeros((1, 8), int)).shape
    (1, 8, 512)
    """

    def __init__(self, config: Transformer, rngs: nnx.Rngs) -> None:
        self.config = config
        c, sizes = config, config.sizes()
        E, std = c.embed, c.init_std
        self.tokens = Table("vocab", c.vocab, E, std=std, rngs=rngs)
        self.positions = Table("position", c.length, E, std=std, rngs=rngs) if c.positions == "learned" else None
        self.types = Table("types", c.types, E, std=std, rngs=rngs) if c.types else None
        post = c.norm_position == "post"
        self.embed_norm = Norm(c.norm, "embed", E, eps=c.norm_eps, bias=c.use_bias) if post else None

        def block(rngs: nnx.Rngs) -> Block:
            return Block(
                *(sizes[name] for name in ("embed", "kv_heads", "q_per_kv", "head_dim", "mlp")),
                norm=c.norm,
                norm_position=c.norm_position,
                norm_eps=c.norm_eps,
                activation=c.activation,
                bias=c.use_bias,
                dropout=c.dropout,
                std=std,
                std_out=std / (2 * c.layers) ** 0.5 if c.causal and not post else std,
                rngs=rngs,
                implementation=c.attention,
            )

        self.blocks = stack(block, c.layers, rngs)
        tied = c.tied and c.causal
        self.norm = (
            Norm(c.norm, "embed", E, eps=c.norm_eps, bias=c.use_bias, tied=tied) if c.causal or not post else None
        )
        self.transform = None if c.causal else Transform(c, rngs)
        reads = "embed" if c.causal else "embed_out"
        self.output = None if c.tied else Dense({reads: E}, {"vocab": c.vocab}, std=std, bias=False, rngs=rngs)
        bias = c.use_bias and not c.causal
        self.output_bias = axes.param(jnp.zeros(c.vocab), writes=("vocab",)) if bias else None

    def __call__(self, tokens_BT: Int[Array, "B T"], **options: Any) -> Float[Array, "B T V"]:
        """Logits of every token; the options are those of `hidden`."""
        return self.logits(self.hidden(tokens_BT, **options))

    def hidden(
        self,
        tokens_BT: Int[Array, "B T"],
        *,
        types: Int[Array, "B T"] | None = None,
        positions: Int[Array, "B T"] | None = None,
        segments: Int[Array, "B T"] | None = None,
        mask: Bool[Array, "B T"] | Bool[Array, "#B T T"] | None = None,
        key: Key | None = None,
        depth: int | None = None,
        stop_below: int = 0,
    ) -> Float[Array, "B T E"]:
        """What the head reads: the stream behind the last block (and the final norm, where there is one).

        Args:
          types: token types (0 where absent), if the model has them.
          positions: of each token; 0, 1, 2, ... where absent.
          segments: sequences packed into one row see only their own segment.
          mask: True where a key may be seen: per key (padding), or per query and key.
          key: draws dropout; without one there is none.
          depth: run only the bottom `depth` blocks.
          stop_below: no gradient reaches the embeddings as input, nor the bottom `stop_below` blocks (bert2BERT's training
            of sub-models).

        Raises:
          ValueError: a sequence longer than `length`, a depth or stop that the model does not have, types without a table.
        """
        c = self.config
        depth = c.layers if depth is None else depth
        if not 1 <= depth <= c.layers or not 0 <= stop_below <= depth:
            raise ValueError(
                f"depth={depth} and stop_below={stop_below} in a model of layers={c.layers}: need 0 <= stop_below <= depth, "
                "1 <= depth <= layers"
            )
        key_embed, key_blocks = (None, None) if key is None else jax.random.split(key)
        positions = jnp.arange(tokens_BT.shape[1])[None] if positions is None else positions
        x_BTE = dropout(self._embed(tokens_BT, positions, types), c.dropout, key_embed)
        context = {"causal": c.causal, "mask": mask, "segments": segments}
        context["angles_BTh"] = self._angles(positions, x_BTE)

        def call(block: Block, layer: Any, x_BTE: Any) -> Any:
            return block(x_BTE, None if key is None else jax.random.fold_in(key_blocks, layer), **context)

        for start, stop in ((0, stop_below), (stop_below, depth)):
            x_BTE = jax.lax.stop_gradient(x_BTE) if stop_below and start == stop_below else x_BTE
            x_BTE = run_stack(self.blocks, call, x_BTE, start=start, stop=stop, scan=c.scan, remat=c.remat)
        return x_BTE if self.norm is None else self.norm(x_BTE)

    def logits(self, x_BTE: Float[Array, "B T E"]) -> Float[Array, "B T V"]:
        """The head."""
        x_BTE = x_BTE if self.transform is None else self.transform(x_BTE)
        logits_BTV = self.tokens.transposed(x_BTE) if self.output is None else self.output(x_BTE)
        return logits_BTV if self.output_bias is None else logits_BTV + self.output_bias[...]

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
        return empty_cache(c.layers, batch, length, sizes["kv_heads"], sizes["head_dim"], dtype)

    def step(
        self, tokens_BT: Int[Array, "B T"], cache: Cache, counts_B: Int[Array, " B"] | None = None
    ) -> tuple[Float[Array, "B T V"], Cache]:
        """Logits of new tokens behind the cached ones (a whole prompt, or one token), and the longer cache.

        Args:
          counts_B: how many of each row's tokens are real; all where absent. Rows are padded on the right: logits behind
            the count mean nothing, and the next call overwrites what was cached there.

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
        x_BTE = self._embed(tokens_BT, positions_BT, None)
        x_BTE = jnp.where((positions_BT < cache.keys_LBSKH.shape[2])[..., None], x_BTE, jnp.nan)
        angles = self._angles(positions_BT, x_BTE)

        def call(block: Block, layer: Any, carry: Any) -> Any:
            return block.step(*carry, layer, positions_BT, angles)

        layers, scan = self.config.layers, self.config.scan
        x_BTE, cache = run_stack(self.blocks, call, (x_BTE, cache), start=0, stop=layers, scan=scan)
        counts_B = jnp.full(B, T, jnp.int32) if counts_B is None else counts_B.astype(jnp.int32)
        cache = dataclasses.replace(cache, lengths_B=cache.lengths_B + counts_B)
        return self.logits(x_BTE if self.norm is None else self.norm(x_BTE)), cache

    def _embed(self, tokens: Array, positions: Array, types: Array | None) -> Array:
        if types is not None and self.types is None:
            raise ValueError("the batch has token types but the model has types=0: set Transformer.types")
        x = self.tokens(tokens)
        if self.positions is not None:
            self._check_length(tokens.shape[1])
            x = x + self.positions(positions)
        if self.types is not None:
            x = x + self.types(jnp.zeros_like(tokens) if types is None else types)
        return x if self.embed_norm is None else self.embed_norm(x)

    def _angles(self, positions: Array, x: Array) -> Array | None:
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


class Transform(nnx.Module):
    """BERT's step between blocks and head: dense, GELU, norm, from `embed` to `embed_out` (an axis that grows as `embed`)."""

    def __init__(self, config: Transformer, rngs: nnx.Rngs) -> None:
        E, c = config.embed, config
        self.dense = Dense({"embed": E}, {"embed_out": E}, std=c.init_std, bias=c.use_bias, rngs=rngs)
        self.norm = Norm(c.norm, "embed_out", E, eps=c.norm_eps, bias=c.use_bias, tied=c.tied)

    def __call__(self, x_BTE: Float[Array, "B T E"]) -> Float[Array, "B T E"]:
        return self.norm(jax.nn.gelu(self.dense(x_BTE), approximate=False))


def bert(**fields: Any) -> Transformer:
    """An encoder as in Devlin et al. 2018 (https://arxiv.org/abs/1810.04805): post-norm, learned positions, GELU, tied.

    >>> bert(embed=768, heads=12).sizes()["head_dim"]
    64
    """
    return Transformer(**{"causal": False, "norm_position": "post", "norm_eps": 1e-12, **fields})


def gpt(**fields: Any) -> Transformer:
    """A decoder as in Radford et al. 2019 (GPT-2): pre-norm, learned positions, approximate GELU, tied.

    >>> gpt().norm_position
    'pre'
    """
    return Transformer(**{"activation": "gelu_tanh", **fields})


def llama(**fields: Any) -> Transformer:
    """A decoder as in Touvron et al. 2023 (https://arxiv.org/abs/2302.13971): RMSNorm, rotary, SwiGLU, no bias, untied.

    >>> llama().positions
    'rotary'
    """
    family = {"norm": "rms", "positions": "rotary", "activation": "swiglu", "use_bias": False, "tied": False}
    return Transformer(**{**family, **fields})
