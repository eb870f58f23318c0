"""Conv-KNRM: n-grams of query and document as vectors, matched by their cosines, pooled by kernels, scored linearly."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from stagejax.models.build import built
from stagejax.models.linear import Dense, Table
from stagejax.models.text.kernel_pooling import Kernels, pooled


@dataclass(frozen=True)
class ConvKNRM:
    """Scores of a query's items: every n-gram size of the query with every one of the item, each by all kernels.

    Reference: Dai et al. 2018, Convolutional neural networks for soft-matching n-grams in ad-hoc search, WSDM.

    >>> model = ConvKNRM(vocab=50, embed=8, filters=6).build(nnx.Rngs(0))
    >>> tokens = jnp.array([[1, 9, 8, 0]])
    >>> model.scores(tokens, jnp.stack([tokens, tokens + 20], 1)).shape
    (1, 2)
    """

    vocab: int
    embed: int = 64
    filters: int = 64  # size of an n-gram's vector
    grams: tuple[int, ...] = (1, 2, 3)  # words of an n-gram
    kernels: Kernels = field(default_factory=Kernels)
    special: int = 4  # ids below it are no words

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        words = {f"words.{n}": n for n in self.grams}
        features = {"grams": len(self.grams), "grams.item": len(self.grams), "kernels": len(self.kernels.means)}
        return {"vocab": self.vocab, "embed": self.embed, "filters": self.filters, "score": 1} | words | features

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `Ranker` with its initial parameters."""
        return built(Ranker, self, rngs.params())


class Ranker(nnx.Module):
    """The module of `ConvKNRM`.

    Letters: N queries, K items of each, Q and I words of a query and an item, E embed, F filters, G n-gram sizes.
    """

    def __init__(self, config: ConvKNRM, rngs: nnx.Rngs) -> None:
        self.config = c = config
        self.table = Table("vocab", c.vocab, c.embed, std=1.0, rngs=rngs)

        def gram(n: int) -> Dense:
            std = (2 / (n * c.embed)) ** 0.5
            return Dense({f"words.{n}": n, "embed": c.embed}, {"filters": c.filters}, std=std, bias=True, rngs=rngs)

        self.grams = nnx.List([gram(n) for n in c.grams])
        features = {name: c.sizes()[name] for name in ("grams", "grams.item", "kernels")}
        self.scorer = Dense(features, {"score": 1}, std=math.prod(features.values()) ** -0.5, bias=True, rngs=rngs)

    def vectors(self, tokens_NT: Int[Array, "N T"]) -> Float[Array, "N G T F"]:
        """Unit vectors of the n-grams that begin at each word: `relu(W_n [e_t, ..., e_{t+n-1}] + b_n)`, normalised."""
        real_NT = self.words(tokens_NT)
        x_NTE = self.table(tokens_NT) * real_NT[..., None]

        def of_size(n: int, gram: Dense) -> Array:
            ahead = jnp.pad(x_NTE, ((0, 0), (0, n - 1), (0, 0)))
            h_NTF = jax.nn.relu(gram(jnp.stack([ahead[:, i : i + x_NTE.shape[1]] for i in range(n)], axis=2)))
            return h_NTF * jax.lax.rsqrt(jnp.square(h_NTF).sum(-1, keepdims=True) + 1e-12)

        return jnp.stack([of_size(n, gram) for n, gram in zip(self.config.grams, self.grams, strict=True)], axis=1)

    def words(self, tokens: Int[Array, "*rest T"]) -> Bool[Array, "*rest T"]:
        """Which tokens are words."""
        return tokens >= self.config.special

    def scores(self, queries_NQ: Int[Array, "N Q"], items_NKI: Int[Array, "N K I"]) -> Float[Array, "N K"]:
        """The score of each query with each of its own items."""
        N, K, I = items_NKI.shape  # noqa: E741
        G, Q = len(self.config.grams), queries_NQ.shape[1]
        queries = self.vectors(queries_NQ).reshape(N, G * Q, -1)
        items = self.vectors(items_NKI.reshape(N * K, I)).reshape(N, K, G * I, -1)
        cosines = jnp.einsum("naf,nkbf->nkab", queries, items).reshape(N, K, G, Q, G, I).swapaxes(3, 4)
        query, item = self.words(queries_NQ)[:, None, None, None], self.words(items_NKI)[:, :, None, None]
        return self.scorer(pooled(cosines, query, item, self.config.kernels))[..., 0]
