"""The distribution that a token is drawn from: a model's, without repetition, tempered and cut."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

Number = float | int | Array


def restricted(
    logits_BV: Float[Array, "B V"],
    temperature: Number | Float[Array, " B"] = 1.0,
    top_k: Number | Int[Array, " B"] | None = None,
    top_p: Number | Float[Array, " B"] | None = None,
) -> Float[Array, "B V"]:
    """Log-probabilities of softmax(logits / temperature), with the tokens left out made impossible.

    Kept are the `top_k` likeliest, and of those the fewest that together have probability `top_p` or more. At
    temperature 0, its limit, all probability is on the likeliest token. Equals keep the order of their ids.

    Args:
      logits_BV: -inf where a token is forbidden.
      temperature, top_k, top_p: numbers, or one for each row; they may be traced. None: all tokens.

    Reference: Holtzman et al. 2019 (top-p), https://arxiv.org/abs/1904.09751, section 3.1.

    >>> logits = jnp.log(jnp.array([[0.5, 0.3, 0.2]]))
    >>> [round(p, 3) for p in jnp.exp(restricted(logits, top_p=0.6))[0].tolist()]
    [0.625, 0.375, 0.0]
    >>> jnp.exp(restricted(logits, temperature=0.0))
    Array([[1., 0., 0.]], dtype=float32)
    """
    logits_BV = logits_BV.astype(jnp.promote_types(logits_BV.dtype, jnp.float32))
    heat_B1 = _column(temperature)
    cold_B1 = heat_B1 == 0
    tempered_BV = logits_BV / jnp.where(cold_B1, 1, heat_B1)
    if top_k is not None or top_p is not None:
        order_BV = jnp.argsort(-tempered_BV, axis=-1, stable=True)
        sorted_BV = jnp.take_along_axis(tempered_BV, order_BV, axis=-1)
        rank_V = jnp.arange(sorted_BV.shape[-1])
        if top_k is not None:
            sorted_BV = jnp.where(rank_V < _column(top_k), sorted_BV, -jnp.inf)
        if top_p is not None:
            likely_BV = jax.nn.softmax(sorted_BV, axis=-1)
            before_BV = jnp.cumsum(likely_BV, axis=-1) - likely_BV
            sorted_BV = jnp.where((before_BV < _column(top_p)) | (rank_V == 0), sorted_BV, -jnp.inf)
        tempered_BV = jnp.put_along_axis(tempered_BV, order_BV, sorted_BV, axis=-1, inplace=False)
    best_BV = jnp.arange(logits_BV.shape[-1]) == logits_BV.argmax(-1)[:, None]
    tempered_BV = jnp.where(cold_B1 & ~best_BV, -jnp.inf, tempered_BV)
    return jax.nn.log_softmax(tempered_BV, axis=-1)


def unrepeated(
    logits_BV: Float[Array, "B V"], seen_BV: Bool[Array, "B V"], penalty: Number | Float[Array, " B"]
) -> Float[Array, "B V"]:
    """Logits with the tokens already there made less likely: x / penalty where x > 0, else x · penalty.

    Args:
      logits_BV: a model's own, before temperature and cuts.
      seen_BV: which tokens are there.
      penalty: 1: none; a number, or one for each row.

    Reference: Keskar et al. 2019, CTRL, https://arxiv.org/abs/1909.05858, section 4.1. There all are divided, which
    makes a token with x < 0 likelier; that those are multiplied is custom.

    >>> unrepeated(jnp.array([[2.0, 2.0, -1.0]]), jnp.array([[True, False, True]]), 2.0).tolist()
    [[1.0, 2.0, -2.0]]
    """
    by_B1 = _column(penalty).astype(logits_BV.dtype)
    return jnp.where(seen_BV, jnp.where(logits_BV > 0, logits_BV / by_B1, logits_BV * by_B1), logits_BV)


def _column(number: Number) -> Array:
    """A number for all rows, or one for each, to stand beside (B, V)."""
    return jnp.reshape(jnp.asarray(number), (-1, 1))
