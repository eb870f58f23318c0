"""Evaluation skill by skill: one pass over mixed batches, one loss for each skill, or one share of right answers."""

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


def exact_by_kind(
    model: Callable[..., Array], batch: Batch, key: Array | None, *, kinds: tuple[str, ...]
) -> tuple[Float[Array, ""], Metrics]:
    """`causal_lm`, and beside its metrics the share of rows of each kind in which every target is the likeliest token.

    Those are the rows that greedy decoding answers right to their end. Rows without a weight are of no kind.

    Args:
      model: `model(tokens, key=key)` gives logits (B, T, vocab).
      batch: `tokens`, `targets` and `weights` (B, T), and `kind` (B,), the number of each row's kind.
      kinds: their names, which the metrics bear.

    >>> model = lambda tokens, key: jnp.eye(4)[tokens]
    >>> batch = {"tokens": jnp.array([[1, 2], [1, 2]]), "targets": jnp.array([[1, 2], [1, 3]])}
    >>> batch |= {"weights": jnp.ones((2, 2)), "kind": jnp.array([0, 1])}
    >>> _, metrics = exact_by_kind(model, batch, None, kinds=("one", "two"))
    >>> [tuple(map(float, metrics[kind])) for kind in ("one", "two")]
    [(1.0, 1.0), (0.0, 1.0)]
    """
    logits_BTV = model(batch["tokens"], key=key)
    loss, metrics = weighted(logits_BTV, batch["targets"], batch["weights"])
    right_B = ((logits_BTV.argmax(-1) == batch["targets"]) | (batch["weights"] == 0)).all(-1)
    for number, kind in enumerate(kinds):
        own_B = batch["weights"].any(-1) & (batch["kind"] == number)
        metrics[kind] = (right_B & own_B).sum().astype(jnp.float32), own_B.sum().astype(jnp.float32)
    return loss, metrics
