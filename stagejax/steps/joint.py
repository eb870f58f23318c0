"""One loss of several models, and one gradient of it, which also passes through those that stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import jax
import optax
from flax import nnx

from stagejax.stage import Batch, Metrics, Part, average, ratios, variables
from stagejax.state import TrainState, Tree, cast, join, split


def joint_step(
    parts: dict[str, Part],
    states: dict[str, TrainState],
    batch: Batch,
    key: jax.Array,
    *,
    options: Callable[[jax.Array], Mapping[str, Any]] | None = None,
) -> tuple[dict[str, TrainState], Metrics]:
    """A step of every model that has an optimizer, by the gradient of one objective ({name: model}, batch, key).

    A model without one stays as it is, in all its variables, and passes gradients on to what it was given. With
    `options`, the objective has `options(progress)` as further keyword arguments (see `paced_step`).

    Raises:
      ValueError: the stage accumulates, or its models do not share one objective.

    >>> # models = {"student": small, "teacher": large, "adapter": Translator(...)}
    >>> # Stage("taught", models, objective, {"student": adam(1e-3), "teacher": None, "adapter": adam(1e-3)}, ...,
    >>> #       step=joint_step)
    """
    part = next(iter(parts.values()))
    if part.accumulate != 1 or any(other.objective is not part.objective for other in parts.values()):
        raise ValueError(f"joint_step: one objective for {', '.join(parts)}, and accumulate=1")
    at = next(iter(states.values())).step
    key, more = jax.random.fold_in(key, at), {} if options is None else options(part.progress(at))
    halves = {name: split(states[name].params, own.selection) for name, own in parts.items()}
    trained, frozen = ({name: half[i] for name, half in halves.items()} for i in (0, 1))
    moving = [name for name in parts if jax.tree.leaves(trained[name])]

    def loss(trained: dict[str, Tree]) -> tuple[jax.Array, tuple[Metrics, dict[str, Tree]]]:
        params = {name: join(trained[name], frozen[name], own.selection) for name, own in parts.items()}
        models = {
            name: nnx.merge(own.graphdef, cast(params[name], own.precision.compute), states[name].rest)
            for name, own in parts.items()
        }
        value, metrics = part.objective(models, batch, key, **more)
        rest = {name: jax.tree.map(_in_dtype, variables(models[name]), states[name].rest) for name in moving}
        return value, ({"loss": value} | metrics, rest)

    if part.remat is not None:
        loss = jax.checkpoint(loss, policy=getattr(jax.checkpoint_policies, part.remat))
    (_, (metrics, rest)), grads = jax.value_and_grad(loss, has_aux=True)(trained)
    after = {name: replace(state, step=at + 1) for name, state in states.items()}
    for name in moving:
        own, state = parts[name], states[name]
        updates, opt_state = own.tx.update(cast(grads[name], own.precision.gradients), state.opt_state, trained[name])
        opt_state = jax.tree.map(_in_dtype, opt_state, state.opt_state)
        params = join(optax.apply_updates(trained[name], updates), frozen[name], own.selection)
        after[name] = TrainState(at + 1, params, rest[name], opt_state, average(state.ema, params, own.ema))
    return after, ratios(metrics) | {"grad_norm": optax.tree.norm(grads)}


def _in_dtype(new: jax.Array, old: jax.Array) -> jax.Array:
    return new if new.dtype == old.dtype else new.astype(old.dtype)
