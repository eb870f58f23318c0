"""Many networks of one kind, which a search without gradients improves together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from stagejax.models.stack import stack


@dataclass(frozen=True)
class Population:
    """`size` networks of one kind, each with the usual initial values of its own, along an axis `population`.

    Args:
      net: their config.
      memory: names of what the search remembers of each member, a vector as long as its parameters.

    >>> from stagejax.models.text.pair_matcher import PairMatcher
    >>> model = Population(PairMatcher(8, 4, 4, 4), 6, memory=("velocity",)).build(nnx.Rngs(0))
    >>> model.members.score.kernel.shape, model.fitness.shape, model.memory["velocity"].shape
    ((6, 4, 1), (6,), (6, 593))
    """

    net: Any
    size: int
    memory: tuple[str, ...] = ()

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        return {"population": self.size, **self.net.sizes()}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `Individuals`: `members`, their `fitness`, infinite while unknown, and `memory`, at first zeros."""
        return Individuals(self, rngs)


class Individuals(nnx.Module):
    """The module of `Population`."""

    def __init__(self, config: Population, rngs: nnx.Rngs) -> None:
        self.members = stack(config.net.build, config.size, rngs, "population")
        leaves = jax.tree.leaves(nnx.state(self.members, nnx.Param))
        length = sum(leaf.size for leaf in leaves) // config.size
        self.fitness = nnx.Variable(jnp.full(config.size, jnp.inf))
        self.memory = nnx.Dict({name: nnx.Variable(jnp.zeros((config.size, length))) for name in config.memory})
