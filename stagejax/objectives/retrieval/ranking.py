"""Ranking items for queries: contrastive, listwise against hard negatives, and distilled from another model's scores.

A batch holds `query` (B, Q) and its candidates `items` (B, K, I), as `data.retrieval.candidates` gives them. A model
gives `scores(queries, items) -> (B, K)`, each query with its own items; one with vectors of both also
`similarities(queries (B, Q), items (M, I)) -> (B, M)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.contrastive import info_nce
from stagejax.objectives.distillation import kl_divergence
from stagejax.objectives.loss import Metrics, weighted
from stagejax.objectives.retrieval.retrieval import reciprocal_rank_at

Batch = Mapping[str, Any]


def in_batch(model: Any, batch: Batch, key: Array | None) -> tuple[Float[Array, ""], Metrics]:
    """`info_nce` of the queries and their first items: the other queries' are the negatives."""
    return info_nce(model.similarities(batch["query"], batch["items"][:, 0]))


def listwise(model: Any, batch: Batch, key: Array | None) -> tuple[Float[Array, ""], Metrics]:
    """`CE(softmax over candidates of score(q, i), first)` in nats; also `mrr`, where the first one ranks.

    Reference: with mined hard negatives, Wu et al. 2020 (BLINK), https://arxiv.org/abs/1911.03814, section 4.2.

    >>> from types import SimpleNamespace
    >>> model = SimpleNamespace(scores=lambda q, i: jnp.zeros(i.shape[:2]))
    >>> loss, metrics = listwise(model, {"query": jnp.ones((2, 3)), "items": jnp.ones((2, 4, 5))}, None)
    >>> round(float(loss), 4), float(metrics["mrr"][0])
    (1.3863, 0.5)
    """
    logits_BK = model.scores(batch["query"], batch["items"])
    first_B = jnp.zeros(len(logits_BK), jnp.int32)
    loss, metrics = weighted(logits_BK, first_B)
    return loss, metrics | {"mrr": reciprocal_rank_at(logits_BK.shape[1], logits_BK, first_B)}


def distilled(model: Any, batch: Batch, key: Array | None) -> tuple[Float[Array, ""], Metrics]:
    """`KL(softmax(t) || softmax(s))` over the candidates of the whole batch, t the scores of the teacher, in nats.

    The teacher's scores of a query and another's candidates are known as well, so these are no blind negatives.

    Args:
      batch: also the `numbers` (B, K) of the candidates and the teacher's `scores` (B, all items) of each query.

    Reference: Yadav et al. 2022 (ANNCUR), https://arxiv.org/abs/2210.12579, its dual encoder distilled from a
    cross-encoder; the loss of a batch's pool is ours.
    """
    B, K, I = batch["items"].shape  # noqa: E741
    logits_BM = model.similarities(batch["query"], batch["items"].reshape(B * K, I))
    teacher_BM = jnp.take(batch["scores"], batch["numbers"].reshape(-1), axis=1)
    apart_B = kl_divergence(logits_BM, jax.nn.softmax(teacher_BM.astype(jnp.float32)))
    return apart_B.mean(), {"loss": (apart_B.sum(), jnp.asarray(B, jnp.float32))}
