"""Steps of multi-task learning that look at each task's loss or gradient: dynamic weights, and gradient surgery.

>>> # learning = Stage("mtl", net, SampledLoss(tasks=5), adamw(1e-3), SampledTasks(...), steps=300, ...)
>>> # run.train(replace(learning, step=Surgery()), encoder)
>>> # run.train(dynamically(learning, tasks=5, epochs=5), {"net": encoder})
>>> # run.train(by_uncertainty(learning, regressions=(False, ..., True)), {"net": encoder})
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from stagejax.models.loss_weights import LogVariances, LossMemory
from stagejax.objectives.tasks.gradient_surgery import combined, conflicts, gram, projection
from stagejax.objectives.tasks.task_weighting import UncertainLoss, dynamic_weights
from stagejax.stage import Batch, Metrics, Part, Stage, gradient_step, variables
from stagejax.state import TrainState, Tree, cast, everything, join
from stagejax.steps.joint import joint_step
from stagejax.steps.regularised import of_net


@dataclass(frozen=True)
class Surgery:
    """`gradient_step` by PCGrad: in what tasks share, each one's gradient is projected off those it conflicts with.

    The objective has `each`, the terms of the loss by task (see `SampledLoss`). The metric `conflict` is the share of
    pairs of tasks in the batch whose gradients of what they share have a negative cosine.

    Args:
      shared: attributes of the model that all tasks use; of the others gradients are summed as they are.

    Reference: Yu et al. 2020, https://arxiv.org/abs/2001.06782, algorithm 1.

    Raises:
      ValueError: the stage accumulates.
    """

    shared: tuple[str, ...] = ("encoder",)

    def __call__(self, part: Part, state: TrainState, batch: Batch, key: jax.Array) -> tuple[TrainState, Metrics]:
        if part.accumulate != 1:
            raise ValueError("Surgery: gradients of tasks are those of a whole batch, so accumulate=1")
        return gradient_step(replace(part, gradients=self._gradients), state, batch, key)

    def _gradients(
        self, part: Part, trained: Tree, frozen: Tree, rest: Tree, batch: Batch, key: jax.Array
    ) -> tuple[Any, Tree]:
        def terms(trained: Tree) -> tuple[jax.Array, tuple[Metrics, Tree]]:
            model = nnx.merge(part.graphdef, cast(join(trained, frozen, part.selection), part.precision.compute), rest)
            terms_T, metrics = part.objective.each(model, batch, key)
            new = jax.tree.map(lambda new, old: new.astype(old.dtype), variables(model), rest)
            return terms_T, ({"loss": terms_T.sum()} | metrics, new)

        gradients, (metrics, new) = jax.jacrev(terms, has_aux=True)(trained)
        gram_TT = gram({name: gradients[name] for name in self.shared})
        kept_T = projection(gram_TT, jax.random.fold_in(key, 1)).sum(0)
        grads = {
            name: combined(own, kept_T if name in self.shared else jnp.ones_like(kept_T))
            for name, own in gradients.items()
        }
        return (metrics | {"conflict": conflicts(gram_TT)}, new), grads


def dynamically(stage: Stage, tasks: int, epochs: int, temperature: float = 2.0) -> Stage:
    """The stage with the weights of dynamic weight average, in so many epochs; its models are "net" and "weights".

    Reference: Liu et al. 2019, https://arxiv.org/abs/1803.10704, section 3.2.
    """
    step = partial(averaged_step, epochs=epochs, temperature=temperature)
    return _both(stage, LossMemory(tasks), None, step=step)


def by_uncertainty(stage: Stage, regressions: tuple[bool, ...]) -> Stage:
    """The stage under `UncertainLoss`, whose log variances are trained by the same optimizer; "net" and "weights".

    Reference: Kendall et al. 2018, https://arxiv.org/abs/1705.07115, section 3.
    """
    variances = LogVariances(len(regressions))
    return _both(stage, variances, stage.optimizer, objective=UncertainLoss(regressions), step=joint_step)


def _both(stage: Stage, weights: Any, optimizer: Any, **changed: Any) -> Stage:
    evaluation = stage.evaluate
    return replace(
        stage,
        model={"net": stage.model, "weights": weights},
        optimizer={"net": stage.optimizer, "weights": optimizer},
        trainable={"net": stage.trainable, "weights": everything},
        evaluate=evaluation and replace(evaluation, objective=partial(of_net, evaluation.objective or stage.objective)),
        **changed,
    )


def averaged_step(
    parts: dict[str, Part],
    states: dict[str, TrainState],
    batch: Batch,
    key: jax.Array,
    *,
    epochs: int,
    temperature: float = 2.0,
) -> tuple[dict[str, TrainState], Metrics]:
    """`gradient_step` of "net" with `dynamic_weights` of the last two epochs' mean losses, kept in "weights".

    An epoch is one of `epochs` equal parts of the stage. The metrics `weight_t` are the weights of the step.
    """
    net, memory = states["net"], states["weights"].rest
    weights_T = dynamic_weights(memory["last"], memory["before"], temperature)
    objective = partial(_noting, parts["net"].objective, weights_T=weights_T)
    after, metrics = gradient_step(replace(parts["net"], objective=objective), net, batch, key)
    total_T = memory["total"] + metrics.pop("total_T")
    count_T = memory["count"] + metrics.pop("count_T")
    means_T = jnp.where(count_T > 0, total_T / jnp.maximum(count_T, 1e-9), memory["last"])
    at = states["weights"].step
    ends = jnp.floor(epochs * parts["net"].progress(at + 1) + 1e-4) > jnp.floor(
        epochs * parts["net"].progress(at) + 1e-4
    )
    new = {
        "total": jnp.where(ends, 0.0, total_T),
        "count": jnp.where(ends, 0.0, count_T),
        "last": jnp.where(ends, means_T, memory["last"]),
        "before": jnp.where(ends, memory["last"], memory["before"]),
    }
    shown = {f"weight_{t}": weights_T[t] for t in range(len(weights_T))}
    return {"net": after, "weights": replace(states["weights"], step=at + 1, rest=new)}, metrics | shown


def _noting(objective: Any, model: Any, batch: Batch, key: Any, *, weights_T: jax.Array) -> tuple[jax.Array, Metrics]:
    """The weighted objective, and what the means of losses are made of."""
    loss, metrics = objective(model, batch, key, weights=weights_T)
    pairs = [metrics[f"loss_{t}"] for t in range(len(weights_T))]
    return loss, metrics | {"total_T": jnp.stack([a for a, _ in pairs]), "count_T": jnp.stack([b for _, b in pairs])}
