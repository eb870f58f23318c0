"""Evaluation of a language model task by task: answers that are free, answers out of a task's own, and running text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagejax.objectives.language import causal_lm
from stagejax.objectives.loss import Metrics

Batch = Mapping[str, Any]


@dataclass(frozen=True)
class AnsweredTasks:
    """An evaluation's objective: `causal_lm`, and metrics of each task by the batch's field `task` (B,).

    Of the first tasks, whose rows are questions with an answer that begins with one of their names: `task j`, the share
    of rows of task j whose first learned token is the likeliest one of all, as greedy decoding gives it; and `among j`,
    the share where it is the likeliest of the names of task j, which is scoring that knows the task. Of the tasks that
    follow, which are running text: `text j`, the mean loss of a learned token in nats, counted from j = 0.

    Args:
      names: of each task with answers, the ids of the tokens that an answer may begin with.
      texts: how many tasks of running text follow.

    >>> names = ((1, 2), (3, 4))
    >>> model = lambda tokens, key: jnp.tile(jnp.array([0.0, 1.0, 0.0, 3.0, 2.0]), (*tokens.shape, 1))
    >>> rows = {"tokens": jnp.zeros((2, 1), int), "targets": jnp.array([[1], [4]]), "weights": jnp.ones((2, 1))}
    >>> _, found = AnsweredTasks(names)(model, rows | {"task": jnp.array([0, 1])}, None)
    >>> {name: float(found[name][0]) for name in ("task 0", "among 0", "task 1", "among 1")}
    {'task 0': 0.0, 'among 0': 1.0, 'task 1': 0.0, 'among 1': 0.0}
    """

    names: tuple[tuple[int, ...], ...]
    texts: int = 0

    def __call__(
        self, model: Callable[..., Array], batch: Batch, key: Array | None
    ) -> tuple[Float[Array, ""], Metrics]:
        logits_BTV = model(batch["tokens"], key=key)
        loss, metrics = causal_lm(lambda tokens, key: logits_BTV, batch, key)
        free_B, among_B = first_answers(logits_BTV, batch, self.names)
        own_JB = (batch["task"] == jnp.arange(len(self.names) + self.texts)[:, None]).astype(jnp.float32)
        for j in range(len(self.names)):
            metrics |= {f"task {j}": ((own_JB[j] * free_B).sum(), own_JB[j].sum())}
            metrics |= {f"among {j}": ((own_JB[j] * among_B).sum(), own_JB[j].sum())}
        logp_BTV = jax.nn.log_softmax(logits_BTV)
        nats_BT = -batch["weights"] * jnp.take_along_axis(logp_BTV, batch["targets"][..., None], -1)[..., 0]
        for j, own_B in enumerate(own_JB[len(self.names) :]):
            counted = (own_B * nats_BT.sum(1)).sum(), (own_B * batch["weights"].sum(1)).sum()
            metrics |= {f"text {j}": counted}
        return loss, metrics


def first_answers(
    logits_BTV: Float[Array, "B T V"], batch: Batch, names: tuple[tuple[int, ...], ...]
) -> tuple[Bool[Array, " B"], Bool[Array, " B"]]:
    """Whether the first learned token of each row is the likeliest of all, and of the names of the row's `task`.

    Args:
      batch: `targets` and `weights` (B, T), `task` (B,).
      names: ids of each task; rows of a task behind them have those of the last one.
    """
    at_B = (batch["weights"] > 0).argmax(1)
    logits_BV = jnp.take_along_axis(logits_BTV, at_B[:, None, None], 1)[:, 0]
    true_B = jnp.take_along_axis(batch["targets"], at_B[:, None], 1)[:, 0]
    allowed_NV = jnp.stack([jnp.zeros(logits_BV.shape[-1], bool).at[jnp.array(own)].set(True) for own in names])
    allowed_BV = allowed_NV[jnp.minimum(batch["task"], len(names) - 1)]
    among_BV = jnp.where(allowed_BV, logits_BV, -jnp.inf)
    return logits_BV.argmax(-1) == true_B, among_BV.argmax(-1) == true_B
