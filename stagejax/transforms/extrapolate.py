"""A step in parameter space away from models that were trained from one.

gone = run.transform("gone", Extrapolate(1.0), original, adapted, to=original.model)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax

Tree = Any
Variables = tuple[Tree, Tree]  # parameters and other variables


@dataclass(frozen=True)
class Extrapolate:
    """θ' = θ + γ (θ - mean of θ₁, ..., θₙ): the negated mean of n task vectors, added to where they began.

    For `run.transform`, with θ first; other variables are those of θ. What `growth.Combine.tasks(-γ/n, ...)` does as a
    growth, for models that have no objective of their own to be probed by, such as a generator.

    Reference: Ilharco et al. 2023 (task arithmetic), https://arxiv.org/abs/2212.04089, section 2; unlearning in GANs:
    Tiwari et al. 2025, https://arxiv.org/abs/2309.14054.

    >>> import jax.numpy as jnp
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
