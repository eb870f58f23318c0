"""What stands beside a network that learns several tasks: learned log variances, or the losses of past epochs.

Letters: T tasks.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx

from stagejax import axes
from stagejax.models.build import built


@dataclass(frozen=True)
class LogVariances:
    """`log_variance` (T,), which begins at 0 and is trained.

    >>> LogVariances(3).build(nnx.Rngs(0)).log_variance.shape
    (3,)
    """

    tasks: int

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        return {"tasks": self.tasks}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The module."""
        return built(_LogVariances, self, rngs.params())


class _LogVariances(nnx.Module):
    def __init__(self, config: LogVariances, rngs: nnx.Rngs) -> None:
        self.log_variance = axes.param(jnp.zeros(config.tasks), writes=("tasks",))


@dataclass(frozen=True)
class LossMemory:
    """Sums and counts of losses in this epoch, `total` and `count`, and the means of the `last` and the one `before`.

    It has no parameters; all are (T,) and begin at 0.

    >>> sorted(nnx.to_pure_dict(nnx.state(LossMemory(3).build(nnx.Rngs(0)))))
    ['before', 'count', 'last', 'total']
    """

    tasks: int

    def sizes(self) -> dict[str, int]:
        """No parameter has a named axis."""
        return {}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The module."""
        return built(_LossMemory, self, rngs.params())


class _LossMemory(nnx.Module):
    def __init__(self, config: LossMemory, rngs: nnx.Rngs) -> None:
        for name in ("total", "count", "last", "before"):
            setattr(self, name, nnx.Variable(jnp.zeros(config.tasks)))
