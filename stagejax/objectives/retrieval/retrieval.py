"""Metrics of retrieval: how high what belongs to a query is ranked among everything that could be found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from stagejax.objectives.contrastive import info_nce
from stagejax.objectives.loss import Metrics

Pair = tuple[Float[Array, ""], Float[Array, ""]]


def ranks(scores_QD: Float[Array, "Q D"], relevant_Q: Int[Array, " Q"]) -> Int[Array, " Q"]:
    """The rank of each query's one relevant document, from 1; equal scores rank before it, so that a tie never helps.

    >>> ranks(jnp.array([[3.0, 1.0, 2.0], [1.0, 1.0, 0.0]]), jnp.array([2, 0]))
    Array([2, 2], dtype=int32)
    """
    own_Q1 = jnp.take_along_axis(scores_QD, relevant_Q[:, None], axis=1)
    return (scores_QD >= own_Q1).sum(1).astype(jnp.int32)


def recall_at(k: int, scores_QD: Float[Array, "Q D"], relevant_Q: Int[Array, " Q"]) -> Pair:
    """Recall at k where every query has one relevant document: (queries that find it among the k best, queries).

    >>> recall_at(1, jnp.eye(3), jnp.arange(3))
    (Array(3., dtype=float32), Array(3., dtype=float32))
    """
    found_Q = ranks(scores_QD, relevant_Q) <= k
    return found_Q.sum().astype(jnp.float32), jnp.asarray(found_Q.shape[0], jnp.float32)


def reciprocal_rank_at(
    k: int, scores_QD: Float[Array, "Q D"], relevant_Q: Int[Array, " Q"], weights_Q: Float[Array, " Q"] | None = None
) -> Pair:
    """MRR at k where every query has one relevant document: (sum of 1 / rank, 0 behind the k-th; queries).

    Args:
      weights_Q: 0 for queries that do not count.

    >>> reciprocal_rank_at(2, jnp.array([[3.0, 1.0], [2.0, 1.0]]), jnp.array([0, 1]))
    (Array(1.5, dtype=float32), Array(2., dtype=float32))
    """
    ranks_Q = ranks(scores_QD, relevant_Q)
    found_Q = jnp.where(ranks_Q <= k, 1 / ranks_Q, 0.0)
    weights_Q = jnp.ones_like(found_Q) if weights_Q is None else weights_Q
    return jnp.sum(weights_Q * found_Q), weights_Q.sum()


def zero_shot(images_BJ: Float[Array, "B J"], captions_CPJ: Float[Array, "C P J"], labels_B: Int[Array, " B"]) -> Pair:
    """Classification by captions: (images whose nearest class is theirs, images).

    A class is the direction of the mean of its captions' vectors, as in CLIP (https://arxiv.org/abs/2103.00020, section
    3.1.4).

    Args:
      images_BJ: unit vectors.
      captions_CPJ: unit vectors of P captions for each class.

    >>> zero_shot(jnp.eye(2), jnp.eye(2)[:, None], jnp.array([0, 0]))
    (Array(1., dtype=float32), Array(2., dtype=float32))
    """
    mean_CJ = captions_CPJ.mean(1)
    classes_CJ = mean_CJ / jnp.linalg.norm(mean_CJ, axis=-1, keepdims=True)
    return recall_at(1, images_BJ @ classes_CJ.T, labels_B)


@dataclass(frozen=True)
class ImageTextTransfer:
    """What a dual encoder is tested for: its loss on pairs, retrieval among them, zero-shot classification of others.

    A batch holds pairs under `image` and `tokens`, and images to classify under `single` with their `label`.

    Args:
      captions: gives the token ids of the captions of every class, (classes, captions, length).
    """

    captions: Callable[[], np.ndarray]

    def __call__(self, model: Any, batch: Mapping[str, Any], key: Array | None) -> tuple[Float[Array, ""], Metrics]:
        """InfoNCE of the pairs; beside `loss` the metrics `zero_shot`, `image_to_text` and `text_to_image` (R@1)."""
        pairs, ids_CPT = batch["image"].shape[0], jnp.asarray(self.captions())
        both_NJ = model.encode_image(jnp.concatenate([batch["image"], batch["single"]]))
        images_BJ, singles_BJ = both_NJ[:pairs], both_NJ[pairs:]
        said_NJ = model.encode_text(jnp.concatenate([batch["tokens"], ids_CPT.reshape(-1, ids_CPT.shape[-1])]))
        texts_BJ, captions_CPJ = said_NJ[:pairs], said_NJ[pairs:].reshape(*ids_CPT.shape[:2], -1)
        loss, metrics = info_nce(model.similarities(images_BJ, texts_BJ))
        partners_B = jnp.arange(pairs)
        return loss, {
            "loss": metrics["loss"],
            "zero_shot": zero_shot(singles_BJ, captions_CPJ, batch["label"]),
            "image_to_text": recall_at(1, images_BJ @ texts_BJ.T, partners_B),
            "text_to_image": recall_at(1, texts_BJ @ images_BJ.T, partners_B),
        }
