"""Whether the grown model learns as its source did: gradients through the growth, and one step of an optimizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from stagejax.axes import path_name
from stagejax.growth.apply import grow
from stagejax.growth.factors import factors
from stagejax.growth.moments import grow_moments
from stagejax.growth.operator import Growth, Tree


@dataclass(frozen=True)
class Dynamics:
    """How far the training of a grown model is from that of its source; each relative to the size of what it is of.

    With parameters θ′ = A θ, gradients g and g′, and the dual maps D:

      pull_back  Aᵀ g′ = g: holds wherever the growth keeps the function of every model of the old sizes
      dual       g′ = D g: holds where, besides, copies are symmetric; what moments moved by "dual" rely on
      step       a step of the grown model is the growth of the source's step, with the factors of `factors`
    """

    pull_back: float
    dual: float
    step: float


def verify_dynamics(
    growth: Growth,
    small: Tree,
    large: Tree,
    loss: Callable[[Any, Tree], jax.Array],
    *,
    eps: float = 0.1,
) -> Dynamics:
    """Measure it, at one point and on one batch, in one program.

    The step is Adam's first one, u = g / (|g| + ε), which has no scale: so it needs learning rates multiplied by |A|
    and ε by |D|.

    Args:
      growth: the operator and the two configurations. It may draw parameters, but not mix in another tree.
      small, large: the parameters before and after.
      loss: (configuration, parameters) -> scalar, on the same batch.
      eps: ε, relative to the root mean square of the source's gradient.

    Raises:
      GrowthError: the operator cannot grow this pair of models, or mixes in another tree.
    """
    drawn = jax.tree.map(jnp.zeros_like, large)

    def mapped(tree: Tree) -> Tree:
        """A applied to a tree, without what is drawn."""
        return grow(growth, tree, others={"init": drawn})

    @jax.jit
    def measured(small: Tree, large: Tree) -> tuple[jax.Array, ...]:
        g, g_large = (jax.grad(lambda p, c=c: loss(c, p))(p) for c, p in ((growth.old, small), (growth.config, large)))
        (pulled,) = jax.vjp(mapped, small)[1](g_large)
        dual = grow_moments(growth, optax.trace(0.9), optax.TraceState(trace=g), "dual").trace
        step = eps * jnp.sqrt(_norm(g) ** 2 / sum(leaf.size for leaf in jax.tree.leaves(g)))
        axes = jax.tree_util.tree_map_with_path(lambda path, _: growth.target[path_name(path)][0], large)
        scale = factors(growth, axes)
        update = lambda g, lr, eps: lr * g / (jnp.abs(g) + eps * step)  # noqa: E731
        own = jax.tree.map(update, g_large, scale.lr, scale.eps)
        wanted = mapped(jax.tree.map(lambda g: g / (jnp.abs(g) + step), g))
        return _apart(pulled, g), _apart(g_large, dual), _apart(own, wanted)

    return Dynamics(*map(float, measured(small, large)))


def _norm(tree: Tree) -> jax.Array:
    return jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)))


def _apart(a: Tree, b: Tree) -> jax.Array:
    return _norm(jax.tree.map(jnp.subtract, a, b)) / jnp.maximum(_norm(b), jnp.finfo(jnp.float32).tiny)
