"""A model fitted to one instance, such as an image; under `jax.vmap`, to many at once in one program.

Each instance has parameters, moments and random draws of its own, so it ends as it would have ended alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

Tree = Any
Batch = Mapping[str, jax.Array]


@dataclass(frozen=True)
class Phase:
    """Some steps on one loss, of some parts of the model.

    Args:
      loss: (model, batch) -> a number.
      steps: how many.
      trained: names of the model's attributes that move; all others stay exactly as they are, moments included.
    """

    loss: Callable[[Any, Batch], jax.Array]
    steps: int
    trained: tuple[str, ...]


def fit_instance(
    config: Any,
    phases: Sequence[Phase],
    tx: optax.GradientTransformation,
    rate: optax.Schedule,
    draw: Callable[[jax.Array], Batch],
    key: jax.Array,
) -> tuple[nnx.Module, jax.Array]:
    """A fresh model of `config` after all phases, and the loss of every step.

    Args:
      tx: makes updates of gradients, without a learning rate; every attribute has a state of its own, which begins in
        the first phase that trains it.
      rate: the learning rate by the step, counted through all phases.
      draw: the batch of a step, from its key.
      key: of the initial parameters and of all draws.

    Raises:
      ValueError: a phase trains what the model does not have.

    >>> # found = jax.vmap(lambda views, key: fit_instance(config, phases, tx, rate, partial(some, views), key))(...)
    """
    first, draws = jax.random.split(key)
    graphdef, params = nnx.split(config.build(nnx.Rngs(params=first)), nnx.Param)
    params = nnx.to_pure_dict(params)
    for phase in phases:
        if missing := set(phase.trained) - set(params):
            raise ValueError(f"a phase trains {sorted(missing)}, but the model has {sorted(params)}")
    carry, start, losses = (params, {name: tx.init(own) for name, own in params.items()}), 0, []
    for phase in phases:

        def step(carry: Any, number: jax.Array, phase: Phase = phase) -> tuple[Any, jax.Array]:
            params, moments = carry
            batch = draw(jax.random.fold_in(draws, number))
            still = {name: own for name, own in params.items() if name not in phase.trained}
            moving = {name: params[name] for name in phase.trained}
            loss, grads = jax.value_and_grad(lambda own: phase.loss(nnx.merge(graphdef, own | still), batch))(moving)
            moments = dict(moments)
            for name in phase.trained:
                updates, moments[name] = tx.update(grads[name], moments[name], moving[name])
                updates = jax.tree.map(lambda update: -rate(number) * update, updates)
                moving[name] = optax.apply_updates(moving[name], updates)
            return (moving | still, moments), loss

        carry, found = jax.lax.scan(step, carry, jnp.arange(start, start + phase.steps))
        losses.append(found)
        start += phase.steps
    return nnx.merge(graphdef, carry[0]), jnp.concatenate(losses)
