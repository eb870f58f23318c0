"""Regularised continual learning: a network beside what it was, which it stays near in its weights or in its answers.

The models of a stage are "net" and, as it was, "origin" and "fisher" (EWC) or "teacher" (LwF). Only "net" is trained.
What a model says of a batch is logits with weights: of one label an image (`of_images`), or of the learned tokens of
rows of text (`of_answers`).

>>> # first = run.train(phase)
>>> # noted = run.train(noting(phase, steps=8), {"net": first})  # of EWC
>>> # before = {name: noted.member(name) for name in ("origin", "fisher")}
>>> # second = run.train(beside(replace(phase, data=...), EWC(classification, 100.0)), {"net": first, **before})
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import nnx

from stagejax.handover import Handover
from stagejax.objectives.distillation import kl_divergence, soft_targets
from stagejax.objectives.elastic import Elastic, consolidated, fisher_diagonal
from stagejax.stage import Batch, Data, Metrics, Objective, Part, Stage
from stagejax.state import TrainState
from stagejax.steps.alternating import Alternate, Move

#: (model, batch, key) -> logits (B, ..., C) and weights (B, ...): which of them say something.
Says = Callable[[Any, Batch, Any], tuple[jax.Array, jax.Array]]


def of_images(model: Any, batch: Batch, key: Any) -> tuple[jax.Array, jax.Array]:
    """One label an image."""
    logits_BC = model(batch["image"], key=key)
    return logits_BC, jnp.ones(len(logits_BC))


def of_answers(model: Any, batch: Batch, key: Any) -> tuple[jax.Array, jax.Array]:
    """The next tokens of rows of text, of which those of weight 1 are learned, as in `causal_lm`."""
    return model(batch["tokens"], key=key), batch["weights"]


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
    """An objective plus strength · T² KL(teacher || model) on the same inputs; the metric `kept` is this divergence.

    Args:
      objective: (model, batch, key) -> (loss, metrics).
      temperature: T.
      says: what a model says of a batch: of images or of answers in text.

    Reference: Li and Hoiem 2016, https://arxiv.org/abs/1606.09282, with one head as in van de Ven and Tolias 2019,
    https://arxiv.org/abs/1904.07734.
    """

    objective: Objective
    strength: float
    temperature: float = 2.0
    models: tuple[str, ...] = ("teacher",)  # that stand beside
    says: Says = of_images

    def __call__(self, model: Any, batch: Batch, key: Any, *, others: Mapping[str, Any]) -> tuple[jax.Array, Metrics]:
        loss, metrics = self.objective(model, batch, key)
        own, weights = self.says(model, batch, key)
        taught = soft_targets((self.says(others["teacher"], batch, None)[0],), self.temperature)
        apart = self.temperature**2 * kl_divergence(own / self.temperature, taught)
        kept = (weights * apart).sum() / jnp.maximum(weights.sum(), 1)
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


def noting(phase: Stage, steps: int, says: Says = of_images) -> Stage:
    """What stands between two phases of EWC: `consolidate` over so many batches of the phase's data."""
    return replace(
        phase,
        model=dict.fromkeys(("net", "origin", "fisher"), phase.model),
        objective=None,
        optimizer=None,
        steps=steps,
        step=partial(consolidate, says=says),
        handover=Handover(schedule="carry"),
        evaluate=None,
    )


def one_by_one(
    run: Any,
    phase: Stage,
    loss: EWC | LwF,
    phases: Sequence[Data],
    seen: Sequence[Data],
    start: Any = None,
    *,
    fisher: int = 8,
    says: Says = of_images,
) -> tuple[Any, ...]:
    """Phases one after the other under a regulariser, each a stage: the results, of which EWC has one between two.

    Args:
      run: whose `train` trains.
      phase: a phase, the first one without old networks.
      phases: the data of each.
      seen: of each phase, the data by which EWC notes what it minds.
      start: what the first phase begins from.
      fisher: batches of that.

    >>> # results = one_by_one(run, phase, EWC(classification, 100.0), phases, phases)
    """
    name = f"{phase.name}/{{}}".format
    net, before = run.train(replace(phase, name=name(0), data=phases[0]), start), {}
    results = [net]
    for k in range(1, len(phases)):
        if isinstance(loss, EWC):
            own = noting(replace(phase, name=name(f"{k}/fisher"), data=seen[k - 1]), fisher, says)
            noted = run.train(own, {"net": net} | before)
            results.append(noted)
            before = {model: noted.member(model) for model in loss.models}
        else:
            before = {"teacher": net}
        own = replace(phase, name=name(k), data=phases[k])
        results.append(run.train(beside(own, loss), {"net": net} | before))
        net = results[-1].member("net")
    return tuple(results)


def consolidate(
    parts: dict[str, Part], states: dict[str, TrainState], batch: Batch, key: jax.Array, *, says: Says = of_images
) -> tuple[dict[str, TrainState], Metrics]:
    """A stage's step that trains nothing: "fisher" and "origin" take in what the batch's task minds of "net".

    After a stage of n steps F has grown by the mean over all their examples of (∂ log p(y | x) / ∂ θ)², with a y for
    each x that is drawn from the network, not read from the labels. Of a text y is drawn at each learned token behind
    the true ones before it, and log p is the sum over these. A first such stage, of which "fisher" and "origin" are
    fresh, begins with F = 0; later ones carry their steps on.

    Reference: Kirkpatrick et al. 2017; the true Fisher information: Kunstner et al. 2019,
    https://arxiv.org/abs/1905.12558.
    """
    part, net, origin, fisher = parts["net"], *(states[name] for name in ("net", "origin", "fisher"))

    def log_likelihood(params: Any, example: Any) -> jax.Array:
        one, key = example
        alone = jax.tree.map(lambda x: x[None], one)
        logits, weights = says(nnx.merge(part.graphdef, params, net.rest), alone, None)
        labels = jax.random.categorical(key, jax.lax.stop_gradient(logits))
        return (weights * jnp.take_along_axis(jax.nn.log_softmax(logits), labels[..., None], -1)[..., 0]).sum()

    count = len(jax.tree.leaves(dict(batch))[0])
    keys = jax.random.split(jax.random.fold_in(key, fisher.step), count)
    squares = fisher_diagonal(log_likelihood, net.params, (dict(batch), keys))
    squares = jax.tree.map(lambda x: x / part.steps, squares)
    known = jax.tree.map(lambda x: jnp.where(fisher.step == 0, 0, x), fisher.params)
    summed, middle = consolidated(known, origin.params, squares, net.params)
    after = {
        "net": net,
        "origin": replace(origin, params=middle),
        "fisher": replace(fisher, params=summed, step=fisher.step + 1),
    }
    return after, {"fisher": sum(x.sum() for x in jax.tree.leaves(summed))}
