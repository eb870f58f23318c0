"""Similarity of sentences: in-batch ranking of true pairs, pairwise order of graded ones, and rank correlation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics, weighted


def unit(x: Float[Array, "*batch D"]) -> Float[Array, "*batch D"]:
    """Vectors divided by their length."""
    return x * jax.lax.rsqrt(jnp.sum(x * x, -1, keepdims=True) + 1e-12)


def multiple_negatives(
    anchors_ND: Float[Array, "N D"],
    positives_ND: Float[Array, "N D"],
    negatives_KD: Float[Array, "K D"] | None = None,
    *,
    scale: float = 20.0,
) -> tuple[Float[Array, ""], Metrics]:
    """Multiple negatives ranking: `CE(scale · cos(a_i, c_j), i)` over all candidates c, in nats.

    Candidates of an anchor are the positives of the whole batch, of which its own is the answer, and all negatives.

    Reference: Henderson et al. 2017, https://arxiv.org/abs/1705.00652; on scaled cosines as in sentence-transformers.

    >>> _, metrics = multiple_negatives(jnp.eye(3), 2 * jnp.eye(3))
    >>> metrics["accuracy"]
    (Array(3., dtype=float32), Array(3., dtype=float32))
    """
    candidates = positives_ND if negatives_KD is None else jnp.concatenate([positives_ND, negatives_KD])
    return weighted(scale * unit(anchors_ND) @ unit(candidates).T, jnp.arange(anchors_ND.shape[0]))


def cosent(cosines_N: Float[Array, " N"], grades_N: Float[Array, " N"], *, scale: float = 20.0) -> Float[Array, ""]:
    """CoSENT: `log(1 + sum over i, j with grade_i > grade_j of exp(scale · (cos_j - cos_i)))`.

    Reference: Su 2022, https://kexue.fm/archives/8847; as in sentence-transformers.

    >>> cosent(jnp.array([0.5, 0.5]), jnp.array([1.0, 0.0])).round(4)
    Array(0.6931, dtype=float32)
    """
    wrong_NN = scale * (cosines_N[None, :] - cosines_N[:, None])
    terms_NN = jnp.where(grades_N[:, None] > grades_N[None, :], wrong_NN, -jnp.inf)
    return jax.nn.logsumexp(jnp.append(terms_NN.ravel(), 0.0))


def average_ranks(x_N: Float[Array, " N"]) -> Float[Array, " N"]:
    """Ranks from 1; equal values share the mean of theirs.

    >>> average_ranks(jnp.array([3.0, 1.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    ordered = jnp.sort(x_N)
    below, upto = (jnp.searchsorted(ordered, x_N, side=side) for side in ("left", "right"))
    return (below + upto + 1) / 2


def spearman(x_N: Float[Array, " N"], y_N: Float[Array, " N"]) -> Float[Array, ""]:
    """Spearman's rank correlation: Pearson's of the ranks.

    >>> spearman(jnp.array([1.0, 2.0, 9.0]), jnp.array([2.0, 4.0, 5.0])).round(3)
    Array(1., dtype=float32)
    """
    x_N, y_N = (ranks - ranks.mean() for ranks in (average_ranks(x_N), average_ranks(y_N)))
    return jnp.sum(x_N * y_N) / jnp.sqrt(jnp.sum(x_N**2) * jnp.sum(y_N**2))


def split_texts(model: Any, batch: Mapping[str, Any], key: Array | None) -> tuple[Float[Array, ""], Metrics]:
    """The two halves of a text belong together, among those of all texts of the batch: SimCSE with disjoint views.

    Each view is half of the places, drawn for every text, in their order and with dropout of its own.
    `multiple_negatives` of both, at the temperature 1 / 20. Views that share words, as those of SimCSE, are told apart
    by words alone; these need words that occur together.

    Args:
      model: `model.embeddings(tokens, key=key)` gives vectors (N, D); padding is not seen.
      batch: `tokens` (N, T).
      key: draws places and dropout; without one the views are the even and the odd places.

    References: Gao et al. 2021 (SimCSE), https://arxiv.org/abs/2104.08821; tokens cut from views: Yan et al. 2021
    (ConSERT), https://arxiv.org/abs/2105.11741.

    >>> from types import SimpleNamespace
    >>> model = SimpleNamespace(embeddings=lambda tokens, key: jnp.eye(9)[tokens].sum(1)[:, 1:])
    >>> split_texts(model, {"tokens": jnp.array([[7, 7, 7, 7], [8, 8, 8, 8]])}, None)[1]["accuracy"]
    (Array(2., dtype=float32), Array(2., dtype=float32))
    """
    tokens_NT = batch["tokens"]
    N, T = tokens_NT.shape
    if key is None:
        order_NT, first, second = jnp.broadcast_to(jnp.r_[:T:2, 1:T:2], (N, T)), None, None
    else:
        draw, first, second = jax.random.split(key, 3)
        order_NT = jax.random.uniform(draw, (N, T)).argsort(1)
    one, other = (
        jnp.take_along_axis(tokens_NT, jnp.sort(places, axis=1), axis=1)
        for places in jnp.split(order_NT[:, : T // 2 * 2], 2, axis=1)
    )
    return multiple_negatives(model.embeddings(one, key=first), model.embeddings(other, key=second))
