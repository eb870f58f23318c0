"""Curricula by weight: easy samples count more at first, all alike in the end, and none is ever left out.

A sample's easiness D lies between 0 and 1. In iteration i of a curriculum of m it weighs `D + (i / m) (1 - D)`, and 1
from iteration m on.

Reference: MacAvaney et al. 2020, Training Curricula for Open Domain Answer Re-Ranking, https://arxiv.org/abs/2004.14269,
section 3.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics

Batch = Mapping[str, Any]
Number = float | Float[Array, ""]


def curriculum_weights(easiness: Float[Array, "*samples"], phase: Number) -> Float[Array, "*samples"]:
    """`D + phase (1 - D)`.

    Args:
      phase: i / m, which is 1 when the curriculum is over.

    >>> [curriculum_weights(jnp.array([0.25, 1.0]), phase).tolist() for phase in (0.0, 0.5, 1.0)]
    [[0.25, 1.0], [0.625, 1.0], [1.0, 1.0]]
    """
    return easiness + phase * (1 - easiness)


@dataclass(frozen=True)
class Iterations:
    """Options of `scheduled_step`: the phase of a curriculum of m iterations of so many steps.

    >>> [float(Iterations(4, steps=10)(jnp.array(step))["phase"]) for step in (0, 9, 10, 39, 40, 99)]
    [0.0, 0.0, 0.25, 0.75, 1.0, 1.0]
    """

    m: int
    steps: int

    def __post_init__(self) -> None:
        if self.m < 1 or self.steps < 1:
            raise ValueError(f"m={self.m}, steps={self.steps}: a curriculum has iterations, and they have steps")

    def __call__(self, step: Array) -> dict[str, Array]:
        return {"phase": jnp.minimum(step // self.steps / self.m, 1.0)}


def per_sample(losses: Float[Array, "*samples"], weights: Float[Array, "*samples"]) -> Float[Array, ""]:
    """`mean(w · l)`.

    >>> float(per_sample(jnp.array([1.0, 3.0]), jnp.array([1.0, 0.0])))
    0.5
    """
    return (weights * losses).mean()


def batch_mean(losses: Float[Array, "*samples"], weights: Float[Array, "*samples"]) -> Float[Array, ""]:
    """`mean(w) · mean(l)`: no sample counts more than another, but the step is smaller where many are hard.

    >>> float(batch_mean(jnp.array([1.0, 3.0]), jnp.array([1.0, 0.0])))
    1.0
    """
    return weights.mean() * losses.mean()


@dataclass(frozen=True)
class EasyFirst:
    """An objective whose samples weigh by their easiness, as far as the curriculum has come.

    Args:
      losses: (model, batch, key) -> the loss of every sample, and metrics.
      easiness: batch -> the easiness of every sample, in the same shape.
      reduce: `per_sample` or `batch_mean`.

    The metric `weight` is the mean weight, `plain` the loss without weights.

    >>> objective = EasyFirst(lambda model, batch, key: (batch["x"], {}), lambda batch: batch["easiness"])
    >>> batch = {"x": jnp.array([1.0, 3.0]), "easiness": jnp.array([1.0, 0.0])}
    >>> [float(objective(None, batch, None, phase=phase)[0]) for phase in (0.0, 1.0)]
    [0.5, 2.0]
    """

    losses: Callable[[Any, Batch, Any], tuple[Array, Metrics]]
    easiness: Callable[[Batch], Array]
    reduce: Callable[[Array, Array], Array] = per_sample

    def __call__(
        self, model: Any, batch: Batch, key: Array | None, *, phase: Number = 1.0
    ) -> tuple[Float[Array, ""], Metrics]:
        losses, metrics = self.losses(model, batch, key)
        weights = curriculum_weights(self.easiness(batch), phase)
        count = jnp.asarray(losses.size, jnp.float32)
        loss = self.reduce(losses, weights)
        own = {"loss": (loss * count, count), "plain": (losses.sum(), count), "weight": (weights.sum(), count)}
        return loss, metrics | own
