"""Evaluation skill by skill: one pass over mixed batches, one loss for each skill."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics, cross_entropy, weighted

Batch = Mapping[str, Any]


def by_skill(
    model: Callable[..., Array], batch: Batch, key: Array | None, *, skills: int
) -> tuple[Float[Array, ""], Metrics]:
    """`causal_lm`, and beside its metrics the pair `loss_i` for each skill i.

    Args:
      model: `model(tokens, key=key)` gives logits (B, T, vocab).
      batch: `tokens`, `targets` and maybe `weights` (B, T), and `skill` (B,), the skill of each row, from 0.
      skills: their number.

    >>> model = lambda tokens, key: jnp.zeros((*tokens.shape, 10))
    >>> tokens, weights = jnp.ones((3, 2), int), jnp.ones((3, 2))
    >>> batch = {"tokens": tokens, "targets": tokens, "weights": weights, "skill": jnp.array([0, 1, 1])}
    >>> [float(by_skill(model, batch, None, skills=2)[1][f"loss_{i}"][1]) for i in range(2)]
    [2.0, 4.0]
    """
    logits_BTV = model(batch["tokens"], key=key)
    weights_BT = batch.get("weights", jnp.ones(batch["targets"].shape))
    loss, metrics = weighted(logits_BTV, batch["targets"], weights_BT)
    losses_BT, _ = cross_entropy(logits_BTV, batch["targets"])
    for skill in range(skills):
        own_BT = weights_BT * (batch["skill"] == skill)[:, None]
        metrics[f"loss_{skill}"] = ((losses_BT * own_BT).sum(), own_BT.sum())
    return loss, metrics
