"""The objective of classifiers: one label an example."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics, weighted


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

    >>> import jax.numpy as jnp
    >>> batch = {"image": jnp.zeros((2, 4)), "label": jnp.array([0, 1])}
    >>> loss, metrics = classification(lambda image, key: jnp.array([[9.0, 0.0], [9.0, 0.0]]), batch, None)
    >>> metrics["accuracy"]
    (Array(1., dtype=float32), Array(2., dtype=float32))
    """
    logits_BC = model(batch[inputs], key=key, **options)
    return weighted(logits_BC, batch[targets], batch.get("weights"))
