"""Reward models of lists of answers, and rewards in which such a model stands beside a verifier.

Letters: Q queries, K answers to each, S tokens of a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from stagejax.objectives.loss import Metrics


def scores_at(
    model: Any, tokens_RS: Int[Array, "R S"], ends_R: Int[Array, " R"], key: Array | None = None
) -> Float[Array, " R"]:
    """r(x, y): the score behind the last token of each row.

    Args:
      model: a score (R, S) behind each token.
      ends_R: behind the last token.

    >>> model = lambda tokens, key: tokens.astype(float)
    >>> scores_at(model, jnp.array([[1, 5, 0], [1, 3, 7]]), jnp.array([2, 3])).tolist()
    [5.0, 7.0]
    """
    return jnp.take_along_axis(model(tokens_RS, key=key), ends_R[:, None] - 1, axis=1)[:, 0]


def right_above_wrong(model: Any, batch: Mapping[str, Any], key: Array | None) -> tuple[Float[Array, ""], Metrics]:
    """The listwise loss of a reward model, mean over queries of -1 / (k (K - k)) Σ_p Σ_n log σ(r_p - r_n).

    p goes over the k right answers to a query, n over the K - k wrong ones; all pairs are had from one forward pass of
    the K answers. A query whose answers are all right or all wrong has no pair, and counts for nothing.

    Args:
      model: a score behind each token.
      batch: `tokens` (Q, K, S), queries with answers; `ends` (Q, K), behind the last token; `right` (Q, K), 1 or 0.

    Metrics are pairs over queries: `loss`, and `accuracy`, the share of pairs that are ordered right.

    Reference: Yang et al. 2024 (Qwen2.5-Math), https://arxiv.org/abs/2409.12122, section 3.2.

    >>> model = lambda tokens, key: tokens.astype(float)
    >>> batch = {"tokens": jnp.array([[[5], [3], [3]]]), "ends": jnp.ones((1, 3), int)}
    >>> loss, metrics = right_above_wrong(model, batch | {"right": jnp.array([[1.0, 0.0, 0.0]])}, None)
    >>> round(float(loss), 4), float(metrics["accuracy"][0])
    (0.1269, 1.0)
    """
    tokens_QKS, right_QK = batch["tokens"], batch["right"]
    Q, K, S = tokens_QKS.shape
    scores_QK = scores_at(model, tokens_QKS.reshape(-1, S), batch["ends"].reshape(-1), key).reshape(Q, K)
    ahead_QKK = scores_QK[:, :, None] - scores_QK[:, None, :]
    pairs_QKK = right_QK[:, :, None] * (1 - right_QK[:, None, :])
    count_Q = pairs_QKK.sum((1, 2))

    def over_pairs(value_QKK: Array) -> Array:
        return jnp.sum(pairs_QKK * value_QKK, (1, 2)) / jnp.maximum(count_Q, 1.0)

    queries = jnp.sum(count_Q > 0).astype(scores_QK.dtype)
    metrics: Metrics = {"loss": (over_pairs(jax.nn.softplus(-ahead_QKK)).sum(), queries)}
    metrics["accuracy"] = (over_pairs((ahead_QKK > 0).astype(scores_QK.dtype)).sum(), queries)
    return metrics["loss"][0] / jnp.maximum(queries, 1.0), metrics


def shaped(
    scores: Float[Array, "*n"], right: Float[Array, "*n"], alpha: float = 0.5, judge: Any = 1.0, verifier: Any = 1.0
) -> Float[Array, "*n"]:
    """σ(α r_m) + (r_v - 1): right answers from 0 to 1, wrong ones from -1 to 0, ordered by the reward model in both.

    Args:
      scores: r_m, of the reward model.
      right: r_v, 1 or 0, of the verifier.
      judge, verifier: weights of the two terms, 1 in the paper.

    Reference: Yang et al. 2024 (Qwen2.5-Math), https://arxiv.org/abs/2409.12122, section 3.3.

    >>> shaped(jnp.array([0.0, 4.0, 4.0]), jnp.array([1.0, 1.0, 0.0])).round(2)
    Array([ 0.5 ,  0.88, -0.12], dtype=float32)
    """
    return judge * jax.nn.sigmoid(alpha * scores) + verifier * (right - 1)
