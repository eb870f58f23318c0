"""How much each task's loss counts in multi-task learning: as it is sampled, by its uncertainty, by its progress.

A batch holds rows of T tasks, n_t of B from task t, whose mean loss is L_t. The plain objective is Σ_t (n_t / B) L_t,
so that sampling says how much a task counts; weights w_t multiply its terms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics
from stagejax.objectives.tasks.several_tasks import Batch, losses_of_rows


def per_task(losses_B: Float[Array, " B"], batch: Batch, tasks: int) -> tuple[Float[Array, " T"], Float[Array, " T"]]:
    """n_t L_t and n_t, both by the weights of the rows.

    >>> batch = {"task": jnp.array([1, 0, 1]), "weight": jnp.ones(3)}
    >>> [own.tolist() for own in per_task(jnp.array([2.0, 5.0, 4.0]), batch, 3)]
    [[5.0, 6.0, 0.0], [1.0, 2.0, 0.0]]
    """
    owns_TB = (batch["task"] == jnp.arange(tasks)[:, None]) * batch["weight"]
    return owns_TB @ losses_B, owns_TB.sum(1)


def task_metrics(total_T: Float[Array, " T"], count_T: Float[Array, " T"]) -> Metrics:
    """`loss`, the mean over rows, and `loss_t` of every task, from n_t L_t and n_t."""
    found: Metrics = {"loss": (total_T.sum(), count_T.sum())}
    return found | {f"loss_{t}": (total_T[t], count_T[t]) for t in range(len(count_T))}


def dynamic_weights(
    last_T: Float[Array, " T"], before_T: Float[Array, " T"], temperature: float = 2.0
) -> Float[Array, " T"]:
    """Dynamic weight average: w_t = T softmax_t(r_t / temperature) with r_t = L_t(e - 1) / L_t(e - 2), by epochs e.

    A task whose loss falls more slowly counts more. Weights sum to T.

    Args:
      last_T, before_T: mean losses of the last epoch and of the one before; where one is 0, as before it was measured,
        r_t is 1.

    Reference: Liu et al. 2019, https://arxiv.org/abs/1803.10704, equation 7.

    >>> [round(float(weight), 3) for weight in dynamic_weights(jnp.array([1.0, 2.0]), jnp.array([1.0, 1.0]))]
    [0.755, 1.245]
    """
    known_T = (last_T > 0) & (before_T > 0)
    pace_T = jnp.where(known_T, last_T / jnp.where(known_T, before_T, 1.0), 1.0)
    return len(last_T) * jax.nn.softmax(pace_T / temperature)


def uncertain_loss(
    losses_T: Float[Array, " T"], log_variance_T: Float[Array, " T"], regression_T: Any
) -> Float[Array, " T"]:
    """c_t exp(-s_t) L_t + s_t / 2 with s_t = log σ_t², c_t = 1/2 for a regression by squared errors, and 1 otherwise.

    At its minimum over s_t, exp(s_t) = 2 c_t L_t: every task then pulls with about the same force, however large its
    loss is.

    Reference: Kendall et al. 2018, https://arxiv.org/abs/1705.07115, equations 5 to 10.

    >>> uncertain_loss(jnp.array([2.0, 2.0]), jnp.zeros(2), jnp.array([False, True])).tolist()
    [2.0, 1.0]
    """
    factor_T = jnp.where(jnp.asarray(regression_T), 0.5, 1.0)
    return factor_T * jnp.exp(-log_variance_T) * losses_T + log_variance_T / 2


@dataclass(frozen=True)
class SampledLoss:
    """Σ_t (n_t / B) w_t L_t; the metrics are `loss`, the mean over rows, and `loss_t` of every task.

    Args:
      tasks: T, however many of them a batch has.
    """

    tasks: int

    def each(self, model: Any, batch: Batch, key: Array | None) -> tuple[Float[Array, " T"], Metrics]:
        """The terms (n_t / B) L_t."""
        total_T, count_T = per_task(losses_of_rows(model, batch, key)[0], batch, self.tasks)
        return total_T / count_T.sum(), task_metrics(total_T, count_T)

    def __call__(
        self, model: Any, batch: Batch, key: Array | None, *, weights: Float[Array, " T"] | None = None
    ) -> tuple[Float[Array, ""], Metrics]:
        """Their weighted sum."""
        terms_T, found = self.each(model, batch, key)
        return (terms_T if weights is None else weights * terms_T).sum(), found


@dataclass(frozen=True)
class UncertainLoss:
    """Σ_t (n_t / B) (c_t exp(-s_t) L_t + s_t / 2), of the models "net" and "weights", which has `log_variance` (T,).

    Args:
      regressions: which tasks are regressions.
    """

    regressions: tuple[bool, ...]

    def __call__(self, models: Mapping[str, Any], batch: Batch, key: Array | None) -> tuple[Float[Array, ""], Metrics]:
        """The sum; the metrics are those of `SampledLoss`."""
        tasks, s_T = len(self.regressions), models["weights"].log_variance[...]
        total_T, count_T = per_task(losses_of_rows(models["net"], batch, key)[0], batch, tasks)
        means_T = total_T / jnp.maximum(count_T, 1e-9)
        shares_T = count_T / count_T.sum()
        return (shares_T * uncertain_loss(means_T, s_T, self.regressions)).sum(), task_metrics(total_T, count_T)
