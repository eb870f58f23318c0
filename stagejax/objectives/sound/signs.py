"""Objectives of sign-language translation: align videos with texts, restore masked texts, translate.

Reference: Zhou et al. 2023 (GFSLT-VLP), https://arxiv.org/abs/2307.14768.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from stagejax.objectives.contrastive import soft_target_kl
from stagejax.objectives.language import exact_rows
from stagejax.objectives.loss import Metrics, smoothed

Batch = Mapping[str, Any]


def said(logits_BTV: Any, batch: Batch, smoothing: float) -> tuple[Any, Metrics]:
    """The mean cross entropy of the wanted tokens with label smoothing, in nats.

    >>> batch = {"targets": jnp.array([[1, 0]]), "weights": jnp.array([[1.0, 0.0]])}
    >>> loss, metrics = said(jnp.zeros((1, 2, 8)), batch, 0.2)
    >>> bool(jnp.allclose(loss, jnp.log(8))), float(metrics["loss"][1])
    (True, 1.0)
    """
    weights_BT = batch["weights"].astype(jnp.float32)
    losses_BT, count = smoothed(logits_BTV, batch["targets"], smoothing), weights_BT.sum()
    right_BT = (logits_BTV.argmax(-1) == batch["targets"]) * weights_BT
    total = (losses_BT * weights_BT).sum()
    metrics = {"loss": (total, count), "accuracy": (right_BT.sum(), count), "exact": exact_rows(logits_BTV, batch)}
    return total / count, metrics


def denoising(model: Any, batch: Batch, key: Any, *, smoothing: float = 0.0) -> tuple[Any, Metrics]:
    """Stage 0: the text from a masked one."""
    return said(model(batch["masked"], batch["tokens"], mask=batch["text_mask"], key=key), batch, smoothing)


def alignment(model: Any, batch: Batch, key: Any, others: Any = None) -> tuple[Any, Metrics]:
    """Videos and their texts against all others of the batch."""
    names = ("inputs", "mask", "text", "text_mask")
    return soft_target_kl(model(*(batch[name] for name in names), key=key))


def restoration(model: Any, batch: Batch, key: Any, others: Any, *, smoothing: float) -> tuple[Any, Metrics]:
    """The text from what the text encoder, without gradient, makes of a masked one."""
    mask = batch["text_mask"]
    memory_BTE = jax.lax.stop_gradient(others["pair"].text.hidden(batch["masked"], mask=mask))
    return said(model.say(batch["tokens"], memory_BTE, mask=mask, key=key), batch, smoothing)


def both(models: Any, batch: Batch, key: Any, *, smoothing: float) -> tuple[Any, Metrics]:
    """The evaluation of VLP: alignment, and how well the decoder restores."""
    loss, metrics = alignment(models["pair"], batch, key)
    _, restored = restoration(models["decoder"], batch, key, models, smoothing=smoothing)
    return loss, metrics | {f"restored_{name}": value for name, value in restored.items()}


def translation(model: Any, batch: Batch, key: Any, *, smoothing: float) -> tuple[Any, Metrics]:
    """Stage 2: the text from the video."""
    return said(model(batch["inputs"], batch["tokens"], mask=batch["mask"], key=key), batch, smoothing)
