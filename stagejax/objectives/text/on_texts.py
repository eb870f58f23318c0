"""Objectives of classifiers of texts: labels, a teacher's logits, and words that were masked.

A model gives `answers(tokens, key)`, logits of classes, and, called, logits of words. A batch has "tokens" (B, T) and
"label" (B,), "logits" (B, C) of a teacher, or "masked" (B, T) with "weights" (B, T) (see
`data.language.masked_too.MaskedToo`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
from jaxtyping import Array, Float

from stagejax.objectives.classification import classification
from stagejax.objectives.distillation import distillation
from stagejax.objectives.language import masked_lm
from stagejax.objectives.loss import Metrics

Batch = Mapping[str, Any]
_PAD = 0


def by_labels(
    model: Any, batch: Batch, key: Array | None, *, inputs: str = "tokens"
) -> tuple[Float[Array, ""], Metrics]:
    """The mean cross entropy of the texts' labels, in nats."""
    return classification(model.answers, batch, key, inputs=inputs)


def by_logits(
    model: Any, batch: Batch, key: Array | None, *, inputs: str = "tokens"
) -> tuple[Float[Array, ""], Metrics]:
    """The mean of KL(softmax(l_T) || softmax(l_S)), in nats, l_T a teacher's logits; without any, that of labels."""
    return distillation(model.answers, batch, key, inputs=inputs)


def what_was_masked(model: Any, batch: Batch, key: Array | None) -> tuple[Float[Array, ""], Metrics]:
    """`masked_lm` of texts that are not running text: padding is not seen."""
    own = {"tokens": batch["masked"], "targets": batch["tokens"], "weights": batch["weights"]}
    return masked_lm(model, own | {"mask": batch["tokens"] != _PAD}, key)


def logits_and_masked(model: Any, batch: Batch, key: Array | None) -> tuple[Float[Array, ""], Metrics]:
    """`by_logits` plus `what_was_masked`, both on the masked text."""
    keys = (None, None) if key is None else jax.random.split(key)
    loss, metrics = by_logits(model, batch, keys[0], inputs="masked")
    return loss + what_was_masked(model, batch, keys[1])[0], metrics
