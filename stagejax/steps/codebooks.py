"""The step of models with codebooks: codes that nothing uses get another chance."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
from flax import nnx

from stagejax.stage import Batch, Metrics, Part, gradient_step
from stagejax.state import TrainState


def reviving_step(part: Part, state: TrainState, batch: Batch, key: jax.Array) -> tuple[TrainState, Metrics]:
    """A gradient step; in the first half of the stage unused codes are then put at vectors of the batch.

    The model has a method `revive(batch, key)` that does so (see `models.generative.quantizer.revive`).
    """
    new, metrics = gradient_step(part, state, batch, key)
    model = nnx.merge(part.graphdef, new.params, new.rest)
    model.revive(batch, jax.random.fold_in(key, state.step))
    revived = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    early = part.progress(state.step) < 0.5
    return replace(new, params=jax.tree.map(lambda a, b: jnp.where(early, a, b), revived, new.params)), metrics
