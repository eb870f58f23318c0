"""Cross-encoders: a query and an item in one sequence, and one score of the two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax.models.build import built
from stagejax.models.language_model import LanguageModel
from stagejax.models.linear import Dense
from stagejax.models.transformer import Transformer

#: What of the contextual states makes the score: a linear map of [CLS], or the product of two states at markers.
Pool = Literal["cls", "markers"]
MARKERS = 3  #: ids that the markers take, behind those of text
SPECIAL = 4  #: ids before those of text


@dataclass(frozen=True)
class CrossEncoder:
    """An encoder that reads `[CLS] [S] query [E] [SEP] [T] item` and scores the pair.

    The markers [S], [E] and [T] are the last three ids of the encoder's vocabulary. Queries and items have fixed
    lengths, so markers and positions lie at the same places in every pair; padding is not seen. Token types tell query
    and item apart; an encoder with four of them is also told which tokens stand on both sides, what a pre-trained one
    finds by itself.

    Raises:
      ValueError: the encoder is a decoder, has too few positions, or another number of token types.

    References: Yadav et al. 2022 (ANNCUR), https://arxiv.org/abs/2210.12579: "cls" is its [CLS]-CE, "markers" its
    [EMB]-CE; exact matches as marks: Boualili et al. 2020 (MarkedBERT), SIGIR.

    >>> from stagejax.models import bert
    >>> CrossEncoder(bert(length=16, types=2), query=6, item=8).length
    Traceback (most recent call last):
    ...
    ValueError: pairs have 17 tokens, but the encoder has length=16 positions: raise it
    """

    encoder: Transformer
    query: int  # tokens of a query, [CLS] among them
    item: int  # tokens of an item, [CLS] among them
    pool: Pool = "cls"
    pad: int = 0
    cls: int = 1
    sep: int = 2

    def __post_init__(self) -> None:
        c = self.encoder
        if c.causal or c.types not in (2, 4):
            raise ValueError(f"causal={c.causal}, types={c.types}: a cross-encoder needs bert(types=2, ...) or 4")
        if c.length < self.length:
            raise ValueError(
                f"pairs have {self.length} tokens, but the encoder has length={c.length} positions: raise it"
            )

    @property
    def length(self) -> int:
        """Tokens of a pair."""
        return self.query + self.item + 3

    def sizes(self) -> dict[str, int]:
        """The named axes of the encoder, and the score."""
        return self.encoder.sizes() | {"score": 1}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `PairScorer` with its initial parameters."""
        return built(PairScorer, self, rngs.params())


class PairScorer(nnx.Module):
    """Letters: N pairs, Q and I tokens of a query and an item, T of both, E embed."""

    def __init__(self, config: CrossEncoder, rngs: nnx.Rngs) -> None:
        c = config.encoder
        self.config = config
        self.encoder = LanguageModel(c, rngs)
        cls = config.pool == "cls"
        self.scorer = Dense({"embed": c.embed}, {"score": 1}, std=c.init_std, bias=True, rngs=rngs) if cls else None

    def __call__(
        self, queries_NQ: Int[Array, "N Q"], items_NI: Int[Array, "N I"], **options: Any
    ) -> Float[Array, " N"]:
        """One score a pair: `w · h[CLS] + b`, or `(h[S] + h[E]) / 2 · h[T]`, for contextual states h.

        Args:
          queries_NQ, items_NI: texts as [CLS, tokens, padding]; their own [CLS] is left out.
          options: those of `LanguageModel.hidden`.
        """
        c, text = self.config, self.config.encoder.vocab - MARKERS
        queries, items = queries_NQ[:, 1:], items_NI[:, 1:]
        end = 2 + queries.shape[1]

        def column(token: int) -> Array:
            return jnp.full((len(queries), 1), token, queries.dtype)

        parts = (column(c.cls), column(text), queries, column(text + 1), column(c.sep), column(text + 2), items)
        tokens_NT = jnp.concatenate(parts, 1)
        types_NT = jnp.broadcast_to(jnp.arange(tokens_NT.shape[1]) >= end + 2, tokens_NT.shape).astype(jnp.int32)
        if c.encoder.types == 4:
            types_NT += 2 * shared_tokens(tokens_NT, types_NT, text)
        x_NTE = self.encoder.hidden(tokens_NT, types=types_NT, mask=tokens_NT != c.pad, **options)
        if self.scorer is not None:
            return self.scorer(x_NTE[:, 0])[:, 0]
        return jnp.sum((x_NTE[:, 1] + x_NTE[:, end]) / 2 * x_NTE[:, end + 2], -1)

    def scores(self, queries_NQ: Int[Array, "N Q"], items_NKI: Int[Array, "N K I"]) -> Float[Array, "N K"]:
        """The score of each query with each of its own items."""
        N, K, I = items_NKI.shape  # noqa: E741
        return self(jnp.repeat(queries_NQ, K, 0), items_NKI.reshape(N * K, I)).reshape(N, K)


def shared_tokens(tokens_NT: Int[Array, "N T"], sides_NT: Int[Array, "N T"], text: int) -> Int[Array, "N T"]:
    """1 at tokens of text that stand on the other side too. Ids below 4 and from `text` on are no text.

    >>> shared_tokens(jnp.array([[4, 5, 0, 5, 6]]), jnp.array([[0, 0, 0, 1, 1]]), 9).tolist()
    [[0, 1, 0, 1, 0]]
    """
    equal_NTT = tokens_NT[:, :, None] == tokens_NT[:, None, :]
    across_NTT = sides_NT[:, :, None] != sides_NT[:, None, :]
    is_text_NT = (tokens_NT >= SPECIAL) & (tokens_NT < text)
    return ((equal_NTT & across_NTT).any(2) & is_text_NT).astype(jnp.int32)
