"""Losses that bind words to places and to meanings while a picture is drawn: of attention maps, and of velocities.

Letters: B pictures, K entities of a prompt, P places, S tokens.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

_LEAST = 1e-5


def maps_of_entities(
    maps_BPS: Float[Array, "B P S"],
    words_BS: Bool[Array, "B S"],
    places_BK: Int[Array, "B K"],
    temperature: float = 0.5,
) -> Float[Array, "B K P"]:
    """Where each entity's token is attended to, against the other words: softmax over words of maps / temperature.

    Args:
      maps_BPS: attention of each place to each token.
      words_BS: tokens that are words: neither the start nor an end.
      places_BK: each entity's token.

    Reference: Chefer et al. 2023 (Attend-and-Excite), https://arxiv.org/abs/2301.13826, section 3; the temperature:
    code of ToMe, https://arxiv.org/abs/2411.07132.

    >>> maps, words = jnp.array([[[0.9, 0.1, 0.0], [0.9, 0.0, 0.1]]]), jnp.array([[False, True, True]])
    >>> [round(float(share), 2) for share in maps_of_entities(maps, words, jnp.array([[1]]), 0.1)[0, 0]]
    [0.73, 0.27]
    """
    scores_BPS = jnp.where(words_BS[:, None], maps_BPS / temperature, -jnp.inf)
    shares_BPS = jax.nn.softmax(scores_BPS, axis=-1)
    return jnp.take_along_axis(shares_BPS, places_BK[:, None], axis=2).swapaxes(1, 2)


def map_entropy(maps_BKP: Float[Array, "B K P"]) -> Float[Array, " B"]:
    """-2 Σ_k Σ_p A_k(p) log(A_k(p) + 1e-5), A_k a map from its least (0) to its largest value, with the sum 1.

    It is small where every entity has a place of its own to which little else belongs.

    Reference: ToMe, Hu et al. 2024, https://arxiv.org/abs/2411.07132, entropy loss of the code.

    >>> abs(map_entropy(jnp.array([[[1.0, 0.0, 0.0, 0.0]], [[1.0, 1.0, 0.0, 0.0]]]))).round(2)
    Array([0.  , 1.39], dtype=float32)
    """
    low = maps_BKP.min(-1, keepdims=True)
    raised = maps_BKP - low
    raised = raised / jnp.maximum(raised.max(-1, keepdims=True), 1e-9)
    shares = raised / jnp.maximum(raised.sum(-1, keepdims=True), 1e-9)
    return -2 * (shares * jnp.log(shares + _LEAST)).sum((-1, -2))


def most_entropy(entities: int, places: int) -> float:
    """What `map_entropy` has at most: of maps that are nearly the same everywhere.

    >>> round(most_entropy(2, 1024), 2)
    27.73
    """
    return 2 * entities * math.log(places)


def least_excited(maps_BKP: Float[Array, "B K P"]) -> Float[Array, " B"]:
    """max_k (1 - max_p A_k(p)): how far the most neglected entity is from having a place that looks at it alone.

    Reference: Chefer et al. 2023 (Attend-and-Excite), https://arxiv.org/abs/2301.13826, equation 1; here the maps of
    few places are not smoothed.

    >>> least_excited(jnp.array([[[0.9, 0.1], [0.2, 0.4]]]))
    Array([0.6], dtype=float32)
    """
    return (1 - maps_BKP.max(-1)).max(-1)


def binding_error(velocity: Float[Array, "B K ..."], anchor: Float[Array, "B K ..."]) -> Float[Array, " B"]:
    """Σ_k mean |v(z_k, t, c*_k) - sg v(z_k, t, C_k)|²: what a composite token alone says, against its whole phrase.

    Reference: ToMe, Hu et al. 2024, https://arxiv.org/abs/2411.07132, semantic binding loss, of velocities.

    >>> binding_error(jnp.ones((1, 2, 3)), jnp.zeros((1, 2, 3)))
    Array([2.], dtype=float32)
    """
    error = (velocity - jax.lax.stop_gradient(anchor)) ** 2
    return error.reshape(*error.shape[:2], -1).mean(-1).sum(-1)
