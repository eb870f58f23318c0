"""An encoder-decoder that has read its inputs: what decoding takes for a causal model. The encoder runs once.

Letters: B rows, S tokens of the encoder, T new tokens, L layers of the decoder, K heads, H key size, V value size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from stagejax.models.cache import Cache, empty_cache
from stagejax.models.stack import run_stack


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ReadCache:
    """What a decoder has said so far, and the keys and values of what it read, which stay."""

    said: Cache
    read: Cache
    mask_BS: Bool[Array, "B S"] | None

    @property
    def lengths_B(self) -> Int[Array, " B"]:
        """How many tokens each row has said."""
        return self.said.lengths_B

    def rows(self, rows_R: Int[Array, " R"]) -> ReadCache:
        """Sequences chosen by number, some perhaps several times, each with what it read."""
        mask = None if self.mask_BS is None else self.mask_BS[rows_R]
        return ReadCache(self.said.rows(rows_R), self.read.rows(rows_R), mask)

    def moved(self, by_B: Int[Array, " B"]) -> ReadCache:
        """With tokens said more or fewer in each row, of those that are written."""
        return replace(self, said=self.said.moved(by_B))


@dataclass(frozen=True, eq=False)
class Read:
    """A `CausalModel` of the decoder's tokens: p(y_t | x, y_<t), with x read by the encoder once for all t.

    Args:
      model: an `EncoderDecoder`.
      inputs_BS, mask_BS: what the encoder reads, and where there is something; everywhere where absent.
      beside: what else `model.encode` takes of the rows, such as an `image`.

    >>> from flax import nnx
    >>> from stagejax.models.t5 import T5
    >>> read = Read(T5().build(nnx.Rngs(0)), jnp.ones((2, 7), int))
    >>> logits, cache = read.step(jnp.array([[1], [1]]), read.init_cache(2, 5))
    >>> logits.shape, cache.lengths_B.tolist()
    ((2, 1, 512), [1, 1])
    """

    model: Any
    inputs_BS: Any
    mask_BS: Any = None
    beside: Mapping[str, Any] = field(default_factory=dict)

    def init_cache(self, batch: int, length: int) -> ReadCache:
        """Nothing said yet, at most `length` tokens to say, and the keys and values of every layer's memory.

        Raises:
          ValueError: another number of rows than of inputs.
        """
        if batch != len(self.inputs_BS):
            raise ValueError(f"a cache of {batch} rows, but {len(self.inputs_BS)} inputs were read: give one of each")
        c, blocks = self.model.config, self.model.decoder
        memory_BSE = self.model.encode(self.inputs_BS, mask=self.mask_BS, **self.beside)
        sizes = (c.heads, c.head_dim, memory_BSE.dtype)
        read = empty_cache(c.decoder_layers, batch, memory_BSE.shape[1], *sizes)
        at_BS = jnp.broadcast_to(jnp.arange(memory_BSE.shape[1]), memory_BSE.shape[:2])

        def call(block: Any, layer: Any, read: Any) -> Any:
            return read.write(layer, at_BS, *block.cross.seen(memory_BSE))

        read = run_stack(blocks, call, read, start=0, stop=c.decoder_layers, scan=c.scan)
        return ReadCache(empty_cache(c.decoder_layers, batch, length, *sizes), read, self.mask_BS)

    def step(
        self, tokens_BT: Int[Array, "B T"], cache: ReadCache, counts_B: Int[Array, " B"] | None = None
    ) -> tuple[Float[Array, "B T vocab"], ReadCache]:
        """Logits of new tokens behind the cached ones, and the longer cache; as `LanguageModel.step`."""
        (B, T), model, c = tokens_BT.shape, self.model, self.model.config
        length = cache.said.keys_LBSKH.shape[2]
        positions_BT = cache.lengths_B[:, None] + jnp.arange(T, dtype=jnp.int32)
        bias_BKTC = model.decoder_positions.behind(positions_BT, length)
        x_BTE = jnp.where((positions_BT < length)[..., None], model.tokens(tokens_BT), jnp.nan)

        def call(block: Any, layer: Any, carry: Any) -> Any:
            return block.step(*carry, layer, positions_BT, bias_BKTC, cache.read, cache.mask_BS)

        carry = (x_BTE, cache.said)
        x_BTE, said = run_stack(model.decoder, call, carry, start=0, stop=c.decoder_layers, scan=c.scan)
        counts_B = jnp.full(B, T, jnp.int32) if counts_B is None else counts_B.astype(jnp.int32)
        said = replace(said, lengths_B=said.lengths_B + counts_B)
        return model.logits(model.decoder_norm(x_BTE)), replace(cache, said=said)
