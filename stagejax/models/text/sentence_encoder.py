"""Sentence encoders: a text to one vector. A query and an item scored by the cosine of two make a dual encoder."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax.models.build import built
from stagejax.models.language_model import LanguageModel
from stagejax.models.transformer import Transformer


@dataclass(frozen=True)
class SentenceEncoder:
    """One encoder for queries and items, read at the mean of its tokens.

    Raises:
      ValueError: the encoder is a decoder.

    Reference: Reimers and Gurevych 2019 (Sentence-BERT), https://arxiv.org/abs/1908.10084.

    >>> from stagejax.models import bert
    >>> model = SentenceEncoder(bert(layers=1, embed=16, heads=2)).build(nnx.Rngs(0))
    >>> jax.eval_shape(model.scores, jnp.ones((2, 5), int), jnp.ones((2, 3, 7), int)).shape
    (2, 3)
    """

    encoder: Transformer
    scale: float = 20.0  # of the cosines
    pad: int = 0

    def __post_init__(self) -> None:
        if self.encoder.causal:
            raise ValueError("causal=True: a sentence encoder sees the whole text, give it bert(...)")

    def sizes(self) -> dict[str, int]:
        """The named axes of the encoder."""
        return self.encoder.sizes()

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `TextEncoder` with its initial parameters."""
        return built(TextEncoder, self, rngs.params())


class TextEncoder(nnx.Module):
    """Letters: N texts or queries, K items of a query, T, Q and I tokens, E embed."""

    def __init__(self, config: SentenceEncoder, rngs: nnx.Rngs) -> None:
        self.config = config
        self.encoder = LanguageModel(config.encoder, rngs)

    def __call__(self, tokens_NT: Int[Array, "N T"]) -> Float[Array, "N E"]:
        """Unit vectors: the mean of the stream over the tokens that are no padding."""
        real_NT = tokens_NT != self.config.pad
        x_NTE = self.encoder.hidden(tokens_NT, mask=real_NT)
        x_NE = jnp.sum(x_NTE * real_NT[..., None].astype(x_NTE.dtype), 1)
        return x_NE * jax.lax.rsqrt(jnp.sum(x_NE * x_NE, -1, keepdims=True) + 1e-12)

    def similarities(self, queries_NQ: Int[Array, "N Q"], items_MI: Int[Array, "M I"]) -> Float[Array, "N M"]:
        """Scaled cosines of every query with every item."""
        return self.config.scale * jnp.matmul(self(queries_NQ), self(items_MI).T)

    def scores(self, queries_NQ: Int[Array, "N Q"], items_NKI: Int[Array, "N K I"]) -> Float[Array, "N K"]:
        """Scaled cosines of each query with its own items."""
        N, K, I = items_NKI.shape  # noqa: E741
        items_NKE = self(items_NKI.reshape(N * K, I)).reshape(N, K, -1)
        return self.config.scale * jnp.einsum("ne,nke->nk", self(queries_NQ), items_NKE)
