"""Objectives of identification: images of one identity near each other, and found among all others.

Letters: B batch, E features, C identities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from stagejax.objectives.loss import Metrics, weighted
from stagejax.objectives.text.similarity import unit


def distances(x_NE: Float[Array, "N E"], y_ME: Float[Array, "M E"]) -> Float[Array, "N M"]:
    """Euclidean distances; the gradient at distance 0 is 0.

    >>> distances(jnp.array([[0.0, 0.0]]), jnp.array([[3.0, 4.0], [0.0, 0.0]]))
    Array([[5., 0.]], dtype=float32)
    """
    squares = jnp.sum((x_NE[:, None] - y_ME) ** 2, -1)
    zero = squares == 0
    return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, squares)))


def batch_hard(
    x_BE: Float[Array, "B E"], labels_B: Int[Array, " B"], margin: float = 0.3
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The triplet loss of the hardest of the batch: mean over anchors of max(0, margin + farthest own - nearest other).

    An anchor whose identity has no second image in the batch, or that has no other identity there, counts for nothing.

    Returns:
      The loss, and the share of anchors that violate the margin.

    Reference: Hermans et al. 2017, https://arxiv.org/abs/1703.07737, equation 5.

    >>> x, labels = jnp.array([[0.0], [1.0], [3.0], [3.5]]), jnp.array([0, 0, 1, 1])
    >>> [round(float(v), 3) for v in batch_hard(x, labels, margin=1.5)]  # 0.5 for 1 (own 1, other 2); 0 for the rest
    [0.125, 0.25]
    """
    apart_BB = distances(x_BE, x_BE)
    same_BB = labels_B[:, None] == labels_B
    own_BB = same_BB & ~jnp.eye(len(labels_B), dtype=bool)
    farthest_B = jnp.where(own_BB, apart_BB, -jnp.inf).max(1)
    nearest_B = jnp.where(same_BB, jnp.inf, apart_BB).min(1)
    counts_B = own_BB.any(1) & ~same_BB.all(1)
    loss_B = jnp.where(counts_B, jax.nn.relu(margin + farthest_B - nearest_B), 0.0)
    count = jnp.maximum(counts_B.sum(), 1)
    return loss_B.sum() / count, (loss_B > 0).sum() / count


@dataclass(frozen=True)
class Identification:
    """Cross entropy of the identity + `batch_hard` of the unit features, for classifiers (see `models.convnet`).

    Metrics: `loss` and `accuracy` of the identities, `violations`.

    Reference: the usual baseline of re-identification, Luo et al. 2019, https://arxiv.org/abs/1903.07071, section 2.
    """

    margin: float = 0.3

    def __call__(self, model: Any, batch: Mapping[str, Any], key: Array | None) -> tuple[Float[Array, ""], Metrics]:
        x_BE = model.features(batch["image"], key)
        loss, metrics = weighted(model.logits(x_BE), batch["label"])
        triplet, violations = batch_hard(unit(x_BE), batch["label"], self.margin)
        count = jnp.asarray(len(x_BE), jnp.float32)
        return loss + triplet, metrics | {"violations": (violations * count, count)}


def mean_average_precision(scores_QG: Float[Array, "Q G"], right_QG: Any) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """(mean over queries of the average precision of their ranking, rank-1 accuracy).

    The average precision is the mean over what is right of the precision at its rank.

    >>> scores, right = jnp.array([[4.0, 3.0, 2.0, 1.0]]), jnp.array([[True, False, True, False]])
    >>> [round(float(v), 3) for v in mean_average_precision(scores, right)]  # (1/1 + 2/3) / 2
    [0.833, 1.0]
    """
    order_QG = jnp.argsort(-scores_QG, axis=1)
    hits_QG = jnp.take_along_axis(right_QG, order_QG, axis=1).astype(jnp.float32)
    precision_QG = jnp.cumsum(hits_QG, axis=1) / (1 + jnp.arange(hits_QG.shape[1]))
    average_Q = (hits_QG * precision_QG).sum(1) / jnp.maximum(hits_QG.sum(1), 1)
    return average_Q.mean(), hits_QG[:, 0].mean()


@dataclass(frozen=True)
class Reidentified:
    """Retrieval by cosine: the first half of an identity's images are queries, the second halves the gallery.

    Of batches of `Identities`. The loss is 1 - mAP; metrics `mAP` and `rank-1`.

    Args:
      each: images of an identity, an even number.
    """

    each: int

    def __call__(self, model: Any, batch: Mapping[str, Any], key: Array | None) -> tuple[Float[Array, ""], Metrics]:
        x_BE, half = unit(model.features(batch["image"])), self.each // 2
        query_B = jnp.arange(len(x_BE)).reshape(-1, self.each)[:, :half].ravel()
        shown_B = query_B + half
        labels_B = batch["label"]
        right_QG = labels_B[query_B][:, None] == labels_B[shown_B]
        found, first = mean_average_precision(x_BE[query_B] @ x_BE[shown_B].T, right_QG)
        count = jnp.asarray(len(query_B), jnp.float32)
        return 1 - found, {"mAP": (found * count, count), "rank-1": (first * count, count)}
