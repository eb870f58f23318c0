"""How far the gradients of neighbouring steps agree: a measure of conflict between what they train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


class Recalled(NamedTuple):
    """The last gradient, and its cosine with the one before: the first state of a `Recalling` optimizer."""

    gradient: Any
    cosine: jax.Array


@dataclass(frozen=True)
class Recalling:
    """An optimizer that also remembers the last gradient: how far neighbouring steps agree is `opt_state[0].cosine`.

    >>> tx = Recalling(lambda steps, axes: optax.sgd(0.1))(10, None)
    >>> state = tx.init(jnp.zeros(2))
    >>> for grads in (jnp.array([1.0, 0.0]), jnp.array([1.0, 1.0])):
    ...     _, state = tx.update(grads, state, jnp.zeros(2))
    >>> round(float(state[0].cosine), 3)
    0.707
    """

    optimizer: Callable[[int, Any], optax.GradientTransformation]

    def __call__(self, steps: int, axes: Any) -> optax.GradientTransformation:
        """`optimizer`, behind the memory."""

        def init(params: Any) -> Recalled:
            return Recalled(optax.tree.zeros_like(params), jnp.zeros(()))

        def update(grads: Any, state: Recalled, params: Any = None) -> tuple[Any, Recalled]:
            norms = optax.tree.norm(grads) * optax.tree.norm(state.gradient)
            return grads, Recalled(grads, optax.tree.vdot(grads, state.gradient) / jnp.maximum(norms, 1e-12))

        return optax.chain(optax.GradientTransformation(init, update), self.optimizer(steps, axes))
