"""Re-ranking of first-stage lists: losses of samples from them, one by one or in pairs, and how whole lists are ranked.

A training batch is that of `data.retrieval.first_stage.RankedPairs`: `items` (B, K, I), the relevant one first, the
others not relevant, and the `easiness` (B, K) of each. Losses are of every sample, so that a curriculum may weigh them.
A model gives `scores(queries (B, Q), items (B, K, I)) -> (B, K)`.

References: the losses are those of OpenNIR (MacAvaney, WSDM 2020).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from stagejax.objectives.loss import Metrics

Batch = Mapping[str, Any]
Scores = Float[Array, "B K"]


def softmax_loss(scores_BK: Scores) -> Float[Array, " B"]:
    """`1 - softmax(scores)[0]`: the share of the probability that the relevant item does not get.

    >>> softmax_loss(jnp.zeros((1, 2))).tolist()
    [0.5]
    """
    return 1 - jax.nn.softmax(scores_BK, axis=-1)[:, 0]


def cross_entropy_loss(scores_BK: Scores) -> Float[Array, " B"]:
    """`-ln softmax(scores)[0]`.

    >>> cross_entropy_loss(jnp.zeros((1, 2))).round(4).tolist()
    [0.6930999755859375]
    """
    return -jax.nn.log_softmax(scores_BK, axis=-1)[:, 0]


def hinge_loss(scores_BK: Scores) -> Float[Array, " B"]:
    """`max(0, 1 - s_0 + s_k)`, the mean over the others k.

    >>> hinge_loss(jnp.array([[1.0, 0.5, 3.0]])).tolist()
    [1.75]
    """
    return jax.nn.relu(1 - scores_BK[:, :1] + scores_BK[:, 1:]).mean(1)


def pairwise(model: Any, batch: Batch, key: Array | None, loss: Any = softmax_loss) -> tuple[Array, Metrics]:
    """The loss (B,) of every relevant item with its others; the metric `right` is how often it has the best score."""
    scores_BK = model.scores(batch["query"], batch["items"])
    above_B = (scores_BK[:, :1] > scores_BK[:, 1:]).all(1).astype(jnp.float32)
    return loss(scores_BK), {"right": (above_B.sum(), jnp.asarray(len(above_B), jnp.float32))}


def pair_easiness(batch: Batch) -> Float[Array, " B"]:
    """`(D+ - D- + 1) / 2` of the heuristic's D, that is the mean of both items' easiness D+ and 1 - D-.

    Of several others the hardest counts.

    >>> pair_easiness({"easiness": jnp.array([[1.0, 0.5], [0.25, 0.25]])}).tolist()
    [0.75, 0.25]
    """
    own_BK = batch["easiness"]
    return (own_BK[:, 0] + own_BK[:, 1:].min(1)) / 2


def pointwise(model: Any, batch: Batch, key: Array | None) -> tuple[Array, Metrics]:
    """The binary cross entropy (B, K) of each item by itself: `-ln sigmoid(s)` of a relevant one, `-ln sigmoid(-s)`."""
    scores_BK = model.scores(batch["query"], batch["items"])
    sides_K = jnp.where(jnp.arange(scores_BK.shape[1]) == 0, 1.0, -1.0)
    right_BK = (sides_K * scores_BK > 0).astype(jnp.float32)
    return jax.nn.softplus(-sides_K * scores_BK), {"right": (right_BK.sum(), jnp.asarray(right_BK.size, jnp.float32))}


def item_easiness(batch: Batch) -> Float[Array, "B K"]:
    """The easiness of each item by itself.

    >>> item_easiness({"easiness": jnp.array([[1.0, 0.5]])}).tolist()
    [[1.0, 0.5]]
    """
    return batch["easiness"]


def list_ranks(scores_BK: Scores, answer_B: Int[Array, " B"]) -> Float[Array, " B"]:
    """The rank of the item at place `answer` among its list, from 1; equal scores rank before it.

    It is infinite where the answer is -1, not in the list.

    >>> list_ranks(jnp.array([[3.0, 1.0, 2.0], [1.0, 1.0, 0.0]]), jnp.array([2, -1])).tolist()
    [2.0, inf]
    """
    own_B1 = jnp.take_along_axis(scores_BK, jnp.maximum(answer_B, 0)[:, None], axis=1)
    return jnp.where(answer_B < 0, jnp.inf, (scores_BK >= own_B1).sum(1).astype(jnp.float32))


def listed(model: Any, batch: Batch, key: Array | None) -> tuple[Float[Array, ""], Metrics]:
    """What whole lists are scored by: `mrr` at 10, 0 where the answer is behind it or not in the list, and `p1`.

    The batch is that of `RankedLists`; the loss is 1 - `mrr`.

    >>> from types import SimpleNamespace
    >>> model = SimpleNamespace(scores=lambda q, i: jnp.array([[1.0, 2.0], [1.0, 2.0]]))
    >>> batch = {"query": None, "items": None, "answer": jnp.array([0, -1])}
    >>> [float(total) for total, _ in listed(model, batch, None)[1].values()]
    [1.5, 0.5, 0.0]
    """
    ranks_B = list_ranks(model.scores(batch["query"], batch["items"]), batch["answer"])
    found_B = jnp.where(ranks_B <= 10, 1 / ranks_B, 0.0)
    count, first = jnp.asarray(len(ranks_B), jnp.float32), (ranks_B == 1).sum().astype(jnp.float32)
    return 1 - found_B.mean(), {
        "loss": ((1 - found_B).sum(), count),
        "mrr": (found_B.sum(), count),
        "p1": (first, count),
    }
