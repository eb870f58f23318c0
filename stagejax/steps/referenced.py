"""A step of a model beside a frozen one: preference losses that compare both at what is drawn in the step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np
from flax import nnx

from stagejax.apart import take_apart
from stagejax.inference import Frozen
from stagejax.result import Result
from stagejax.stage import Batch, Metrics, Part, gradient_step
from stagejax.state import TrainState


def referenced_step(
    parts: dict[str, Part], states: dict[str, TrainState], batch: Batch, key: jax.Array
) -> tuple[dict[str, TrainState], Metrics]:
    """`gradient_step` of the model "policy" on its objective (model, batch, key, reference); "reference" stays.

    >>> # models = {"policy": net, "reference": net}
    >>> # stage = Stage("dpo", models, {"policy": FlowPreference(), "reference": None}, ..., step=referenced_step)
    >>> # run.train(stage, {"policy": tuned, "reference": tuned})
    """
    own, frozen = parts["policy"], states["reference"]
    reference = nnx.merge(parts["reference"].graphdef, frozen.params, frozen.rest)

    def objective(model: Any, batch: Batch, key: Any) -> Any:
        return own.objective(model, batch, key, reference)

    policy, metrics = gradient_step(replace(own, objective=objective), states["policy"], batch, key)
    return {"policy": policy, "reference": replace(frozen, step=policy.step)}, metrics


def of_policy(objective: Any, models: Any, batch: Batch, key: Any) -> Any:
    """An objective of one model, for evaluations of "policy" beside "reference"."""
    return objective(models["policy"], batch, key)


def losses_over_draws(
    objective: Any, policy: Result, reference: Result, pairs: Result, rows: int, draws: int
) -> dict[str, np.ndarray]:
    """`loss` of two models on the first rows of an artifact for keys 0, 1, ...: how much of it is chance."""
    nets = [Frozen.of(result) for result in (policy, reference)]
    graphdef, batch = take_apart(policy.model)[0], {name: x[:rows] for name, x in pairs.value.items()}

    @jax.jit
    def losses(values: Any, keys: jax.Array) -> jax.Array:
        own, other = (nnx.merge(graphdef, *each) for each in values)
        return jax.lax.map(lambda key: objective(own, batch, key, other)[0], keys)

    keys = jax.vmap(jax.random.key)(np.arange(draws))
    return {"loss": np.asarray(losses([(net.params, net.rest) for net in nets], keys))}
