"""A step that draws once and learns from it in several passes: PPO's, where a draw is dear and a pass is cheap."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from stagejax.stage import Batch, Metrics, Part, gradient_step
from stagejax.state import TrainState, cast


@dataclass(frozen=True)
class Epochs:
    """`epochs` gradient steps of every model on what all of them together made of a batch. A stage's `step`.

    Args:
      draw: (models by name, batch, key) -> (what their objectives read, metrics); no gradient passes through it.
      epochs: passes over it.

    A state's step counts draws; an optimizer's own count and schedule count its gradient steps. Metrics of an objective
    are those of the last pass, under `<model>_<name>`; `loss` and `grad_norm` are those of the first model.

    Raises:
      ValueError: epochs is below 1.

    >>> # Stage(model={"policy": net, "value": critic}, objective={"policy": ..., "value": ...}, optimizer={...},
    >>> #       data=paths, step=Epochs(partial(drawn_for_ppo, case=case, ...), epochs=10), ...)
    """

    draw: Callable[[Mapping[str, Any], Batch, jax.Array], tuple[Batch, Metrics]]
    epochs: int

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"epochs={self.epochs}: nothing would be learned from a draw; at least 1")

    def __call__(
        self, parts: dict[str, Part], states: dict[str, TrainState], batch: Batch, key: jax.Array
    ) -> tuple[dict[str, TrainState], Metrics]:
        """The states after the passes."""
        first = next(iter(parts))
        at = states[first].step
        draw_key, pass_key = jax.random.split(jax.random.fold_in(key, at))
        models = {
            name: nnx.merge(part.graphdef, cast(states[name].params, part.precision.compute), states[name].rest)
            for name, part in parts.items()
        }
        made, shown = self.draw(models, batch, draw_key)

        def one(states: dict[str, TrainState], epoch: jax.Array) -> tuple[dict[str, TrainState], Metrics]:
            own_key, after, metrics = jax.random.fold_in(pass_key, epoch), {}, {}
            for name, part in parts.items():
                after[name], found = gradient_step(part, states[name], made, own_key)
                metrics |= {f"{name}_{metric}": value for metric, value in found.items()}
            return after, metrics

        after, metrics = jax.lax.scan(one, dict(states), jnp.arange(self.epochs))
        metrics = {name: values[-1] for name, values in metrics.items()}
        whole = {name: metrics[f"{first}_{name}"] for name in ("loss", "grad_norm")}
        return {name: replace(state, step=at + 1) for name, state in after.items()}, metrics | shown | whole


__all__ = ["Epochs"]
