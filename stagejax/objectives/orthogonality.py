"""How far kernels are from orthogonal ones: the spectral norm of what their Gram matrix lacks of the identity."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def as_matrix(kernel: Float[Array, "..."]) -> Float[Array, "written read"]:
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
    return _from(W, jax.random.normal(key, (min(W.shape),), W.dtype), iterations)


def _from(W: Float[Array, "m n"], v: Float[Array, " k"], iterations: int) -> Float[Array, ""]:
    W = W if W.shape[0] <= W.shape[1] else W.T

    def times(W: Array, v: Array) -> Array:
        return W @ (W.T @ v) - v

    def unit(v: Array) -> Array:
        return v / jnp.maximum(jnp.linalg.norm(v), 1e-12)

    still = jax.lax.stop_gradient(W)
    v = jax.lax.fori_loop(0, iterations, lambda _, v: unit(times(still, v)), unit(v))
    return jnp.sqrt(jnp.square(times(W, v)).sum() + 1e-24)


def deviations(kernels: Any, key: Array, iterations: int = 2) -> Float[Array, " k"]:
    """`spectral_deviation` of every leaf of a tree that has two axes or more; the others are no kernels."""
    matrices = [as_matrix(leaf) for leaf in jax.tree.leaves(kernels) if leaf.ndim >= 2]
    ends = np.cumsum([min(W.shape) for W in matrices])
    drawn = jnp.split(jax.random.normal(key, (int(ends[-1]),)), ends[:-1])  # one program to draw, not one a kernel
    return jnp.stack([_from(W, v.astype(W.dtype), iterations) for W, v in zip(matrices, drawn, strict=True)])


def exact_deviations(kernels: Any) -> Float[np.ndarray, " k"]:
    """What `deviations` comes close to: the largest |s² - 1| over the singular values s of each kernel.

    >>> exact_deviations({"w": 2 * np.eye(3), "bias": np.ones(3)})
    array([3.])
    """
    matrices = [
        np.asarray(as_matrix(jnp.asarray(leaf)), np.float64) for leaf in jax.tree.leaves(kernels) if leaf.ndim >= 2
    ]
    return np.array([np.abs(np.linalg.svd(W, compute_uv=False) ** 2 - 1).max() for W in matrices])
