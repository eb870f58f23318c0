"""Prompt-based classification: the words that stand for the classes compete at the masked place of a prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics, weighted


def label_logits(model: Any, batch: Mapping[str, Any], key: Array | None = None) -> Float[Array, "B C"]:
    """The language model's logits of the label words at the masked place.

    Args:
      model: `hidden` gives the stream and `logits` the head's answer, as `LanguageModel` does.
      batch: `tokens` (B, T), `mask` (B, T), False on padding, `place` (B,) of the masked label, `words` (B, C), the id
        of every class's word.
      key: draws dropout.
    """
    x_BTE = model.hidden(batch["tokens"], mask=batch["mask"], key=key)
    x_B1E = jnp.take_along_axis(x_BTE, batch["place"][:, None, None], axis=1)
    return jnp.take_along_axis(model.logits(x_B1E)[:, 0], batch["words"], axis=-1)


def prompt_classification(
    model: Any, batch: Mapping[str, Any], key: Array | None
) -> tuple[Float[Array, ""], Metrics]:  # fmt: skip
    """The mean cross entropy of the labels, in nats, where p(y | x) is the softmax over the label words alone.

        p(y | x) = exp z[v(y)] / sum over y' of exp z[v(y')],  z the head's logits at the masked place

    No parameter is added: the head is that of masked language modelling.

    Args:
      batch: as of `label_logits`, with `label` (B,); `weights` (B,) where present.

    Returns:
      The loss, and the pairs (sum, number of examples) `loss` and `accuracy`.

    Reference: Gao, Fisch and Chen, Making pre-trained language models better few-shot learners, ACL 2021, section 4.
    """
    return weighted(label_logits(model, batch, key), batch["label"], batch.get("weights"))


def masked_lm_by_part(model: Any, batch: Mapping[str, Any], key: Array | None) -> tuple[Float[Array, ""], Metrics]:
    """`masked_lm`, with the loss of the template's tokens and of the texts' as the metrics `template` and `text`.

    Args:
      batch: as of `masked_lm`, and `template` (B, T), 1 where a token is the template's, label word included.

    >>> batch = {"tokens": jnp.ones((1, 3), int), "targets": jnp.ones((1, 3), int), "mask": jnp.ones((1, 3), bool)}
    >>> batch |= {"weights": jnp.array([[1.0, 1.0, 0.0]]), "template": jnp.array([[0.0, 1.0, 1.0]])}
    >>> _, metrics = masked_lm_by_part(lambda tokens, **rest: jnp.zeros((1, 3, 4)), batch, None)
    >>> [float(metrics[part][1]) for part in ("loss", "template", "text")]
    [2.0, 1.0, 1.0]
    """
    logits_BTV = model(batch["tokens"], mask=batch["mask"], key=key)
    loss, metrics = weighted(logits_BTV, batch["targets"], batch["weights"])
    for part, own in {"template": batch["template"], "text": 1 - batch["template"]}.items():
        metrics[part] = weighted(logits_BTV, batch["targets"], batch["weights"] * own)[1]["loss"]
    return loss, metrics
