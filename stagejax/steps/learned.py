"""Stages that learn how to grow: the small model stays, the maps to the large one are trained through it.

learned = run.train(learning_stage("ligo", small, to=large, objective=..., optimizer=..., data=..., steps=100),
                    {"source": small})
start = run.grow("start", small, to=large, operator=LiGO.of(learned))
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jax
from flax import nnx

from stagejax.growth.ligo import LearnedMaps
from stagejax.result import Result
from stagejax.stage import Batch, Data, Evaluation, Metrics, Objective, Stage, gradient_step
from stagejax.state import TrainState


def learning_stage(
    name: str, source: Result, *, to: Any, objective: Objective, optimizer: Any, data: Data, steps: int, **fields: Any
) -> Stage:
    """The stage that learns LiGO's maps from the model of `source` to `to`; start it from `{"source": source}`.

    Args:
      name: of the stage.
      source: the small model, which is not trained.
      to: configuration of the large model.
      objective: of the large model.
      optimizer: of the maps.
      data, steps, fields: as of any stage. `evaluate` scores the large model that the maps make.
    """
    evaluation: Evaluation | None = fields.pop("evaluate", None)
    if evaluation is not None:
        evaluation = replace(evaluation, objective=partial(of_network, evaluation.objective or objective))
    return Stage(
        name=name,
        model={"maps": LearnedMaps(source.model, to), "source": source.model},
        objective=None,
        optimizer={"maps": optimizer, "source": None},
        data=data,
        steps=steps,
        step=partial(learning_step, objective),
        evaluate=evaluation,
        **fields,
    )


def learning_step(
    objective: Objective, parts: Any, states: Any, batch: Batch, key: jax.Array
) -> tuple[dict[str, TrainState], Metrics]:
    """One step of the maps on the objective of the large model."""
    maps, source = parts["maps"], states["source"]
    through = partial(_through, objective, source.params)
    state, metrics = gradient_step(replace(maps, objective=through), states["maps"], batch, key)
    return {"maps": state, "source": source}, metrics


def of_network(objective: Objective, models: Any, batch: Batch, key: Any) -> tuple[jax.Array, Metrics]:
    """An objective of the large model, as one of the maps and the small model."""
    return _through(objective, nnx.to_pure_dict(nnx.state(models["source"], nnx.Param)), models["maps"], batch, key)


def _through(objective: Objective, params: Any, maps: Any, batch: Batch, key: Any) -> tuple[jax.Array, Metrics]:
    return objective(maps.network(params), batch, key)
