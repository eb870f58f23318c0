"""Values of states as a search found them: what a network with a scalar head learns to say in place of a search."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics


def searched_values(
    model: Callable[..., Array], batch: Mapping[str, Any], key: Array | None
) -> tuple[Float[Array, ""], Metrics]:
    """The mean of (tanh(v_t) - Q_t)² over the places that have a Q, such as the last token of each step; an objective.

    Args:
      model: `model(tokens, key=key)` gives a number v (B, T) behind each token, such as `models.text.critic.Critic`'s.
      batch: `tokens` (B, T), `values` (B, T) from -1 to 1, and `weights` (B, T), 1 where there is one.

    Returns:
      The loss, and the pair (sum, number of values) `loss`.

    Reference: CPL, https://arxiv.org/abs/2409.08642; AlphaMath, https://arxiv.org/abs/2405.03553, eq. 8.

    >>> rows = {"tokens": jnp.array([[5, 6]]), "values": jnp.array([[9.0, 0.5]]), "weights": jnp.array([[0.0, 1.0]])}
    >>> float(searched_values(lambda tokens, key: jnp.zeros(tokens.shape), rows, None)[0])
    0.25
    """
    weights = batch["weights"]
    errors = jnp.where(weights > 0, weights * (jnp.tanh(model(batch["tokens"], key=key)) - batch["values"]) ** 2, 0.0)
    total, count = errors.sum(), weights.sum()
    return total / jnp.maximum(count, 1e-9), {"loss": (total, count)}
