"""The likeliest sequence of a chain of second order, for many sequences at once."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

_NEVER = -1e9


@jax.jit
def viterbi(transitions_KKK: Float[Array, "K K K"], scores_TBK: Float[Array, "T B K"]) -> Int[Array, "T B"]:
    """argmax over k of sum_t transitions[k_(t-2), k_(t-1), k_t] + scores[t, k_t], where both states before t = 0 are 0.

    delta_t(j, k) = scores[t, k] + max_i delta_(t-1)(i, j) + transitions[i, j, k] is kept for all t, and the maximum's
    place is only looked for along the best path. Work is T B K^3, memory T B K^2.

    Reference: Viterbi 1967; of second order Thede and Harper, ACL 1999.

    >>> stay = jnp.zeros((2, 2, 2)).at[:, 0, 1].set(-9.0).at[:, 1, 0].set(-9.0)
    >>> viterbi(stay, jnp.array([[[0.0, 5.0]], [[0.0, 5.0]], [[0.0, 5.0]]]))[:, 0].tolist()
    [1, 1, 1]
    """
    _, B, K = scores_TBK.shape

    def forward(delta_BKK: Array, scores_BK: Array) -> tuple[Array, Array]:
        best_BKK = (delta_BKK[..., None] + transitions_KKK).max(1) + scores_BK[:, None, :]
        return best_BKK, delta_BKK

    begin = jnp.full((B, K, K), _NEVER).at[:, 0, 0].set(0.0)
    last, before_TBKK = jax.lax.scan(forward, begin, scores_TBK)
    ends_B = last.reshape(B, -1).argmax(-1)

    def backward(pair: tuple[Array, Array], delta_BKK: Array) -> tuple[tuple[Array, Array], Array]:
        j_B, k_B = pair
        i_B = (delta_BKK[jnp.arange(B), :, j_B] + transitions_KKK[:, j_B, k_B].T).argmax(-1)
        return (i_B, j_B), k_B

    _, states_TB = jax.lax.scan(backward, (ends_B // K, ends_B % K), before_TBKK, reverse=True)
    return states_TB
