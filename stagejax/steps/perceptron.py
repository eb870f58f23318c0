"""The averaged perceptron as a tagger: from left to right, with its own last two tags among the features.

It learns online, one token at a time. After n tokens of a text it is exactly what training on those n tokens leaves, so
one pass goes through all the taggers of nested training sets.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

_PRIME = 7919  # by which the feature "word and tag before" is spread over the buckets


class Perceptron(NamedTuple):
    """Weights (rows, K), where rows are buckets, then tags before, then pairs of them; and what their mean needs."""

    weights_RK: Float[Array, "R K"]
    late_RK: Float[Array, "R K"]  # every update times the number of tokens before it
    seen: Float[Array, ""]  # tokens
    before: Int[Array, "2"]  # the last two tags it gave

    @classmethod
    def empty(cls, buckets: int, tags: int) -> Perceptron:
        shape = (buckets + tags + tags**2, tags)
        return cls(jnp.zeros(shape), jnp.zeros(shape), jnp.zeros(()), jnp.zeros(2, jnp.int32))

    def averaged(self) -> Float[Array, "R K"]:
        """The mean of the weights over the tokens seen, each after its update."""
        return self.weights_RK - self.late_RK / jnp.maximum(self.seen, 1.0)


def _rows(features: Array, second: Array, first: Array, buckets: int, tags: int) -> Array:
    """Rows of the features of a token (..., F), with those of the two tags before it."""
    mixed = (features[..., 0] + _PRIME * (first + 1)) % buckets
    pairs = buckets + tags + second * tags + first
    return jnp.concatenate([features, jnp.stack([mixed, buckets + first, pairs], -1)], -1)


@partial(jax.jit, donate_argnums=0)
def learn(
    state: Perceptron, features_NF: Int[Array, "N F"], tags_N: Int[Array, " N"], live_N: Int[Array, " N"]
) -> Perceptron:
    """One pass over tokens in order: w[f, right] += 1 and w[f, said] -= 1 where the tag said is not the right one.

    Args:
      features_NF: buckets; the first one is of the word itself.
      tags_N: right tags; 0 is a border, at which nothing is learned.
      live_N: 0 where there is no token, only padding.

    Reference: Collins, EMNLP 2002; greedy as in Daume, NIPS 2006 workshops.
    """
    K = state.weights_RK.shape[1]
    buckets = state.weights_RK.shape[0] - K - K * K

    def step(own: Perceptron, token: tuple[Array, Array, Array]) -> tuple[Perceptron, None]:
        features_F, right, live = token
        rows = _rows(features_F, own.before[0], own.before[1], buckets, K)
        scores_K = own.weights_RK[rows].sum(0)
        said = jnp.where(right == 0, 0, 1 + scores_K[1:].argmax())
        update_K = jax.nn.one_hot(right, K) - jax.nn.one_hot(said, K)
        before = jnp.where(live > 0, jnp.stack([own.before[1], said]), own.before)
        return (
            Perceptron(
                own.weights_RK.at[rows].add(live * update_K),
                own.late_RK.at[rows].add(live * own.seen * update_K),
                own.seen + live * (right > 0),
                before,
            ),
            None,
        )

    return jax.lax.scan(step, state, (features_NF, tags_N, live_N))[0]


@jax.jit
def tag(
    weights_RK: Float[Array, "R K"], features_TBF: Int[Array, "T B F"], borders_TB: Int[Array, "T B"]
) -> Int[Array, "T B"]:
    """The tags of tokens in lanes, each from the first to the last; 0 at borders."""
    K = weights_RK.shape[1]
    buckets = weights_RK.shape[0] - K - K * K

    def step(before: tuple[Array, Array], token: tuple[Array, Array]) -> tuple[tuple[Array, Array], Array]:
        features_BF, borders_B = token
        scores_BK = weights_RK[_rows(features_BF, *before, buckets, K)].sum(-2)
        said_B = jnp.where(borders_B > 0, 0, 1 + scores_BK[:, 1:].argmax(-1))
        return (before[1], said_B), said_B

    none = jnp.zeros(features_TBF.shape[1], jnp.int32)
    return jax.lax.scan(step, (none, none), (features_TBF, borders_TB))[1]


def flops_of_learning(tokens: int, features: int, tags: int) -> float:
    """The score and two updates of each token add a row for every feature, three more for the tags before."""
    return float(np.int64(tokens) * 3 * (features + 3) * tags)
