"""One language model, several modalities: the loss of each by the ids of what is predicted; answers about images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.language import CONTEXT, exact_rows
from stagejax.objectives.loss import Metrics, cross_entropy, weighted

#: Name, first id, and the id behind the last.
Ranges = tuple[tuple[str, int, int], ...]


def causal_lm_by_range(
    model: Callable[..., Array], batch: Mapping[str, Any], key: Array | None, *, ranges: Ranges
) -> tuple[Float[Array, ""], Metrics]:
    """The mean cross entropy of each next token over all modalities, and as metrics that of each range of ids.

    The batch is that of `causal_lm` with `targets` and `weights`.

    >>> model = lambda tokens, key: jnp.zeros((*tokens.shape, 10))
    >>> batch = {"tokens": jnp.array([[1, 2]]), "targets": jnp.array([[2, 7]]), "weights": jnp.ones((1, 2))}
    >>> _, metrics = causal_lm_by_range(model, batch, None, ranges=(("text", 0, 5), ("image", 5, 10)))
    >>> float(metrics["image"][1]), round(float(metrics["loss"][0]), 4)
    (1.0, 4.6052)
    """
    targets, weights = batch["targets"], batch["weights"]
    logits = model(batch["tokens"], key=key, **{name: batch[name] for name in CONTEXT if name in batch})
    losses = jnp.where(weights == 0, 0, weights * cross_entropy(logits, targets)[0])
    bounds = jnp.array([(first, end) for _, first, end in ranges])[..., None, None]
    mine_RBT = ((targets >= bounds[:, 0]) & (targets < bounds[:, 1])).astype(losses.dtype)
    totals_R, counts_R = (jnp.tensordot(mine_RBT, values, 2) for values in (losses, weights))
    metrics: Metrics = {"loss": (losses.sum(), weights.sum())}
    metrics |= {name: (totals_R[r], counts_R[r]) for r, (name, _, _) in enumerate(ranges)}
    return losses.sum() / jnp.maximum(weights.sum(), 1e-9), metrics


def choices(model: Any, batch: Mapping[str, Any], key: Array | None) -> tuple[Float[Array, ""], Metrics]:
    """The mean cross entropy of the one token that answers each question about an image.

    The batch is that of `stagejax.data.multimodal.choices.Choices`. Metrics are the accuracy, `chosen` where options
    are given, and `named` where they are not.

    >>> from types import SimpleNamespace
    >>> model = SimpleNamespace(answers=lambda tokens, images, at: jnp.eye(3)[at])
    >>> batch = {"tokens": None, "image": None, "at": jnp.array([0, 1]), "label": jnp.array([0, 2])}
    >>> choices(model, batch | {"open": jnp.array([0, 1])}, None)[1]["named"]
    (Array(0., dtype=float32), Array(1., dtype=float32))
    """
    logits = model.answers(batch["tokens"], batch["image"], batch["at"])
    loss, metrics = weighted(logits, batch["label"])
    free = batch["open"].astype(loss.dtype)
    for name, own in (("chosen", 1 - free), ("named", free)):
        metrics[name] = weighted(logits, batch["label"], own)[1]["accuracy"]
    return loss, metrics


def behind_pictures(model: Any, batch: Mapping[str, Any], key: Array | None) -> tuple[Float[Array, ""], Metrics]:
    """The mean cross entropy of each token of an answer behind a picture and a question, -log p(a_t | x, q, a_<t).

    Args:
      model: such as a `SlotReader`'s: `model(tokens, states=states, key=key)` gives logits (B, T, V).
      batch: `tokens`, `targets`, `weights` (B, T) of rows [CLS, S slots, question, answer, SEP], the answer weighed;
        `image` (B, S, F), what the slots are filled with.
      key: draws dropout; None in evaluation.

    Returns:
      The loss; `loss` and `accuracy` of tokens, and `exact`, the share of answers that greedy decoding would give.

    Reference: Liu et al. 2023 (LLaVA), https://arxiv.org/abs/2304.08485, section 4.2.

    >>> import jax
    >>> model = lambda tokens, states, key: 9 * jax.nn.one_hot(tokens + 1, 6) + 0 * states[..., :1]
    >>> batch = {"tokens": jnp.array([[1, 3, 4]]), "targets": jnp.array([[3, 4, 5]]), "image": jnp.zeros((1, 1, 2))}
    >>> [float(x) for x in behind_pictures(model, batch | {"weights": jnp.array([[0.0, 0, 1]])}, None)[1]["exact"]]
    [1.0, 1.0]
    """
    states = in_slots(batch["image"], batch["tokens"].shape[1])
    logits_BTV = model(batch["tokens"], states=states, key=key)
    loss, metrics = weighted(logits_BTV, batch["targets"], batch["weights"])
    return loss, metrics | {"exact": exact_rows(logits_BTV, batch)}


def in_slots(image_BSF: Float[Array, "B S F"], length: int) -> Float[Array, "B T F"]:
    """What stands in a row of `length` tokens whose slots follow its first token; zeros elsewhere.

    >>> in_slots(jnp.ones((1, 2, 1)), 4)[0, :, 0].tolist()
    [0.0, 1.0, 1.0, 0.0]
    """
    return jnp.pad(image_BSF, ((0, 0), (1, length - 1 - image_BSF.shape[1]), (0, 0)))
