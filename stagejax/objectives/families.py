"""One network, several criteria of pre-training: what it sees both ways, and what it is asked for.

The model is a decoder to which a batch's `prefix` says what every token may see (`models.readout.Readout`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.language import causal_lm, masked_lm
from stagejax.objectives.loss import Metrics, weighted

Batch = Mapping[str, Any]


def masked_both_ways(model: Callable[..., Array], batch: Batch, key: Array | None) -> tuple[Float[Array, ""], Metrics]:
    """`masked_lm` of a decoder that sees whole rows: BERT's criterion, without a parameter more than a decoder has.

    >>> model = lambda tokens, key, prefix: jnp.zeros((*tokens.shape, 10)) * prefix.all()
    >>> batch = {"tokens": jnp.array([[1, 3]]), "targets": jnp.array([[1, 2]]), "weights": jnp.array([[0.0, 1.0]])}
    >>> round(float(masked_both_ways(model, batch, None)[0]), 4)
    2.3026
    """
    return masked_lm(model, {**batch, "prefix": jnp.ones(batch["tokens"].shape, bool)}, key)


def prefix_lm(model: Callable[..., Array], batch: Batch, key: Array | None) -> tuple[Float[Array, ""], Metrics]:
    """The mean cross entropy of each next token behind a prefix that is seen both ways, in nats.

    A row of T tokens and the T next ones is cut before token c, drawn uniformly from 1 ... T - 1: tokens t < c are the
    prefix, and the targets of t >= c - 1 are asked for, which are half of all in the mean. Without a key the cut of a
    row follows from its tokens, so that held-out rows are cut in the same way each time.

    Args:
      model: `model(tokens, prefix=prefix, key=key)` gives logits (B, T, vocab).
      batch: `tokens` and `targets` (B, T).

    Reference: Raffel et al. 2020 (T5), https://arxiv.org/abs/1910.10683, section 3.2.1.

    >>> model = lambda tokens, key, prefix: jnp.zeros((*tokens.shape, 10))
    >>> loss, metrics = prefix_lm(model, {"tokens": jnp.ones((1, 8), int), "targets": jnp.ones((1, 8), int)}, None)
    >>> round(float(loss), 4), 2 <= float(metrics["loss"][1]) <= 8
    (2.3026, True)
    """
    tokens_BT = batch["tokens"]
    rows, length = tokens_BT.shape
    if key is None:
        draw_B1 = (tokens_BT.sum(1, keepdims=True) * 7919) % (length - 1)
    else:
        draw_B1 = jax.random.randint(jax.random.fold_in(key, 1), (rows, 1), 0, length - 1)
    at_T = jnp.arange(length)
    asked_BT = (at_T >= draw_B1).astype(jnp.float32)  # c - 1 is what was drawn
    return causal_lm(model, {**batch, "prefix": at_T <= draw_B1, "weights": asked_BT}, key)


def answering(model: Any, batch: Batch, key: Array | None) -> tuple[Float[Array, ""], Metrics]:
    """The mean cross entropy of labels and tags, in nats, of a batch of `WordOrText`; `loss` and `accuracy`.

    `accuracy_0`, `accuracy_1` are those of rows of the first and of the second source: such as development and test.

    Args:
      model: `model.answers(tokens, prefix)` gives logits (B, T + 1, classes).
    """
    logits_BAC = model.answers(batch["tokens"], batch["prefix"])
    loss, metrics = weighted(logits_BAC, batch["targets"], batch["weights"])
    right_BA = (logits_BAC.argmax(-1) == batch["targets"]) * batch["weights"]
    for number in (0, 1):
        own_B = batch["source"] == number
        metrics[f"accuracy_{number}"] = (right_BA.sum(1) * own_B).sum(), (batch["weights"].sum(1) * own_B).sum()
    return loss, metrics
