"""K-means of a population in one compiled program, where the number of clusters is drawn anew each time."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def k_means(
    key: Array, points_ND: Float[Array, "N D"], k: Int[Array, ""], *, most: int, rounds: int = 10
) -> Int[Array, " N"]:
    """The cluster of every point by Lloyd's rounds, from k different points as the first centres.

    Args:
      k: how many clusters, at most `most`; it may be traced. An emptied cluster keeps its centre.
      most: how many there may be.

    Reference: Lloyd 1982, Least squares quantization in PCM.

    >>> points = jnp.array([[0.0], [0.1], [5.0], [5.1]])
    >>> own = k_means(jax.random.key(0), points, jnp.int32(2), most=3)
    >>> bool(own[0] == own[1]), bool(own[2] == own[3]), bool(own[0] == own[2])
    (True, True, False)
    """
    first = jax.random.permutation(key, len(points_ND))[:most]

    def nearest(centres_KD: Array) -> Array:
        gap_NKD = points_ND[:, None] - centres_KD
        distance_NK = jnp.sum(gap_NKD * gap_NKD, -1)
        return jnp.where(jnp.arange(most) < k, distance_NK, jnp.inf).argmin(-1)

    def moved(_: Array, centres_KD: Array) -> Array:
        own_NK = jax.nn.one_hot(nearest(centres_KD), most, dtype=points_ND.dtype)
        count_K1 = own_NK.sum(0)[:, None]
        return jnp.where(count_K1 > 0, own_NK.T @ points_ND / jnp.maximum(count_K1, 1), centres_KD)

    return nearest(jax.lax.fori_loop(0, rounds, moved, points_ND[first]))


def best_of_best_cluster(labels_N: Int[Array, " N"], fitness_N: Float[Array, " N"], most: int) -> Int[Array, ""]:
    """The member with the least fitness in the cluster whose mean fitness is least.

    >>> int(best_of_best_cluster(jnp.array([0, 0, 1, 1]), jnp.array([0.0, 9.0, 2.0, 1.0]), 3))
    3
    """
    own_KN = labels_N == jnp.arange(most)[:, None]
    mean_K = jnp.where(own_KN, fitness_N, 0).sum(1) / own_KN.sum(1)  # NaN of an empty cluster
    winner = jnp.where(jnp.isnan(mean_K), jnp.inf, mean_K).argmin()
    return jnp.where(labels_N == winner, fitness_N, jnp.inf).argmin()
