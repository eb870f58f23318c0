"""Decoding from several contexts at once: at each token, the mixture of what is said behind each of them.

Letters: B rows, K contexts of each, T new tokens, V ids.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from stagejax.decode.protocol import CausalModel


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ContextsCache:
    """The cache of B · K rows, and how much each counts: rows of it are questions with all their contexts."""

    own: Any
    logw_BK: Any

    @property
    def lengths_B(self) -> Int[Array, " B"]:
        """How many tokens each row has."""
        return self.own.lengths_B[:: self.logw_BK.shape[1]]

    def rows(self, rows_R: Int[Array, " R"]) -> ContextsCache:
        """Chosen rows."""
        K = self.logw_BK.shape[1]
        all_RK = rows_R[:, None] * K + jnp.arange(K)
        return ContextsCache(self.own.rows(all_RK.reshape(-1)), self.logw_BK[rows_R])

    def moved(self, by_B: Int[Array, " B"]) -> ContextsCache:
        """With tokens more or fewer in each row, of those that are written."""
        return replace(self, own=self.own.moved(jnp.repeat(by_B, self.logw_BK.shape[1])))


@dataclass(frozen=True, eq=False)
class InContexts:
    """A `CausalModel` of B rows from one of B · K that has read K contexts of each: p = Σ_k w_k p_k at every token.

    What was said is the same behind all contexts, so samples, beams and scores are those of RAG-token.

    Args:
      model: has read the contexts row by row, those of a question one after the other.
      scores_BK: w = softmax(scores).

    Reference: Lewis et al. 2020, https://arxiv.org/abs/2005.11401, section 2.5.

    >>> from stagejax.decode import Recomputed, padded_prompts, sample
    >>> model = Recomputed(lambda tokens, w: w * jax.nn.one_hot(tokens + 1, 9), jnp.array([[[9.0]], [[-9.0]]]))
    >>> both = InContexts(model, jnp.array([[2.0, 0.0]]))
    >>> sample(both, padded_prompts([[3]], 1), jax.random.key(0), length=4, temperature=0.0).tokens_BNS.tolist()
    [[[3, 4, 5, 6]]]
    """

    model: CausalModel
    scores_BK: Any

    def init_cache(self, batch: int, length: int) -> ContextsCache:
        """Nothing said yet.

        Raises:
          ValueError: another number of rows than of scores.
        """
        if batch != len(self.scores_BK):
            raise ValueError(f"a cache of {batch} rows, but there are contexts of {len(self.scores_BK)}")
        logw_BK = jax.nn.log_softmax(jnp.asarray(self.scores_BK, jnp.float32))
        return ContextsCache(self.model.init_cache(logw_BK.size, length), logw_BK)

    def step(
        self, tokens_BT: Int[Array, "B T"], cache: ContextsCache, counts_B: Int[Array, " B"] | None = None
    ) -> tuple[Float[Array, "B T V"], ContextsCache]:
        """Log-probabilities of new tokens behind the cached ones, and the longer cache."""
        B, K = cache.logw_BK.shape
        counts = None if counts_B is None else jnp.repeat(counts_B, K)
        logits, own = self.model.step(jnp.repeat(tokens_BT, K, axis=0), cache.own, counts)
        logp_BKTV = jax.nn.log_softmax(logits).reshape(B, K, *logits.shape[1:])
        mixed_BTV = jax.nn.logsumexp(logp_BKTV + cache.logw_BK[:, :, None, None], axis=1)
        return mixed_BTV, replace(cache, own=own)
