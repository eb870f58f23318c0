"""A step of a model beside a frozen one: preference losses that compare both at what is drawn in the step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
from flax import nnx

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
