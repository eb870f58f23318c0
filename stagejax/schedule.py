"""The learning rate over a stage, as numbers that its compiled step takes: stages of any length and rate share one."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

Decay = Literal["cosine", "linear", "constant", "wsd", "inverse"]


class Schedule(NamedTuple):
    """Up to `peak` over `warmup` steps, and down to `end` over the last `falling` of `steps` steps.

    rate(t) = peak · min(1, (t + 1) / warmup), then end + (peak - end) · shape((t - (steps - falling)) / falling), where
    shape is (1 + cos πx) / 2 (`cosine`), 1 - x (`linear`, `wsd`), 1 (`constant`) or (1 + 10x)^-0.75 (`inverse`: Ganin
    et al. 2016, https://arxiv.org/abs/1505.07818, section 5.2).

    >>> rising = Schedule(peak=1.0, end=0.0, warmup=2.0, steps=6.0, falling=4.0)
    >>> [round(float(rising.rate(step, "linear")), 2) for step in range(6)]
    [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    """

    peak: Any
    end: Any
    warmup: Any  # steps, as are the others
    steps: Any
    falling: Any

    def rate(self, step: Any, decay: Decay) -> jax.Array:
        """The learning rate of a step, counted from 0."""
        done = jnp.clip((step - (self.steps - self.falling)) / jnp.maximum(self.falling, 1.0), 0.0, 1.0)
        own = {"cosine": (1 + jnp.cos(jnp.pi * done)) / 2, "constant": 1.0, "inverse": (1 + 10 * done) ** -0.75}
        shape = own.get(decay, 1 - done)
        rising = self.peak * (step + 1) / jnp.maximum(self.warmup, 1.0)
        return jnp.where(step < self.warmup, rising, self.end + (self.peak - self.end) * shape)
