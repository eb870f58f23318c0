"""An encoder-decoder of two language models: one reads, the other says, and cross-attention between them is all that
neither of them had.

Letters: B batch, S tokens of the encoder, T tokens of the decoder, E embed, K key/value heads, H and V sizes of a head.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from stagejax import axes
from stagejax.models.attention import Attention, attend
from stagejax.models.block import Key, dropout
from stagejax.models.build import built
from stagejax.models.cache import empty_cache
from stagejax.models.language_model import LanguageModel
from stagejax.models.norm import Norm
from stagejax.models.stack import run_stack, stack
from stagejax.models.text.reading import ReadCache
from stagejax.models.transformer import Transformer


@dataclass(frozen=True)
class Coupled:
    """What a coupled encoder-decoder is: two encoders' declarations, of which the second runs with a causal mask.

    So both may be masked language models; between attention and feed-forward network of every block of the decoder
    comes attention to what the encoder gives. Nothing is shared. Axes are qualified by side, such as `vocab.encoder`
    and `layers.decoder`, but for the residual width `embed`.

    Raises:
      ValueError: two widths, a model that is causal already, or one with experts.

    Reference: Rothe et al. 2020 (sequence generation from pre-trained checkpoints), https://arxiv.org/abs/1907.12461.

    >>> from stagejax.models import bert
    >>> Coupled(bert(vocab=30), bert(vocab=90, layers=2)).sizes()["layers.decoder"]
    2
    """

    encoder: Transformer
    decoder: Transformer

    def __post_init__(self) -> None:
        if self.encoder.embed != self.decoder.embed:
            raise ValueError(
                f"the encoder has embed={self.encoder.embed} and the decoder {self.decoder.embed}: give them one width"
            )
        if self.encoder.causal or self.decoder.causal:
            raise ValueError("causal=True: give both as bert(...); the decoder gets its causal mask here")
        if self.encoder.experts or self.decoder.experts:
            raise ValueError("experts > 0: the coupled models have plain feed-forward networks")

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        both = {"encoder": self.encoder.sizes(), "decoder": self.decoder.sizes()}
        return {qualified(name, side): size for side, sizes in both.items() for name, size in sizes.items()}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `CoupledModel` with its initial parameters, drawn from `rngs.params`."""
        return built(CoupledModel, self, rngs.params())


def qualified(name: str, side: str) -> str:
    """The name of an axis in one of the two models.

    >>> qualified("mlp", "encoder"), qualified("embed_out", "encoder")
    ('mlp.encoder', 'embed_out')
    """
    return name if name.startswith("embed") else f"{name}.{side}"


class CrossAttention(nnx.Module):
    """`x + attention(norm(x), memory)`, or post-norm `norm(x + attention(x, memory))`."""

    def __init__(self, config: Transformer, rngs: nnx.Rngs) -> None:
        c, sizes = config, config.sizes()
        self.post, self.dropout = c.norm_position == "post", c.dropout
        self.norm = Norm(c.norm, "embed", c.embed, eps=c.norm_eps, bias=c.use_bias)
        heads = (sizes[name] for name in ("embed", "kv_heads", "q_per_kv", "head_dim"))
        std = {"std": c.init_std, "std_out": c.init_std, "value_dim": sizes["value_dim"]}
        self.attention = Attention(*heads, bias=c.use_bias, qkv_bias=c.qkv_bias, rngs=rngs, **std)

    def seen(self, memory_BSE: Float[Array, "B S E"]) -> tuple[Float[Array, "B S K H"], Float[Array, "B S K V"]]:
        """Keys and values of what the encoder gave."""
        return self.attention.key(memory_BSE), self.attention.value(memory_BSE)

    def __call__(
        self,
        x_BTE: Float[Array, "B T E"],
        key_BSKH: Float[Array, "B S K H"],
        value_BSKV: Float[Array, "B S K V"],
        mask: Bool[Array, "B S"] | None = None,
        key: Key | None = None,
    ) -> Float[Array, "B T E"]:
        """The stream with what was found added."""
        query_BTKGH = self.attention.query(x_BTE if self.post else self.norm(x_BTE))
        y_BTE = self.attention.out(attend(query_BTKGH, key_BSKH, value_BSKV, mask=mask))
        x_BTE = x_BTE + dropout(y_BTE, self.dropout, key)
        return self.norm(x_BTE) if self.post else x_BTE


class CoupledModel(nnx.Module):
    """Tokens in, and logits of the tokens out that follow those given.

    Its parameters are those of the encoder without its head, those of the decoder, and `cross`.

    >>> from stagejax.models import bert
    >>> model = Coupled(bert(vocab=30), bert(vocab=90)).build(nnx.Rngs(0))
    >>> model(jnp.zeros((1, 7), int), jnp.zeros((1, 5), int)).shape
    (1, 5, 90)
    """

    def __init__(self, config: Coupled, rngs: nnx.Rngs) -> None:
        self.config = config
        names = {side: {name: qualified(name, side) for name in sizes} for side, sizes in self._sides()}
        self.encoder = axes.renamed(LanguageModel(config.encoder, rngs), names["encoder"])
        self.encoder.head = None
        self.decoder = axes.renamed(LanguageModel(config.decoder, rngs), names["decoder"])
        cross = stack(lambda own: CrossAttention(config.decoder, own), config.decoder.layers, rngs)
        self.cross = axes.renamed(cross, names["decoder"])

    def _sides(self) -> tuple[tuple[str, dict[str, int]], ...]:
        return (("encoder", self.config.encoder.sizes()), ("decoder", self.config.decoder.sizes()))

    def __call__(
        self,
        inputs_BS: Int[Array, "B S"],
        tokens_BT: Int[Array, "B T"],
        *,
        mask: Bool[Array, "B S"] | None = None,
        key: Key | None = None,
    ) -> Float[Array, "B T V"]:
        """Logits of every token behind `tokens_BT`.

        Args:
          mask: True where a token of the encoder may be seen; all where absent.
          key: draws dropout; without one there is none.
        """
        keys = (None, None) if key is None else jax.random.split(key)
        return self.say(tokens_BT, self.encode(inputs_BS, mask=mask, key=keys[0]), mask=mask, key=keys[1])

    def encode(
        self, inputs_BS: Int[Array, "B S"], *, mask: Bool[Array, "B S"] | None = None, key: Key | None = None
    ) -> Float[Array, "B S E"]:
        """What the decoder attends to."""
        return self.encoder.hidden(inputs_BS, mask=mask, key=key)

    def say(
        self,
        tokens_BT: Int[Array, "B T"],
        memory_BSE: Float[Array, "B S E"],
        *,
        mask: Bool[Array, "B S"] | None = None,
        key: Key | None = None,
    ) -> Float[Array, "B T V"]:
        """Logits, from what `encode` returned."""
        decoder, c = self.decoder, self.config.decoder
        keys = (None, None) if key is None else jax.random.split(key)
        positions = jnp.arange(tokens_BT.shape[1])[None]
        x_BTE = dropout(decoder.embed(tokens_BT, positions, None), c.dropout, keys[0])
        angles = decoder.angles(positions, x_BTE)

        def call(pair: Any, layer: Any, x_BTE: Any) -> Any:
            block, cross = pair
            own = (None, None, None) if key is None else jax.random.split(jax.random.fold_in(keys[1], layer), 3)
            x_BTE = block.attended(x_BTE, own[0], causal=True, angles_BTh=angles)
            return block.fed(cross(x_BTE, *cross.seen(memory_BSE), mask, own[1]), own[2])[0]

        how: dict[str, Any] = {"start": 0, "stop": c.layers, "scan": c.scan, "remat": c.remat}
        x_BTE = run_stack(self._layers(), call, x_BTE, **how)
        return decoder.logits(x_BTE if decoder.norm is None else decoder.norm(x_BTE))

    def _layers(self) -> nnx.Module:
        """Blocks and their cross-attention, side by side."""
        return nnx.List([self.decoder.blocks, self.cross])

    def reading(self, inputs_BS: Int[Array, "B S"], mask_BS: Bool[Array, "B S"] | None = None) -> Reading:
        """This model as a `CausalModel` of what it says of some inputs."""
        return Reading(self, inputs_BS, mask_BS)


@dataclass(frozen=True, eq=False)
class Reading:
    """A `CausalModel` of the decoder's tokens: p(y_t | x, y_<t), with x read by the encoder once for all t.

    >>> from stagejax.models import bert
    >>> read = Coupled(bert(vocab=30), bert(vocab=90)).build(nnx.Rngs(0)).reading(jnp.ones((2, 7), int))
    >>> logits, cache = read.step(jnp.array([[1], [1]]), read.init_cache(2, 5))
    >>> logits.shape, cache.lengths_B.tolist()
    ((2, 1, 90), [1, 1])
    """

    model: CoupledModel
    inputs_BS: Any
    mask_BS: Any = None
    memory_BSE: Any = None  # what the encoder gave for the inputs, where that is known already

    def init_cache(self, batch: int, length: int) -> ReadCache:
        """Nothing said yet, at most `length` tokens to say, and the keys and values of every layer's memory.

        Raises:
          ValueError: another number of rows than of inputs, or more tokens than the decoder has positions.
        """
        if batch != len(self.inputs_BS):
            raise ValueError(f"a cache of {batch} rows, but {len(self.inputs_BS)} inputs were read: give one of each")
        c, sizes = self.model.config.decoder, self.model.config.decoder.sizes()
        if c.positions == "learned" and length > c.length:
            raise ValueError(f"a cache of {length} tokens, but the decoder has length={c.length} positions: raise it")
        memory_BSE = self.memory_BSE
        if memory_BSE is None:
            memory_BSE = self.model.encode(self.inputs_BS, mask=self.mask_BS)
        own = (sizes["kv_heads"], sizes["head_dim"], memory_BSE.dtype, sizes["value_dim"])
        at_BS = jnp.broadcast_to(jnp.arange(memory_BSE.shape[1]), memory_BSE.shape[:2])

        def call(cross: Any, layer: Any, read: Any) -> Any:
            return read.write(layer, at_BS, *cross.seen(memory_BSE))

        empty = empty_cache(c.layers, batch, memory_BSE.shape[1], *own)
        read = run_stack(self.model.cross, call, empty, start=0, stop=c.layers, scan=c.scan)
        return ReadCache(empty_cache(c.layers, batch, length, *own), read, self.mask_BS)

    def step(
        self, tokens_BT: Int[Array, "B T"], cache: ReadCache, counts_B: Int[Array, " B"] | None = None
    ) -> tuple[Float[Array, "B T V"], ReadCache]:
        """Logits of new tokens behind the cached ones, and the longer cache; as `LanguageModel.step`."""
        (B, T), decoder, c = tokens_BT.shape, self.model.decoder, self.model.config.decoder
        positions_BT = cache.lengths_B[:, None] + jnp.arange(T, dtype=jnp.int32)
        x_BTE = decoder.embed(tokens_BT, positions_BT, None)
        x_BTE = jnp.where((positions_BT < cache.said.keys_LBSKH.shape[2])[..., None], x_BTE, jnp.nan)
        angles = decoder.angles(positions_BT, x_BTE)

        def call(pair: Any, layer: Any, carry: Any) -> Any:
            block, cross = pair
            x_BTE, said = block.attended_step(*carry, layer, positions_BT, angles)
            read = cache.read.keys_LBSKH[layer], cache.read.values_LBSKV[layer]
            return block.fed(cross(x_BTE, *read, cache.mask_BS))[0], said

        layers, carry = self.model._layers(), (x_BTE, cache.said)
        x_BTE, said = run_stack(layers, call, carry, start=0, stop=c.layers, scan=c.scan)
        counts_B = jnp.full(B, T, jnp.int32) if counts_B is None else counts_B.astype(jnp.int32)
        said = dataclasses.replace(said, lengths_B=said.lengths_B + counts_B)
        x_BTE = x_BTE if decoder.norm is None else decoder.norm(x_BTE)
        return decoder.logits(x_BTE), dataclasses.replace(cache, said=said)
