"""A step in parameter space away from models that were trained from one.

gone = run.transform("gone", Extrapolate(1.0), original, adapted, to=original.model)
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

Tree = Any
Variables = tuple[Tree, Tree]  # parameters and other variables


@dataclass(frozen=True)
class Extrapolate:
    """θ' = θ + γ (θ - mean of θ₁, ..., θₙ): the negated mean of n task vectors, added to where they began.

    For `run.transform`, with θ first; other variables are those of θ. What `growth.Combine.tasks(-γ/n, ...)` does as a
    growth, for models that have no objective of their own to be probed by, such as a generator.

    Reference: Ilharco et al. 2023 (task arithmetic), https://arxiv.org/abs/2212.04089, section 2; unlearning in GANs:
    Tiwari et al. 2025, https://arxiv.org/abs/2309.14054.

    >>> params, _ = Extrapolate(2.0)(None, ({"x": jnp.ones(1)}, {}), ({"x": jnp.zeros(1)}, {}))
    >>> params["x"]
    Array([3.], dtype=float32)
    """

    gamma: float

    def __call__(self, key: Any, start: Variables, *others: Variables) -> Variables:
        """The variables of the new model; the key draws nothing.

        Raises:
          ValueError: there is no other model.
        """
        if not others:
            raise ValueError("extrapolation needs at least one model that was trained from the first")

        def away(own: jax.Array, *trained: jax.Array) -> jax.Array:
            return own + self.gamma * (own - sum(trained) / len(trained))

        return jax.tree.map(away, start[0], *(params for params, _ in others)), start[1]


def random_twin(key: Any, anchor: Variables, origin: Variables) -> Variables:
    """A point in a random direction from the origin, in each tensor as far away as the anchor is.

    For `run.transform`: the control of what a direction in parameter space means.

    >>> anchor, origin = {"x": jnp.array([3.0, 4.0])}, {"x": jnp.zeros(2)}
    >>> twin, _ = random_twin(jax.random.key(0), (anchor, {}), (origin, {}))
    >>> round(float(jnp.linalg.norm(twin["x"])), 4)
    5.0
    """
    leaves, tree = jax.tree.flatten(origin[0])
    ends = list(itertools.accumulate(leaf.size for leaf in leaves))
    # Drawn at once: each draw of its own would be a program to compile.
    drawn, made = jnp.split(jax.random.normal(key, (ends[-1],)), ends[:-1]), []
    for own, far, direction in zip(leaves, jax.tree.leaves(anchor[0]), drawn, strict=True):
        length = jnp.linalg.norm((far - own).ravel()) / jnp.linalg.norm(direction)
        made.append(own + (length * direction).reshape(own.shape).astype(own.dtype))
    return jax.tree.unflatten(tree, made), origin[1]
