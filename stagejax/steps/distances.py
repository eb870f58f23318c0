"""A step that says how far the parameters are from where they began."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from stagejax.axes import path_name
from stagejax.stage import Batch, Metrics, Part, gradient_step
from stagejax.state import TrainState, Tree


@dataclass(frozen=True)
class DistanceStep:
    """`gradient_step` of an `Anchored` model, with the metric `distance`: |w_t - w_0|₂ after the step's update.

    Args:
      layers: beginnings of paths, such as `hidden/1`; each has a metric `distance_<path>` of its own.

    >>> # Stage(model=Anchored(net), step=DistanceStep(("hidden/1", "heads")), ...)
    """

    layers: tuple[str, ...] = ()

    def __call__(self, part: Part, state: TrainState, batch: Batch, key: jax.Array) -> tuple[TrainState, Metrics]:
        after, metrics = gradient_step(part, state, batch, key)
        squares = squared_distances(after.params, state.rest["start"])
        found = {"distance": jnp.sqrt(sum(squares.values()))}
        for layer in self.layers:
            own = [square for path, square in squares.items() if f"{path}/".startswith(f"{layer}/")]
            if not own:
                raise ValueError(f"no parameter lies under {layer!r}; there are {', '.join(squares)}")
            found[f"distance_{layer}"] = jnp.sqrt(sum(own))
        return after, metrics | found


def squared_distances(params: Tree, start: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """|w - w_0|² of every parameter by path, in at least float32.

    >>> squared_distances({"up": {"bias": jnp.array([3.0, 4.0])}}, {"up/bias": jnp.zeros(2)})
    {'up/bias': Array(25., dtype=float32)}
    """

    def square(now: jax.Array, then: jax.Array) -> jax.Array:
        wide = jnp.promote_types(now.dtype, jnp.float32)
        return jnp.sum(jnp.square(now.astype(wide) - then.astype(wide)))

    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {path_name(path): square(leaf, start[path_name(path)]) for path, leaf in leaves}
