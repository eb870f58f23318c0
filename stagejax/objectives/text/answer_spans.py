"""Objectives of extractive question answering: where an answer begins, and where it ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics, weighted

Batch = Mapping[str, Any]


def answer_spans(model: Any, batch: Batch, key: Array | None) -> tuple[Float[Array, ""], Metrics]:
    """L = (CE(begin logits, s) + CE(end logits, e)) / 2, in nats, over all tokens of a row but padding.

    Rows whose answer lies outside of them, at -1, do not count.

    Args:
      model: `model.places(tokens, types, key=key)` gives logits (B, T, 2).
      batch: `tokens` and `types` (B, T), 0 at padding; `start` and `end` (B,).
      key: draws dropout; None in evaluation.

    Returns:
      The loss, and the pairs (sum, number of rows) `loss` and `exact`: rows with both ends right.

    References: Devlin et al. 2018, https://arxiv.org/abs/1810.04805, section 4.2; the code to arXiv 2305.12900.

    >>> from types import SimpleNamespace
    >>> model = SimpleNamespace(places=lambda tokens, types, key: jnp.zeros((*tokens.shape, 2)))
    >>> rows = jnp.array([[1, 9, 2, 8], [1, 9, 2, 8]])
    >>> batch = {"tokens": rows, "types": rows * 0, "start": jnp.array([3, -1]), "end": jnp.array([3, -1])}
    >>> loss, metrics = answer_spans(model, batch, None)
    >>> round(float(loss), 4), float(metrics["loss"][1])
    (1.3863, 1.0)
    """
    logits_BT2 = model.places(batch["tokens"], batch["types"], key=key)
    logits_BT2 = jnp.where((batch["tokens"] != 0)[..., None], logits_BT2, -1e9)
    there_B = (batch["start"] >= 0).astype(jnp.float32)
    found = [
        weighted(logits_BT2[..., side], jnp.maximum(batch[name], 0), there_B)
        for side, name in enumerate(("start", "end"))
    ]
    loss = (found[0][0] + found[1][0]) / 2
    right_B = jnp.stack([logits_BT2[..., i].argmax(-1) == batch[name] for i, name in enumerate(("start", "end"))])
    exact = (right_B.all(0) * there_B).sum()
    return loss, {"loss": (loss * there_B.sum(), there_B.sum()), "exact": (exact, there_B.sum())}


def likeliest_places(model: Any, batch: Batch) -> jax.Array:
    """The likeliest first and last token of each row, each by itself: (B, 2). The last may lie before the first."""
    logits_BT2 = model.places(batch["tokens"], batch["types"])
    return jnp.where((batch["tokens"] != 0)[..., None], logits_BT2, -1e9).argmax(1)
