"""The focal loss of two classes, and what is measured where one class is rare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from stagejax.objectives.graphs import roc_auc
from stagejax.objectives.loss import Metrics


def focal(
    logits_B: Float[Array, " B"], labels_B: Int[Array, " B"], *, gamma: float = 2.0, alpha: float = 0.5
) -> Float[Array, " B"]:
    """-alpha_t (1 - p_t)^gamma log p_t in nats: p_t = sigmoid(logit) and alpha_t = alpha of a positive, 1 less these of
    a negative. With gamma = 0 and alpha = 0.5 it is half the cross entropy.

    Reference: Lin et al. 2017, https://arxiv.org/abs/1708.02002, equation 5.

    >>> focal(jnp.zeros(2), jnp.array([0, 1]), gamma=2.0, alpha=0.75) / (0.25 * jnp.log(2))
    Array([0.25, 0.75], dtype=float32)
    """
    side_B = jnp.where(labels_B == 1, logits_B, -logits_B)
    weight_B = jnp.where(labels_B == 1, alpha, 1 - alpha)
    hard_B = jnp.exp(gamma * jax.nn.log_sigmoid(-side_B))  # a power would have no gradient at p_t = 1
    return -weight_B * hard_B * jax.nn.log_sigmoid(side_B)


def detection(
    model: Callable[..., Array],
    batch: Mapping[str, Any],
    key: Array | None,
    *,
    gamma: float = 2.0,
    alpha: float = 0.5,
) -> tuple[Float[Array, ""], Metrics]:
    """The mean focal loss of a detector whose logits are `model(batch, key=key)`, by the batch's field `label`.

    Returns:
      The loss, and the pairs (sum, number of examples) `loss` and `accuracy`.

    >>> batch = {"label": jnp.array([0, 1, 1])}
    >>> loss, metrics = detection(lambda batch, key: jnp.array([-1.0, 1.0, -1.0]), batch, None, gamma=0.0)
    >>> round(float(loss), 3), float(metrics["accuracy"][0])
    (0.323, 2.0)
    """
    logits_B = model(batch, key=key)
    losses_B = focal(logits_B, batch["label"], gamma=gamma, alpha=alpha)
    right_B = (logits_B > 0) == (batch["label"] == 1)
    count = jnp.asarray(losses_B.size, losses_B.dtype)
    return losses_B.mean(), {"loss": (losses_B.sum(), count), "accuracy": (right_B.sum().astype(count.dtype), count)}


def rates(logits_B: Float[Array, " B"], labels_B: Int[Array, " B"]) -> dict[str, Float[Array, ""]]:
    """What a detector says of all examples at once: `recall` R, `specificity` S, `precision` P, `accuracy`, `f1` =
    2 P R / (P + R), `g_mean` = sqrt(R S), all with the threshold p = 0.5, and `auc`. What is undefined is 0.

    >>> found = rates(jnp.array([1.0, -1.0, 2.0, -2.0]), jnp.array([1, 1, 0, 0]))
    >>> float(found["g_mean"]), float(found["f1"]), float(found["auc"])
    (0.5, 0.5, 0.5)
    """
    said_B, true_B = logits_B > 0, labels_B == 1

    def share(hits_B: Array, of_B: Array) -> Array:
        return hits_B.sum() / jnp.maximum(of_B.sum(), 1)

    recall, specificity = share(said_B & true_B, true_B), share(~said_B & ~true_B, ~true_B)
    precision = share(said_B & true_B, said_B)
    return {
        "recall": recall,
        "specificity": specificity,
        "precision": precision,
        "accuracy": jnp.mean(said_B == true_B),
        "f1": 2 * precision * recall / jnp.maximum(precision + recall, 1e-9),
        "g_mean": jnp.sqrt(recall * specificity),
        "auc": roc_auc(logits_B, labels_B),
    }


def detection_with_rates(
    model: Callable[..., Array], batch: Mapping[str, Any], key: Array | None, **options: float
) -> tuple[Float[Array, ""], Metrics]:
    """`detection`, and `rates` of the batch: for evaluation on one batch that holds all examples.

    >>> batch = {"label": jnp.array([0, 1, 1])}
    >>> _, metrics = detection_with_rates(lambda batch, key=None: jnp.array([-1.0, 1.0, -1.0]), batch, None)
    >>> round(float(metrics["g_mean"]), 3)
    0.707
    """
    return detection(model, batch, key, **options)[0], rates(model(batch, key=key), batch["label"])
