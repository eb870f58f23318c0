"""Which coordinates of an embedding move most between checkpoints, and masks that leave these out.

Letters: C checkpoints, J tracked texts, E coordinates.

Reference: sensitive neuron dropout, https://arxiv.org/abs/2410.15460.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key


def sensitivity(seen_CJE: Float[Array, "C J E"]) -> Float[Array, " E"]:
    """S_i = mean_j [ (sum_t |e_ij^t - e_ij^(t-1)|) Var_t e_ij^t ]: change and variance over checkpoints.

    >>> still, moved = jnp.array([1.0, 1.0, 1.0]), jnp.array([0.0, 3.0, 0.0])
    >>> sensitivity(jnp.stack([still, moved], -1)[:, None])
    Array([ 0., 12.], dtype=float32)
    """
    change_JE = jnp.abs(jnp.diff(seen_CJE, axis=0)).sum(0)
    return (change_JE * seen_CJE.var(0)).mean(0)


def variability_of_texts(seen_CJE: Float[Array, "C J E"]) -> Float[Array, " E"]:
    """The statistic of the released training scripts: the same change and variance of m_j = mean_t e_j^t over texts j.

    It says how far texts are apart, not how far checkpoints are.

    >>> variability_of_texts(jnp.array([[[0.0], [2.0]], [[2.0], [4.0]]]))
    Array([2.], dtype=float32)
    """
    mean_JE = seen_CJE.mean(0)
    return jnp.abs(jnp.diff(mean_JE, axis=0)).sum(0) * mean_JE.var(0)


@dataclass(frozen=True)
class MostSensitive:
    """A mask that drops the floor(share E) coordinates of the largest score.

    Raises:
      ValueError: no share in [0, 1).

    >>> seen = jnp.array([[[0.0, 0.0, 1.0]], [[2.0, 1.0, 1.0]]])
    >>> MostSensitive(0.34)(seen, jax.random.key(0))
    Array([0., 1., 1.], dtype=float32)
    """

    share: float
    score: Callable[[Array], Array] = sensitivity

    def __post_init__(self) -> None:
        check_share(self.share)

    def __call__(self, seen_CJE: Float[Array, "C J E"], key: Key[Array, ""]) -> Float[Array, " E"]:
        """1 where kept; of equals those with the lowest numbers are dropped."""
        return dropped_first(jnp.argsort(-self.score(seen_CJE), stable=True), self.share)


@dataclass(frozen=True)
class AtRandom:
    """A mask that drops as many coordinates, drawn.

    >>> AtRandom(0.5)(jnp.zeros((1, 1, 4)), jax.random.key(0)).sum()
    Array(2., dtype=float32)
    """

    share: float

    def __post_init__(self) -> None:
        check_share(self.share)

    def __call__(self, seen_CJE: Float[Array, "C J E"], key: Key[Array, ""]) -> Float[Array, " E"]:
        """1 where kept."""
        return dropped_first(jax.random.permutation(key, seen_CJE.shape[-1]), self.share)


def dropped_first(order_E: Array, share: float) -> Float[Array, " E"]:
    """0 at the first floor(share E) coordinates of an order, 1 at the others."""
    return jnp.ones(len(order_E)).at[order_E[: int(share * len(order_E) + 1e-9)]].set(0.0)


def check_share(share: float) -> None:
    """Whether something is kept."""
    if not 0 <= share < 1:
        raise ValueError(f"share={share} of the coordinates cannot be dropped: choose 0 <= share < 1")
