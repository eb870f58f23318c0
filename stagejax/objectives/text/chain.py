"""The linear-chain conditional random field: tags of a sentence that are said together.

Letters: B sentences, T tokens, K tags. Only tokens of weight above 0 have a tag; others are passed over, so that the
tag of a word follows that of the word before, however many tokens it has.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def chain_loss(
    scores_BTK: Float[Array, "B T K"],
    moves_KK: Float[Array, "K K"],
    tags_BT: Int[Array, "B T"],
    weights_BT: Float[Array, "B T"],
) -> Float[Array, " B"]:
    """-log p(y | x) of each sentence in nats, p(y | x) ∝ exp(Σ_t scores[t, y_t] + Σ_{t > 1} moves[y_(t-1), y_t]).

    The sum over all tag sequences is taken by the forward recursion. A sentence without tagged tokens has the loss 0.

    Reference: Lafferty et al., Conditional random fields, ICML 2001.

    >>> loss = chain_loss(jnp.zeros((1, 3, 2)), jnp.zeros((2, 2)), jnp.zeros((1, 3), int), jnp.array([[1.0, 0.0, 1.0]]))
    >>> bool(jnp.allclose(loss, jnp.log(4)))
    True
    """
    scores_BTK, moves_KK = scores_BTK.astype(jnp.float32), moves_KK.astype(jnp.float32)

    def step(carried: tuple[Array, ...], at: tuple[Array, ...]) -> tuple[tuple[Array, ...], None]:
        alpha_BK, path_B, last_B, begun_B = carried
        scores_BK, tags_B, weights_B = at
        counts_B = weights_B > 0
        moved_BK = jax.nn.logsumexp(alpha_BK[:, :, None] + moves_KK, axis=1)
        next_BK = jnp.where(begun_B[:, None], moved_BK, 0.0) + scores_BK
        own_B = jnp.take_along_axis(scores_BK, tags_B[:, None], axis=1)[:, 0]
        own_B += jnp.where(begun_B, moves_KK[last_B, tags_B], 0.0)
        return (
            jnp.where(counts_B[:, None], next_BK, alpha_BK),
            path_B + jnp.where(counts_B, own_B, 0.0),
            jnp.where(counts_B, tags_B, last_B),
            begun_B | counts_B,
        ), None

    B, _, K = scores_BTK.shape
    begin = jnp.zeros((B, K)), jnp.zeros(B), jnp.zeros(B, tags_BT.dtype), jnp.zeros(B, bool)
    tokens = scores_BTK.swapaxes(0, 1), tags_BT.T, weights_BT.T
    (alpha_BK, path_B, _, begun_B), _ = jax.lax.scan(step, begin, tokens)
    return jnp.where(begun_B, jax.nn.logsumexp(alpha_BK, axis=1) - path_B, 0.0)


def likeliest_chain(
    scores_BTK: Float[Array, "B T K"], moves_KK: Float[Array, "K K"], weights_BT: Float[Array, "B T"]
) -> Int[Array, "B T"]:
    """argmax over y of Σ_t scores[t, y_t] + Σ_{t > 1} moves[y_(t-1), y_t].

    A token of weight 0 has the tag of the word before it, and ahead of the first word that of the first.

    Reference: Viterbi 1967.

    >>> stay = jnp.array([[0.0, -9.0], [-9.0, 0.0]])
    >>> likeliest_chain(jnp.array([[[0.0, 1.0], [2.0, 0.0], [0.0, 3.0]]]), stay, jnp.ones((1, 3))).tolist()
    [[1, 1, 1]]
    """
    B, _, K = scores_BTK.shape
    same_BK = jnp.broadcast_to(jnp.arange(K), (B, K))

    def forward(carried: tuple[Array, Array], at: tuple[Array, Array]) -> tuple[tuple[Array, Array], Array]:
        delta_BK, begun_B = carried
        scores_BK, weights_B = at
        counts_B = weights_B > 0
        paths_BKK = delta_BK[:, :, None] + jnp.where(begun_B[:, None, None], moves_KK, 0.0)
        came_BK = jnp.where((counts_B & begun_B)[:, None], paths_BKK.argmax(1), same_BK)
        best_BK = jnp.where(begun_B[:, None], paths_BKK.max(1), 0.0) + scores_BK
        return (jnp.where(counts_B[:, None], best_BK, delta_BK), begun_B | counts_B), came_BK

    begin = jnp.zeros((B, K), scores_BTK.dtype), jnp.zeros(B, bool)
    (delta_BK, _), came_TBK = jax.lax.scan(forward, begin, (scores_BTK.swapaxes(0, 1), weights_BT.T))

    def backward(tag_B: Array, came_BK: Array) -> tuple[Array, Array]:
        return jnp.take_along_axis(came_BK, tag_B[:, None], axis=1)[:, 0], tag_B

    _, tags_TB = jax.lax.scan(backward, delta_BK.argmax(-1), came_TBK, reverse=True)
    return tags_TB.T
