"""Regularised continual learning: a network beside what it was, which it stays near in its weights or in its answers.

The models of a stage are "net" and, as it was, "origin" and "fisher" (EWC) or "teacher" (LwF). Only "net" is trained.

>>> # first = run.train(phase)
>>> # noted = run.train(noting(phase, steps=8), {"net": first})  # of EWC
>>> # before = {name: noted.member(name) for name in ("origin", "fisher")}
>>> # second = run.train(beside(replace(phase, data=...), EWC(classification, 100.0)), {"net": first, **before})
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import nnx

from stagejax.handover import Handover
from stagejax.objectives.distillation import kl_divergence, soft_targets
from stagejax.objectives.elastic import Elastic, consolidated, fisher_diagonal
from stagejax.stage import Batch, Metrics, Objective, Part, Stage
from stagejax.state import TrainState
from stagejax.steps.alternating import Alternate, Move


@dataclass(frozen=True)
class EWC:
    """An objective plus λ / 2 · Σ F (θ - θ₀)², with F and θ₀ of all old tasks together (see `consolidate`).

    Args:
      objective: (model, batch, key) -> (loss, metrics).
      strength: λ.

    Reference: Kirkpatrick et al. 2017, https://arxiv.org/abs/1612.00796, equation 3.
    """

    objective: Objective
    strength: float
    models: tuple[str, ...] = ("origin", "fisher")  # that stand beside

    def __call__(self, model: Any, batch: Batch, key: Any, *, others: Mapping[str, Any]) -> tuple[jax.Array, Metrics]:
        loss, metrics = self.objective(model, batch, key)
        penalty, found = Elastic(self.strength)(model, batch, key, others=others)
        return loss + penalty, metrics | found


@dataclass(frozen=True)
class LwF:
    """An objective plus strength · T² KL(teacher || model) on the same images; the metric `kept` is this divergence.

    Args:
      objective: (model, batch, key) -> (loss, metrics).
      temperature: T.

    Reference: Li and Hoiem 2016, https://arxiv.org/abs/1606.09282, with one head as in van de Ven and Tolias 2019,
    https://arxiv.org/abs/1904.07734.
    """

    objective: Objective
    strength: float
    temperature: float = 2.0
    models: tuple[str, ...] = ("teacher",)  # that stand beside

    def __call__(self, model: Any, batch: Batch, key: Any, *, others: Mapping[str, Any]) -> tuple[jax.Array, Metrics]:
        loss, metrics = self.objective(model, batch, key)
        taught = soft_targets((others["teacher"](batch["image"]),), self.temperature)
        kept = self.temperature**2 * kl_divergence(model(batch["image"], key=key) / self.temperature, taught).mean()
        return loss + self.strength * kept, metrics | {"kept": kept}


@runtime_checkable
class BesideOthers(Protocol):
    """An objective of "net" that looks at frozen models beside it: `EWC`, `LwF`, `OldHeads` of several tasks."""

    @property
    def models(self) -> tuple[str, ...]:
        """Their names."""
        ...

    def __call__(self, model: Any, batch: Any, key: Any, *, others: Mapping[str, Any]) -> tuple[jax.Array, Metrics]:
        """The loss and its metrics."""
        ...


def beside(phase: Stage, loss: BesideOthers) -> Stage:
    """A phase after the first: the same stage with old networks beside the new one, whose moments go on."""
    others, evaluation = dict.fromkeys(loss.models), phase.evaluate
    return replace(
        phase,
        model={"net": phase.model} | dict.fromkeys(loss.models, phase.model),
        objective={"net": loss} | others,
        optimizer={"net": phase.optimizer} | others,
        step=Alternate((Move("net"),)),
        handover=Handover(moments="carry", schedule="carry"),
        evaluate=evaluation and replace(evaluation, objective=partial(of_net, evaluation.objective or phase.objective)),
    )


def of_net(objective: Objective, models: Any, batch: Batch, key: Any) -> tuple[jax.Array, Metrics]:
    """An objective of one model, for evaluations of "net"."""
    return objective(models["net"], batch, key)


def noting(phase: Stage, steps: int) -> Stage:
    """What stands between two phases of EWC: `consolidate` over so many batches of the phase's data."""
    return replace(
        phase,
        model=dict.fromkeys(("net", "origin", "fisher"), phase.model),
        objective=None,
        optimizer=None,
        steps=steps,
        step=consolidate,
        handover=Handover(schedule="carry"),
        evaluate=None,
    )


def consolidate(
    parts: dict[str, Part], states: dict[str, TrainState], batch: Batch, key: jax.Array
) -> tuple[dict[str, TrainState], Metrics]:
    """A stage's step that trains nothing: "fisher" and "origin" take in what the batch's task minds of "net".

    After a stage of n steps F has grown by the mean over all their examples of (∂ log p(y | x) / ∂ θ)², with a y for
    each x that is drawn from the network, not read from the labels. A first such stage, of which "fisher" and "origin"
    are fresh, begins with F = 0; later ones carry their steps on.

    Reference: Kirkpatrick et al. 2017; the true Fisher information: Kunstner et al. 2019,
    https://arxiv.org/abs/1905.12558.
    """
    part, net, origin, fisher = parts["net"], *(states[name] for name in ("net", "origin", "fisher"))

    def log_likelihood(params: Any, example: Any) -> jax.Array:
        image, key = example
        logits_C = nnx.merge(part.graphdef, params, net.rest)(image[None])[0]
        label = jax.random.categorical(key, jax.lax.stop_gradient(logits_C))
        return jax.nn.log_softmax(logits_C)[label]

    keys = jax.random.split(jax.random.fold_in(key, fisher.step), len(batch["image"]))
    squares = fisher_diagonal(log_likelihood, net.params, (batch["image"], keys))
    squares = jax.tree.map(lambda x: x / part.steps, squares)
    known = jax.tree.map(lambda x: jnp.where(fisher.step == 0, 0, x), fisher.params)
    summed, middle = consolidated(known, origin.params, squares, net.params)
    after = {
        "net": net,
        "origin": replace(origin, params=middle),
        "fisher": replace(fisher, params=summed, step=fisher.step + 1),
    }
    return after, {"fisher": sum(x.sum() for x in jax.tree.leaves(summed))}
