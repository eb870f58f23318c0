"""A step whose objective has options that change from step to step: growing masks, temperatures, curricula in loss."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import jax

from stagejax.stage import Batch, Metrics, Part, gradient_step
from stagejax.state import TrainState


def scheduled_step(
    part: Part,
    state: TrainState,
    batch: Batch,
    key: jax.Array,
    *,
    options: Callable[[jax.Array], Mapping[str, Any]],
) -> tuple[TrainState, Metrics]:
    """`gradient_step` on the objective with `options(state.step)` as further keyword arguments.

    Give it to a stage as `step=partial(scheduled_step, options=...)`, with options that can be declared. Evaluation
    uses the stage's plain objective.
    """
    objective = functools.partial(part.objective, **options(state.step))
    return gradient_step(replace(part, objective=objective), state, batch, key)


def paced_step(
    part: Part,
    state: TrainState,
    batch: Batch,
    key: jax.Array,
    *,
    options: Callable[[jax.Array], Mapping[str, Any]],
) -> tuple[TrainState, Metrics]:
    """`scheduled_step` by the stage's progress: step t of T has `options(t / T)`, whatever T is.

    T is an argument of the compiled step: stages of several lengths share it.
    """
    return scheduled_step(part, state, batch, key, options=lambda step: options(part.progress(step)))
