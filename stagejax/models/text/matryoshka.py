"""Text encoders of which every prefix is one too: the first n blocks, and the first d coordinates of what they give.

The stream keeps its full width; a cup (n, d) only reads less of it. So all cups of a batch come from one forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax.models.block import Block
from stagejax.models.build import built
from stagejax.models.language_model import LanguageModel, block_of
from stagejax.models.stack import run_stack
from stagejax.models.transformer import Transformer

#: (blocks, coordinates) of a sub-model.
Cup = tuple[int, int]
#: What of the stream is a sentence's vector: the mean over its text tokens, or its first token.
Pool = Literal["mean", "first"]


@dataclass(frozen=True)
class Matryoshka:
    """An encoder read at several depths and widths, and a decoder of one block that pre-training needs.

    Raises:
      ValueError: the encoder sees no future (it is a decoder), is pre-norm (its inner states have no norm), or has
        experts or dropout.

    >>> from stagejax.models import bert
    >>> model = Matryoshka(bert(layers=2, embed=16, heads=2)).build(nnx.Rngs(0))
    >>> [e.shape for e in model.embeddings(jnp.ones((3, 5), int), ((1, 4), (2, 16)))]
    [(3, 4), (3, 16)]
    """

    encoder: Transformer
    pad: int = 0  # token id that is no text

    def __post_init__(self) -> None:
        c = self.encoder
        if c.causal or c.norm_position != "post" or c.experts or c.dropout:
            raise ValueError(
                f"Matryoshka reads the stream behind any block, which only a post-norm encoder normalises, and knows "
                f"neither experts nor dropout; this one has causal={c.causal}, norm_position={c.norm_position!r}, "
                f"experts={c.experts}, dropout={c.dropout}: give it bert(...)"
            )

    def sizes(self) -> dict[str, int]:
        """The named axes of the encoder; the decoder shares them."""
        return self.encoder.sizes()

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `MatryoshkaEncoder`."""
        return built(MatryoshkaEncoder, self, rngs.params())


class MatryoshkaEncoder(nnx.Module):
    """Letters: L blocks, B batch, T tokens, E embed, D coordinates of a cup, V vocab."""

    def __init__(self, config: Matryoshka, rngs: nnx.Rngs) -> None:
        c = config.encoder
        self.config = config
        self.encoder = LanguageModel(c, rngs)
        self.decoder = block_of(c, rngs)

    def __call__(self, tokens_BT: Int[Array, "B T"], **options: Any) -> Float[Array, "B T V"]:
        """Logits of the whole encoder, as `LanguageModel` gives them."""
        return self.encoder(tokens_BT, **options)

    def read(self, tokens_BT: Int[Array, "B T"], reader: Callable[[Array], Array], depth: int) -> Float[Array, "L ..."]:
        """`reader(stream)` behind each of the blocks 1 ... depth, in one pass that keeps nothing else of the streams.

        Padding is not seen.

        Raises:
          ValueError: a depth that the encoder does not have.
        """
        c = self.config.encoder
        if not 1 <= depth <= c.layers:
            raise ValueError(f"depth={depth} of an encoder of layers={c.layers}: choose 1 ... {c.layers}")
        positions = jnp.arange(tokens_BT.shape[1])[None]
        x_BTE = self.encoder.embed(tokens_BT, positions, None)
        context = {"causal": False, "mask": tokens_BT != self.config.pad}
        context["angles_BTh"] = self.encoder.angles(positions, x_BTE)

        def call(block: Block, layer: Any, carry: Any) -> Any:
            x_BTE = block(carry[0], **context)
            return x_BTE, carry[1].at[layer].set(reader(x_BTE))

        one = jax.eval_shape(reader, x_BTE)
        carry = x_BTE, jnp.zeros((depth, *one.shape), one.dtype)
        return run_stack(self.encoder.blocks, call, carry, start=0, stop=depth, scan=c.scan, remat=c.remat)[1]

    def embeddings(
        self, tokens_BT: Int[Array, "B T"], cups: Sequence[Cup], pool: Pool = "mean"
    ) -> tuple[Float[Array, "B _"], ...]:
        """For each cup (n, d) the first d coordinates of what `pool` makes of the stream behind block n."""
        real_BT = tokens_BT != self.config.pad
        weights_BT1 = (real_BT / jnp.maximum(real_BT.sum(1, keepdims=True), 1))[..., None]

        def pooled(x_BTE: Array) -> Array:
            return x_BTE[:, 0] if pool == "first" else (x_BTE * weights_BT1.astype(x_BTE.dtype)).sum(1)

        found_LBE = self.read(tokens_BT, pooled, max(depth for depth, _ in cups))
        return tuple(found_LBE[depth - 1, :, :size] for depth, size in cups)

    def lift(self, x_D: Float[Array, "*batch D"]) -> Float[Array, "*batch E"]:
        """The first D coordinates as a full vector: the head's dense layer reads its first D inputs, GELU, norm."""
        head, size = self.encoder.head, x_D.shape[-1]
        y = x_D @ head.dense.kernel[...][:size]
        y = y if head.dense.bias is None else y + head.dense.bias[...]
        return head.norm(jax.nn.gelu(y, approximate=False))

    def predict(self, lifted: Float[Array, "*batch E"]) -> Float[Array, "*batch V"]:
        """Logits from what `lift` gives: the rest of the head."""
        head, tokens = self.encoder.head, self.encoder.tokens
        logits = tokens.transposed(lifted) if head.output is None else head.output(lifted)
        return logits if head.bias is None else logits + head.bias[...]

    def decode(self, tokens_BT: Int[Array, "B T"], first_BE: Float[Array, "B E"]) -> Float[Array, "B T E"]:
        """What the decoder makes of corrupted tokens, with a lifted vector in the place of the first."""
        positions = jnp.arange(tokens_BT.shape[1])[None]
        x_BTE = self.encoder.embed(tokens_BT, positions, None).at[:, 0].set(first_BE)
        angles = self.encoder.angles(positions, x_BTE)
        return self.decoder(x_BTE, causal=False, mask=tokens_BT != self.config.pad, angles_BTh=angles)
