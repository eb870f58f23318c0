"""The objective of classifiers: one label an example."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.loss import Macro, Metrics, weighted


def classification(
    model: Callable[..., Array],
    batch: Mapping[str, Any],
    key: Array | None,
    *,
    inputs: str = "image",
    targets: str = "label",
    **options: Any,
) -> tuple[Float[Array, ""], Metrics]:
    """The mean cross entropy of the labels, in nats.

    Args:
      model: `model(inputs, key=key)` gives logits (B, classes).
      batch: inputs and integer labels (B,) under the names `inputs` and `targets`; `weights` (B,) where present.
      key: draws dropout; None in evaluation.
      options: go to the model.

    Returns:
      The loss, and the pairs (sum, number of examples) `loss` and `accuracy`.

    >>> batch = {"image": jnp.zeros((2, 4)), "label": jnp.array([0, 1])}
    >>> loss, metrics = classification(lambda image, key: jnp.array([[9.0, 0.0], [9.0, 0.0]]), batch, None)
    >>> metrics["accuracy"]
    (Array(1., dtype=float32), Array(2., dtype=float32))
    """
    logits_BC = model(batch[inputs], key=key, **options)
    return weighted(logits_BC, batch[targets], batch.get("weights"))


def weighed_classification(
    model: Callable[..., Array], batch: Mapping[str, Any], key: Array | None, **options: Any
) -> tuple[Float[Array, ""], Metrics]:
    """The mean over the batch of weight times cross entropy, in nats: `classification` that keeps the weights' size.

    With weights of mean 1 over all examples, the mean over an epoch is the weighted mean over all of them, also where
    batches happen to differ in the weights that they hold.

    >>> batch = {"image": jnp.zeros((2, 4)), "label": jnp.zeros(2, int), "weights": jnp.array([0.5, 0.0])}
    >>> loss, _ = weighed_classification(lambda image, key: jnp.zeros((2, 5)), batch, None)
    >>> bool(jnp.allclose(loss, 0.25 * jnp.log(5)))
    True
    """
    loss, metrics = classification(model, batch, key, **options)
    return loss * metrics["loss"][1] / len(batch[options.get("targets", "label")]), metrics


def classification_by_members(
    model: Callable[..., Array], batch: Mapping[str, Any], key: Array | None, **options: Any
) -> tuple[Float[Array, ""], Metrics]:
    """The sum over members of an ensemble of their mean cross entropies, so that each learns as if alone.

    As `classification`, of logits (B, members, classes) and labels (B, members); the metrics are means over members.

    >>> batch = {"image": jnp.zeros((2, 3, 4)), "label": jnp.zeros((2, 3), int)}
    >>> loss, metrics = classification_by_members(lambda image, key: jnp.zeros((2, 3, 5)), batch, None)
    >>> bool(abs(loss - 3 * jnp.log(5)) < 1e-5)
    True
    """
    return weighed_classification(model, batch, key, **options)


def classification_by_task(
    model: Callable[..., Array], batch: Mapping[str, Any], key: Array | None, *, tasks: int
) -> tuple[Float[Array, ""], Metrics]:
    """`classification`, and the accuracy on each task as `task 0`, `task 1`, ..., by the batch's field `task`.

    Of a task that no example is of it is 0.

    >>> batch = {"image": jnp.zeros((3, 4)), "label": jnp.array([0, 0, 1]), "task": jnp.array([0, 1, 1])}
    >>> zeros = jnp.tile(jnp.array([9.0, 0.0]), (3, 1))
    >>> _, metrics = classification_by_task(lambda image, key: zeros, batch, None, tasks=2)
    >>> metrics["task 1"]
    (Array(1., dtype=float32), Array(2., dtype=float32))
    """
    logits_BC = model(batch["image"], key=key)
    loss, metrics = weighted(logits_BC, batch["label"], batch.get("weights"))
    right_B = (logits_BC.argmax(-1) == batch["label"]).astype(jnp.float32)
    own_TB = (batch["task"] == jnp.arange(tasks)[:, None]).astype(jnp.float32)
    return loss, metrics | {f"task {t}": ((own_TB[t] * right_B).sum(), own_TB[t].sum()) for t in range(tasks)}


def classification_with_f1(
    model: Callable[..., Array], batch: Mapping[str, Any], key: Array | None
) -> tuple[Float[Array, ""], Metrics]:
    """`classification`, and `macro_f1`: the mean over classes of `2 hits / (said + true)`, exact over any batches.

    A class that is neither said nor true does not count.

    >>> batch = {"image": jnp.zeros((3, 4)), "label": jnp.array([0, 1, 1])}
    >>> said = jnp.array([[9.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    >>> _, metrics = classification_with_f1(lambda image, key: said, batch, None)
    >>> round(float(metrics["macro_f1"].value()), 3)
    0.667
    """
    logits_BC = model(batch["image"], key=key)
    loss, metrics = weighted(logits_BC, batch["label"], batch.get("weights"))
    said, true = (jax.nn.one_hot(x, logits_BC.shape[-1]) for x in (logits_BC.argmax(-1), batch["label"]))
    return loss, metrics | {"macro_f1": Macro(2 * (said * true).sum(0), said.sum(0) + true.sum(0))}
