"""Optimizers (optax) for parameters that begin anew while the others go on, and for gradients of low rank."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from stagejax.axes import Axes, is_axes
from stagejax.transforms.reparameterize import linear_maps, split_sizes

Tree = Any


class RestartedAdam(NamedTuple):
    """Moments, with the age of those that were restarted beside the count of all others."""

    count: jax.Array
    age: jax.Array
    mu: Tree
    nu: Tree


def restarts(axes: Axes) -> bool:
    """Whether a parameter is a low-rank factor, which begins anew with every restart: it has `active` or `rank`."""
    return not {"active", "rank"}.isdisjoint(axes.names)


def marked(axes: Tree) -> Tree:
    """True at the parameters that restart, False at the others."""
    return jax.tree.map(restarts, axes, is_leaf=is_axes)


def scale_by_restarted_adam(
    axes: Tree, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, warmup: int = 0
) -> optax.GradientTransformation:
    """Adam, in which restarted factors have a count of their own, and updates that grow linearly over `warmup` steps.

    `update = min(1, (age + 1) / warmup) · m̂ / (√v̂ + eps)` for factors, with bias corrections by their age; without
    restarts and warm-up, it is `optax.scale_by_adam`.
    """
    mark = marked(axes)

    def init(params: Tree) -> RestartedAdam:
        zero = jnp.zeros((), jnp.int32)
        return RestartedAdam(zero, zero, jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params))

    def update(updates: Tree, state: RestartedAdam, params: Tree = None) -> tuple[Tree, RestartedAdam]:
        mu = optax.tree.update_moment(updates, state.mu, b1, 1)
        nu = optax.tree.update_moment_per_elem_norm(updates, state.nu, b2, 2)
        count, age = (optax.safe_increment(number) for number in (state.count, state.age))

        def scaled(new: bool, m: jax.Array, v: jax.Array) -> jax.Array:
            t = (age if new else count).astype(m.dtype)
            step = m / (1 - b1**t) / (jnp.sqrt(v / (1 - b2**t)) + eps)
            return step * jnp.minimum(1, t / warmup) if new and warmup else step

        return jax.tree.map(scaled, mark, mu, nu), RestartedAdam(count, age, mu, nu)

    return optax.GradientTransformation(init, update)


def forget(opt_state: Tree, mark: Tree) -> Tree:
    """The optimizer state with the moments of the marked parameters, and their age, at zero.

    >>> from stagejax.axes import Axes
    >>> tx = scale_by_restarted_adam({"up": Axes(("rank", "mlp"), ("read", "write"))})
    >>> _, state = tx.update({"up": jnp.ones((1, 2))}, tx.init({"up": jnp.ones((1, 2))}))
    >>> int(state.age), int(forget(state, {"up": True}).age)
    (1, 0)
    """

    def one(state: Any) -> Any:
        if not isinstance(state, RestartedAdam):
            return state
        mu, nu = (
            jax.tree.map(lambda new, x: jnp.zeros_like(x) if new else x, mark, moment)
            for moment in (state.mu, state.nu)
        )
        return state._replace(age=jnp.zeros_like(state.age), mu=mu, nu=nu)

    return jax.tree.map(one, opt_state, is_leaf=lambda node: isinstance(node, RestartedAdam))


class GaLore(NamedTuple):
    """Adam's moments, of projected gradients where there is a projector."""

    count: jax.Array
    projectors: Tree  # (..., smaller side, rank) of kernels, None elsewhere
    mu: Tree
    nu: Tree


def scale_by_galore(
    axes: Tree, rank: int, every: int, scale: float = 0.25, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> optax.GradientTransformation:
    """Adam on the gradients of linear kernels projected to `rank` directions, renewed by SVD every `every` steps.

    `R = P^T G`, `update = scale · P Adam(R)`, with P the first left singular vectors of G; G is transposed where it has
    more rows than columns. Other parameters get plain Adam. Moments stay when P changes.

    Reference: Zhao et al. 2024 (GaLore), https://arxiv.org/abs/2403.03507, algorithm 2.
    """

    def projected(leaf_axes: Axes) -> bool:
        return linear_maps("", leaf_axes)

    def matrix(leaf_axes: Axes, x: jax.Array) -> jax.Array:
        """The kernel behind its stacked dimensions as a matrix that is not taller than wide."""
        stack, reads, _ = split_sizes(leaf_axes, x.shape)
        x = x.reshape(*stack.values(), -1, x.size // math.prod([*stack.values(), *reads.values()]))
        return x if x.shape[-2] <= x.shape[-1] else x.swapaxes(-1, -2)

    def back(leaf_axes: Axes, x: jax.Array, like: jax.Array) -> jax.Array:
        _, reads, _ = split_sizes(leaf_axes, like.shape)
        rows = math.prod(reads.values())
        return (x if x.shape[-2] == rows else x.swapaxes(-1, -2)).reshape(like.shape)

    def init(params: Tree) -> GaLore:
        def projector(a: Axes, x: jax.Array) -> Any:
            return jnp.zeros((*matrix(a, x).shape[:-1], rank), x.dtype) if projected(a) else None

        def moment(a: Axes, x: jax.Array) -> jax.Array:
            if not projected(a):
                return jnp.zeros_like(x)
            shape = matrix(a, x).shape
            return jnp.zeros((*shape[:-2], rank, shape[-1]), x.dtype)

        first, second = (jax.tree.map(moment, axes, params, is_leaf=is_axes) for _ in range(2))
        return GaLore(jnp.zeros((), jnp.int32), jax.tree.map(projector, axes, params, is_leaf=is_axes), first, second)

    def update(updates: Tree, state: GaLore, params: Tree = None) -> tuple[Tree, GaLore]:
        def renewed(gradients: Tree, old: Tree) -> Tree:
            def one(a: Axes, g: jax.Array, p: Any) -> Any:
                return jnp.linalg.svd(matrix(a, g), full_matrices=False)[0][..., :rank] if projected(a) else None

            return jax.tree.map(one, axes, gradients, old, is_leaf=is_axes)

        due = state.count % every == 0
        projectors = jax.lax.cond(due, renewed, lambda _, old: old, updates, state.projectors)

        def lowered(a: Axes, g: jax.Array, p: Any) -> jax.Array:
            return p.swapaxes(-1, -2) @ matrix(a, g) if projected(a) else g

        low = jax.tree.map(lowered, axes, updates, projectors, is_leaf=is_axes)
        steps, (count, mu, nu) = optax.scale_by_adam(b1, b2, eps).update(
            low, optax.ScaleByAdamState(state.count, state.mu, state.nu)
        )

        def raised(a: Axes, step: jax.Array, p: Any, g: jax.Array) -> jax.Array:
            return scale * back(a, p @ step, g) if projected(a) else step

        return jax.tree.map(raised, axes, steps, projectors, updates, is_leaf=is_axes), GaLore(
            count, projectors, mu, nu
        )

    return optax.GradientTransformation(init, update)
