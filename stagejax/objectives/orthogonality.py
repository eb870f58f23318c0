"""How far kernels are from orthogonal ones: the spectral norm of what their Gram matrix lacks of the identity."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def as_matrix(kernel: Float[Array, ...]) -> Float[Array, "written read"]:
    """A kernel whose last axis is written and all others are read, as a matrix of the map."""
    return kernel.reshape(-1, kernel.shape[-1]).T


def spectral_deviation(W: Float[Array, "m n"], key: Array, iterations: int = 2) -> Float[Array, ""]:
    """The spectral norm of `W Wᵀ - I`, or of `Wᵀ W - I` where W has fewer columns than rows, by power iteration.

    v ~ N(0, I); then `iterations` times v <- A v / |A v|; the norm is |A v|, from below. No gradient passes through v.
    It is the smaller Gram matrix: of the other one the deviation is 1 at least, whatever the kernel.

    Reference: Bansal et al. 2018 (SRIP), https://arxiv.org/abs/1810.09102, section 3.3.

    >>> round(float(spectral_deviation(2 * jnp.eye(3), jax.random.key(0))), 4)
    3.0
    """
    W = W if W.shape[0] <= W.shape[1] else W.T

    def times(W: Array, v: Array) -> Array:
        return W @ (W.T @ v) - v

    def unit(v: Array) -> Array:
        return v / jnp.maximum(jnp.linalg.norm(v), 1e-12)

    still, v = jax.lax.stop_gradient(W), jax.random.normal(key, W.shape[:1], W.dtype)
    v = jax.lax.fori_loop(0, iterations, lambda _, v: unit(times(still, v)), unit(v))
    return jnp.sqrt(jnp.square(times(W, v)).sum() + 1e-24)


def deviations(kernels: Any, key: Array, iterations: int = 2) -> Float[Array, " k"]:
    """`spectral_deviation` of every leaf of a tree that has two axes or more; the others are no kernels."""
    leaves = [leaf for leaf in jax.tree.leaves(kernels) if leaf.ndim >= 2]
    keys = jax.random.split(key, len(leaves))
    return jnp.stack([spectral_deviation(as_matrix(x), k, iterations) for x, k in zip(leaves, keys, strict=True)])
