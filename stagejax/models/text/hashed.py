"""A linear classifier over hashed features: one row of a table each, summed."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from stagejax import axes


@dataclass(frozen=True)
class HashedLinear:
    """z = sum over features f of table[f].

    >>> HashedLinear(buckets=64, classes=5).sizes()
    {'features': 64, 'classes': 5}
    """

    buckets: int
    classes: int

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        return {"features": self.buckets, "classes": self.classes}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `HashedClassifier`, whose table is zero at first: the problem is convex."""
        return HashedClassifier(self)


class HashedClassifier(nnx.Module):
    """The module of `HashedLinear`.

    >>> model = HashedLinear(buckets=64, classes=5).build(nnx.Rngs(0))
    >>> model(jnp.zeros((3, 4), int)).shape
    (3, 5)
    """

    def __init__(self, config: HashedLinear) -> None:
        self.config = config
        table = jnp.zeros((config.buckets, config.classes))
        self.table = axes.param(table, reads=("features",), writes=("classes",))

    def __call__(self, features_BF: Int[Array, "B F"], key: PRNGKeyArray | Array | None = None) -> Float[Array, "B K"]:
        # The sum as a product with ones, so that its FLOPs are counted as those of every other model.
        return jnp.ones(features_BF.shape[-1]) @ self.table[...][features_BF]
