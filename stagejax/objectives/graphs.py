"""Objectives on one graph: the classes of its nodes, and which pairs of nodes are linked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from stagejax.objectives.loss import Metrics, weighted

Batch = Mapping[str, Any]


def node_classification(model: Any, batch: Batch, key: Array | None) -> tuple[Float[Array, ""], Metrics]:
    """The mean cross entropy of the nodes with a weight, in nats.

    Args:
      model: `model(features, senders, receivers, key=key)` gives a vector of every node, `model.logits` its logits.
      batch: of `data.NodeLabels`: one graph.
      key: draws dropout; None in evaluation.

    Returns:
      The loss, and the pairs (sum, number of nodes) `loss` and `accuracy`.
    """
    x_ND = model(batch["features"][0], batch["senders"][0], batch["receivers"][0], key=key)
    return weighted(model.logits(x_ND), batch["label"][0], batch["weights"][0])


def link_prediction(model: Any, batch: Batch, key: Array | None) -> tuple[Float[Array, ""], Metrics]:
    """The mean binary cross entropy of pairs of nodes, in nats.

    Args:
      model: as in `node_classification`, with `model.links(vectors, pairs)` the logit of each pair.
      batch: of `data.Links`: one graph.
      key: draws dropout; None in evaluation.

    Returns:
      The loss, and the pairs (sum, count) `loss`, `accuracy` and `auc`.
    """
    x_ND = model(batch["features"][0], batch["senders"][0], batch["receivers"][0], key=key)
    logits_P, label_P = model.links(x_ND, batch["pairs"][0]), batch["label"][0]
    losses_P = jax.nn.softplus(jnp.where(label_P == 1, -logits_P, logits_P))
    count = jnp.asarray(losses_P.size, losses_P.dtype)
    right = ((logits_P > 0) == (label_P == 1)).sum().astype(losses_P.dtype)
    metrics = {"loss": (losses_P.sum(), count), "accuracy": (right, count)}
    return losses_P.mean(), metrics | {"auc": (roc_auc(logits_P, label_P), jnp.ones(()))}


def roc_auc(scores: Float[Array, " n"], labels: Int[Array, " n"]) -> Float[Array, ""]:
    """The area under the ROC curve: how often a positive scores above a negative, ties counting half.

    >>> roc_auc(jnp.array([3.0, 1.0, 2.0, 0.0]), jnp.array([1, 1, 0, 0]))
    Array(0.75, dtype=float32)
    """
    negative = labels == 0
    ordered = jnp.sort(jnp.where(negative, scores, jnp.inf))
    below, upto = (jnp.searchsorted(ordered, scores, side=side) for side in ("left", "right"))
    wins = jnp.where(negative, 0.0, (below + upto) / 2)
    return wins.sum() / jnp.maximum(negative.sum() * (~negative).sum(), 1)
