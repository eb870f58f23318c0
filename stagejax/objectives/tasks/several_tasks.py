"""Several tasks in one batch, classification and regression alike, and what each of them is scored by.

A model gives `answers(tokens (B, T), task (B,), key)` (B, C). A batch holds, for each row, `tokens`, the number of its
`task`, how many `classes` that has (1: regression), its `label` and its `weight`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics, cross_entropy

Batch = Mapping[str, Any]
#: Sums over the rows of a task, from which its scores follow.
MOMENTS = ("right", "said", "label", "said²", "label²", "product")


def several_tasks(model: Any, batch: Batch, key: Array | None, *, tasks: int) -> tuple[Float[Array, ""], Metrics]:
    """The sum over tasks of each one's mean loss: cross entropy in nats, or the squared error.

    A batch has equally many rows of each task. So what only one task uses gets the gradient that it would have had
    alone, and tasks that share no parameter are trained side by side exactly as apart.

    Args:
      tasks: how many there are in a batch.

    Returns:
      The sum; the metric `loss` is the mean over rows.
    """
    losses_B, _ = losses_of_rows(model, batch, key)
    total, count = (batch["weight"] * losses_B).sum(), batch["weight"].sum()
    return tasks * total / count, {"loss": (total, count)}


def scored(model: Any, batch: Batch, key: Array | None, *, tasks: int) -> tuple[Float[Array, ""], Metrics]:
    """What the scores of every task are made of: the loss, and for task t the mean over rows of `MOMENTS` as `name_t`.

    What is said is the likeliest class, or the predicted value; see `accuracy` and `correlation`.
    """
    losses_B, said_B = losses_of_rows(model, batch, key)
    label_B, weight_B = batch["label"], batch["weight"]
    total, count = (weight_B * losses_B).sum(), weight_B.sum()
    found: Metrics = {"loss": (total, count)}
    columns = ((said_B == label_B), said_B, label_B, said_B**2, label_B**2, said_B * label_B)
    for task in range(tasks):
        own_B = weight_B * (batch["task"] == task)
        found |= {
            f"{name}_{task}": ((own_B * column).sum(), own_B.sum())
            for name, column in zip(MOMENTS, columns, strict=True)
        }
    return total / count, found


def accuracy(last: Callable[[str], float], task: int) -> float:
    """The accuracy of a task, from its means of `MOMENTS` by name.

    >>> accuracy({"right_0": 0.75}.get, 0)
    0.75
    """
    return last(f"right_{task}")


def correlation(last: Callable[[str], float], task: int) -> float:
    """Pearson's correlation of what was said and the label; of two classes that is Matthews' coefficient.

    It is 0 where everything said is the same.

    >>> correlation(dict(zip((f"{name}_0" for name in MOMENTS), (0, 2.0, 4.0, 5.0, 20.0, 10.0))).get, 0)
    1.0
    """
    _, said, label, said2, label2, product = (last(f"{name}_{task}") for name in MOMENTS)
    spread = (said2 - said**2) * (label2 - label**2)
    return (product - said * label) / spread**0.5 if spread > 1e-12 or spread != spread else 0.0


def losses_of_rows(model: Any, batch: Batch, key: Array | None = None) -> tuple[Float[Array, " B"], Float[Array, " B"]]:
    """The loss of every row, cross entropy in nats or the squared error, and what is said of it."""
    return losses_of_answers(model.answers(batch["tokens"], batch["task"], key), batch)


def losses_of_answers(answers_BC: Float[Array, "B C"], batch: Batch) -> tuple[Float[Array, " B"], Float[Array, " B"]]:
    """The same of what a model has answered: of a task with fewer classes than C, the first ones count.

    >>> batch = {"classes": jnp.array([2, 1]), "label": jnp.array([0.0, 2.0])}
    >>> losses, said = losses_of_answers(jnp.array([[0.0, 0.0, 9.0], [5.0, 0.0, 0.0]]), batch)
    >>> losses.round(3), said.tolist()
    (Array([0.693, 9.   ], dtype=float32), [0.0, 5.0])
    """
    regression_B, label_B = batch["classes"] == 1, batch["label"]
    logits_BC = masked_answers(answers_BC, batch["classes"])
    entropy_B, _ = cross_entropy(logits_BC, jnp.where(regression_B, 0, label_B).astype(jnp.int32))
    value_B = answers_BC[:, 0]
    losses_B = jnp.where(regression_B, (value_B - label_B) ** 2, entropy_B)
    return losses_B, jnp.where(regression_B, value_B, logits_BC.argmax(1).astype(value_B.dtype))


def masked_answers(answers_BC: Float[Array, "B C"], classes_B: Array) -> Float[Array, "B C"]:
    """The answers as logits of each row's own classes, the first ones: the others cannot be said."""
    own_BC = jnp.arange(answers_BC.shape[1]) < classes_B[:, None]
    return jnp.where(own_BC, answers_BC, jnp.finfo(answers_BC.dtype).min / 2)
