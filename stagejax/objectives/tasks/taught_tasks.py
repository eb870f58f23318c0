"""Multi-task learning from what other networks say: single-task teachers that fade, and old heads that are kept.

Batches are those of `several_tasks`; of a regression the value that is said is the first answer. Letters: B rows, C
answers, N heads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.distillation import kl_divergence, soft_cross_entropy
from stagejax.objectives.loss import Metrics
from stagejax.objectives.tasks.several_tasks import Batch, losses_of_answers, masked_answers
from stagejax.objectives.tasks.task_weighting import SampledLoss


def gold_share(progress: Float[Array, ""]) -> dict[str, Float[Array, ""]]:
    """Teacher annealing: λ rises from 0 to 1 over a stage. Options of `steps.paced_step` for `TaughtLoss`."""
    return {"gold": progress}


def annealed_losses(
    answers_BC: Float[Array, "B C"], taught_BC: Float[Array, "B C"], batch: Batch, gold: Float[Array, ""] | float
) -> Float[Array, " B"]:
    """The loss of each row against λ label + (1 - λ) teacher: cross entropy, or the squared error of a regression.

    Args:
      taught_BC: what the row's own teacher answers: logits, or in the first place a value.
      gold: λ.

    Reference: Clark et al. 2019 (BAM), https://arxiv.org/abs/1907.04829, section 3.1.

    >>> batch = {"classes": jnp.array([2, 1]), "label": jnp.array([1.0, 2.0])}
    >>> taught = jnp.array([[0.0, 0.0], [4.0, 0.0]])
    >>> annealed_losses(jnp.zeros((2, 2)), taught, batch, 0.5).round(4)
    Array([0.6931, 9.    ], dtype=float32)
    """
    regression_B, label_B = batch["classes"] == 1, batch["label"]
    value_B = gold * label_B + (1 - gold) * taught_BC[:, 0]
    hard_BC = jax.nn.one_hot(jnp.where(regression_B, 0, label_B).astype(jnp.int32), answers_BC.shape[1])
    soft_BC = jax.nn.softmax(masked_answers(taught_BC, batch["classes"]))
    entropy_B = soft_cross_entropy(masked_answers(answers_BC, batch["classes"]), gold * hard_BC + (1 - gold) * soft_BC)
    return jnp.where(regression_B, (answers_BC[:, 0] - value_B) ** 2, entropy_B)


@dataclass(frozen=True)
class TaughtLoss:
    """The mean of `annealed_losses` over rows, with the teachers' answers as the batch's "taught" (B, C).

    The metric `loss` is that of the labels.
    """

    def __call__(
        self, model: Any, batch: Batch, key: Array | None, *, gold: Float[Array, ""] | float = 1.0
    ) -> tuple[Float[Array, ""], Metrics]:
        """The loss at a share of gold."""
        answers_BC = model.answers(batch["tokens"], batch["task"], key)
        losses_B = annealed_losses(answers_BC, batch["taught"], batch, gold)
        (hard_B, _), weight_B = losses_of_answers(answers_BC, batch), batch["weight"]
        return (weight_B * losses_B).sum() / weight_B.sum(), {"loss": ((weight_B * hard_B).sum(), weight_B.sum())}


@dataclass(frozen=True)
class OldHeads:
    """Learning without forgetting: a new task's loss, and what the heads of old tasks say of its texts stays as it was.

        Σ_t (n_t / B) L_t + strength · mean over old tasks of T² KL(teacher_t || model_t)

    for a regression the squared difference. The teacher, the network as it was, is the frozen model "teacher" of the
    stage. Only texts of the new task are needed.

    Args:
      tasks: how many heads the new task's loss may be of.
      classes: of each old task, whose heads are the first ones; 1: regression.
      temperature: T.

    Reference: Li and Hoiem 2016, https://arxiv.org/abs/1606.09282, equations 1 to 4.
    """

    tasks: int
    classes: tuple[int, ...]
    strength: float = 1.0
    temperature: float = 2.0
    models: tuple[str, ...] = ("teacher",)  # that stand beside

    def __call__(
        self, model: Any, batch: Batch, key: Array | None, *, others: Mapping[str, Any]
    ) -> tuple[Float[Array, ""], Metrics]:
        """The sum; the metric `kept` is the mean divergence."""
        loss, metrics = SampledLoss(self.tasks)(model, batch, key)
        said_BNC = model.every_answer(batch["tokens"], len(self.classes))
        was_BNC = jax.lax.stop_gradient(others["teacher"].every_answer(batch["tokens"], len(self.classes)))
        kept = jnp.mean(
            jnp.stack(
                [
                    head_distance(said_BNC[:, t], was_BNC[:, t], classes, self.temperature).mean()
                    for t, classes in enumerate(self.classes)
                ]
            )
        )
        return loss + self.strength * kept, metrics | {"kept": kept}


def head_distance(
    said_BC: Float[Array, "B C"], was_BC: Float[Array, "B C"], classes: int, temperature: float
) -> Float[Array, " B"]:
    """T² KL(was || said) over a head's own classes, or of a regression (one class) the squared difference.

    >>> head_distance(jnp.array([[3.0, 0.0]]), jnp.array([[1.0, 9.0]]), 1, 2.0).tolist()
    [4.0]
    >>> head_distance(jnp.array([[3.0, 0.0, 5.0]]), jnp.array([[4.0, 1.0, -5.0]]), 2, 2.0).round(5).tolist()
    [0.0]
    """
    if classes == 1:
        return (said_BC[:, 0] - was_BC[:, 0]) ** 2
    taught_BC = jax.nn.softmax(was_BC[:, :classes] / temperature)
    return temperature**2 * kl_divergence(said_BC[:, :classes] / temperature, taught_BC)
