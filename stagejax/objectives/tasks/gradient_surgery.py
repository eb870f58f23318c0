"""Gradients of several tasks that pull against each other: how often they do, and what is left without conflicts.

All is said by the Gram matrix K of the tasks' gradients, K_tu = g_t . g_u, so that parameters may have any structure
and lie anywhere. Letters: T tasks.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Tree = Any


def gram(gradients: Tree) -> Float[Array, "T T"]:
    """K, of a tree of leaves with an axis of tasks in front.

    >>> gram({"w": jnp.array([[1.0, 0.0], [1.0, 1.0]]), "b": jnp.array([0.0, 2.0])}).tolist()
    [[1.0, 1.0], [1.0, 6.0]]
    """
    rows = [leaf.reshape(len(leaf), -1).astype(jnp.float32) for leaf in jax.tree.leaves(gradients)]
    return sum((row @ row.T for row in rows), jnp.zeros((len(rows[0]),) * 2))


def projection(gram_TT: Float[Array, "T T"], key: Array) -> Float[Array, "T T"]:
    """PCGrad: C with g'_t = Σ_u C_tu g_u, each gradient after it was projected off those that it conflicts with.

    g'_t begins as g_t. For the other tasks u in an order drawn for t: if g'_t . g_u < 0,

        g'_t <- g'_t - (g'_t . g_u / |g_u|²) g_u

    A task without a gradient takes part in nothing.

    Reference: Yu et al. 2020, https://arxiv.org/abs/2001.06782, algorithm 1.

    >>> vectors = jnp.array([[1.0, 0.0], [-1.0, 1.0]])
    >>> (projection(gram(vectors), jax.random.key(0)) @ vectors).tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """
    tasks = len(gram_TT)

    def projected(task: Array, own: Array) -> Array:
        def off(c_T: Array, other: Array) -> tuple[Array, None]:
            product, square = c_T @ gram_TT[:, other], gram_TT[other, other]
            conflict = (other != task) & (product < 0) & (square > 0)
            return c_T.at[other].add(jnp.where(conflict, -product / jnp.where(square > 0, square, 1.0), 0.0)), None

        start_T = jax.nn.one_hot(task, tasks)
        return jax.lax.scan(off, start_T, jax.random.permutation(own, tasks))[0]

    return jax.vmap(projected)(jnp.arange(tasks), jax.random.split(key, tasks))


def conflicts(gram_TT: Float[Array, "T T"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """How many pairs of tasks have gradients with a negative cosine, of how many pairs that both have gradients.

    >>> [float(number) for number in conflicts(jnp.array([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]))]
    [1.0, 1.0]
    """
    there_T = jnp.diag(gram_TT) > 0
    pairs_TT = jnp.triu(there_T[:, None] & there_T, 1)
    return (pairs_TT & (gram_TT < 0)).sum().astype(jnp.float32), pairs_TT.sum().astype(jnp.float32)


def combined(gradients: Tree, weights_T: Float[Array, " T"]) -> Tree:
    """Σ_t w_t g_t, leaf by leaf.

    >>> combined({"w": jnp.array([[1.0, 2.0], [3.0, 4.0]])}, jnp.array([1.0, 2.0]))
    {'w': Array([ 7., 10.], dtype=float32)}
    """
    return jax.tree.map(lambda leaf: jnp.tensordot(weights_T.astype(leaf.dtype), leaf, axes=1), gradients)
