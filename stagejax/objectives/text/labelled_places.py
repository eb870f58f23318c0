"""Labels of texts and of their words by one loss: asked for at places of a row and, behind them, of its text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics, cross_entropy, weighted

Batch = Mapping[str, Any]


def labelled_places(model: Any, batch: Batch, key: Array | None) -> tuple[Float[Array, ""], Metrics]:
    """The mean cross entropy of labels and tags, in nats, of a batch of `WordOrText`; `loss` and `accuracy`.

    `loss_0`, `accuracy_0` are those of rows of the first source, `loss_1`, `accuracy_1` those of the second: such as
    development and test.

    Args:
      model: `model.answers(tokens, prefix)` gives logits (B, T + 1, classes).
      batch: `tokens` and `prefix` (B, T), `targets` and `weights` (B, T + 1), `source` (B,).

    >>> import jax.numpy as jnp
    >>> from types import SimpleNamespace as Of
    >>> model = Of(answers=lambda tokens, prefix: jnp.eye(3)[None])
    >>> rows = {"targets": jnp.array([[0, 1, 1]]), "weights": jnp.array([[1.0, 1.0, 1.0]]), "source": jnp.array([1])}
    >>> loss, metrics = labelled_places(model, rows | {"tokens": jnp.ones((1, 2), int), "prefix": None}, None)
    >>> [tuple(map(float, metrics[name])) for name in ("accuracy", "accuracy_0", "accuracy_1")]
    [(2.0, 3.0), (0.0, 0.0), (2.0, 3.0)]
    >>> bool(metrics["loss_1"][0] == metrics["loss"][0]), tuple(map(float, metrics["loss_0"]))
    (True, (0.0, 0.0))
    """
    logits_BAC = model.answers(batch["tokens"], batch["prefix"])
    loss, metrics = weighted(logits_BAC, batch["targets"], batch["weights"])
    losses_BA, _ = cross_entropy(logits_BAC, batch["targets"])
    right_BA = logits_BAC.argmax(-1) == batch["targets"]
    for number in (0, 1):
        own_BA = batch["weights"] * (batch["source"] == number)[:, None]
        for name, values_BA in (("loss", losses_BA), ("accuracy", right_BA)):
            metrics[f"{name}_{number}"] = (values_BA * own_BA).sum(), own_BA.sum()
    return loss, metrics
