"""Objectives on circuits: their pins' features told again, and their timing after routing.

A batch is of `data.Circuits`: graphs side by side along the first axis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics

Batch = Mapping[str, Any]


def squared(
    predicted: Float[Array, "*n k"], truth: Float[Array, "*n k"], weights: Float[Array, "*n"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The weighted sum of squared differences, a mean over the last axis, and the sum of weights.

    >>> [float(x) for x in squared(jnp.zeros((2, 4)), jnp.ones((2, 4)), jnp.array([1.0, 0.0]))]
    [1.0, 1.0]
    """
    return (((predicted - truth) ** 2).mean(-1) * weights).sum(), weights.sum()


def of_graphs(function: Callable[[Any], Any], batch: Batch) -> Any:
    """`function` of every graph of a batch; one alone is not mapped over.

    >>> of_graphs(lambda graph: graph["x"].sum(), {"x": jnp.ones((1, 3))})
    Array([3.], dtype=float32)
    """
    if len(next(iter(batch.values()))) > 1:
        return jax.vmap(function)(dict(batch))
    return jax.tree.map(lambda leaf: leaf[None], function({name: leaf[0] for name, leaf in batch.items()}))


def pin_reconstruction(model: Any, batch: Batch, key: Array | None) -> tuple[Float[Array, ""], Metrics]:
    """The mean squared error of the features of all pins, padding aside.

    Args:
      model: `model(graph)` gives the features of a graph again.
      batch: see above.
      key: not used.

    Returns:
      The loss, and the pair (sum, pins) `loss`.
    """
    last = len(batch["period"][0]) - 1
    pair = squared(of_graphs(model, batch), batch["pins"], (batch["block"] != last).astype(jnp.float32))
    return pair[0] / jnp.maximum(pair[1], 1), {"loss": pair}


def route_timing(model: Any, batch: Batch, key: Array | None) -> tuple[Float[Array, ""], Metrics]:
    """Squared errors of arrivals, log-slews, log net delays and cell delays, with true signals before each: their sum.

    Each is a mean over the pins, nets or arcs with a weight, of all graphs together, and over four channels.

    Args:
      model: `model.teacher_forced(graph)` gives `signal`, `net_delay` and `cell_delay`.
      batch: see above.
      key: not used.

    Returns:
      The loss, and `loss` and the pairs (sum, count) `arrival`, `slew`, `net_delay` and `cell_delay`.
    """
    found = of_graphs(lambda graph: tuple(model.teacher_forced(graph)), batch)
    signal, net_delay, cell_delay = found
    halves = [jnp.split(values, 2, -1) for values in (signal, batch["signal"])]
    terms = {
        "arrival": squared(halves[0][0], halves[1][0], batch["weights"]),
        "slew": squared(halves[0][1], halves[1][1], batch["weights"]),
        "net_delay": squared(net_delay, batch["net_delay"], batch["net_weights"]),
        "cell_delay": squared(cell_delay, batch["cell_delay"], batch["arc_weights"]),
    }
    return sum((t / jnp.maximum(n, 1) for t, n in terms.values()), start=jnp.zeros(())), dict(terms)
