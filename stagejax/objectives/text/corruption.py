"""Rows of text made wrong in three ways, for a generator to fill and a detector to look through: mask, swap, insert.

A corruptor is a pure function `(key, tokens (B, T), rate) -> Corruption`. It touches `count(T, rate)` places of each
row, drawn uniformly among its text tokens, so that shapes are the same in every batch. Rows hold running text between
special tokens, without padding.

Letters: B rows, T tokens, K touched places of a row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

#: Ids that data/tokenizers.py gives to masked tokens, and to the first one that is text.
MASK, SPECIAL = 3, 4
#: What stands at a place where nothing was: equal to no token.
NOTHING = -1


class Corruption(NamedTuple):
    """What a generator reads, the places that it fills, and what was there before."""

    tokens_BT: Int[Array, "B T"]
    places_BK: Int[Array, "B K"]
    gold_BT: Int[Array, "B T"]  # `NOTHING` at inserted places

    def filled(self, said_BK: Int[Array, "B K"]) -> Int[Array, "B T"]:
        """The original rows with these tokens at the touched places: what a detector reads."""
        return put(self.gold_BT, self.places_BK, said_BK)

    def again(self, wrong_BT: Bool[Array, "B T"]) -> Corruption:
        """The same places, but only those where something is wrong are corrupted once more."""
        return self._replace(tokens_BT=jnp.where(wrong_BT, self.tokens_BT, self.gold_BT))


Corruptor = Callable[[Array, Int[Array, "B T"], float], Corruption]


def count(length: int, rate: float) -> int:
    """How many places of a row are touched: `rate` of its tokens, to the nearest even number, at least two.

    >>> count(64, 0.15), count(32, 0.15)
    (10, 4)
    """
    return max(2, 2 * round(rate * length / 2))


def mask(key: Array, tokens_BT: Int[Array, "B T"], rate: float) -> Corruption:
    """Tokens give way to `MASK`.

    Reference: Clark et al. 2020 (ELECTRA), https://arxiv.org/abs/2003.10555, section 2.

    >>> rows = jnp.arange(4, 36).reshape(2, 16)
    >>> made = mask(jax.random.key(0), rows, 0.25)
    >>> (made.tokens_BT == MASK).sum(1).tolist(), bool((made.gold_BT == rows).all())
    ([4, 4], True)
    """
    places_BK = _drawn(key, tokens_BT >= SPECIAL, count(tokens_BT.shape[1], rate))
    return Corruption(put(tokens_BT, places_BK, jnp.full_like(places_BK, MASK)), places_BK, tokens_BT)


def swap(key: Array, tokens_BT: Int[Array, "B T"], rate: float) -> Corruption:
    """Tokens change places in pairs, drawn at random: a row keeps its bag of tokens.

    Reference: Chen et al. 2023 (MCL), https://arxiv.org/abs/2305.03981.

    >>> rows = jnp.arange(4, 36).reshape(2, 16)
    >>> made = swap(jax.random.key(0), rows, 0.25)
    >>> (made.tokens_BT != rows).sum(1).tolist(), bool((jnp.sort(made.tokens_BT) == rows).all())
    ([4, 4], True)
    """
    places_BK = _drawn(key, tokens_BT >= SPECIAL, count(tokens_BT.shape[1], rate))
    partners_BK = places_BK.reshape(len(places_BK), -1, 2)[..., ::-1].reshape(places_BK.shape)
    return Corruption(put(tokens_BT, places_BK, at(tokens_BT, partners_BK)), places_BK, tokens_BT)


def insert(key: Array, tokens_BT: Int[Array, "B T"], rate: float) -> Corruption:
    """`MASK` comes in between tokens, and the row is cut to its length; first and last token stay where they are.

    Nothing was at these places, so whatever fills them is wrong: the share of altered tokens is K / T in every row.

    Reference: Chen et al. 2023 (MCL), https://arxiv.org/abs/2305.03981.

    >>> made = insert(jax.random.key(0), jnp.array([[1, 10, 11, 12, 13, 14, 15, 2]]), 0.25)
    >>> made.tokens_BT.tolist(), made.gold_BT.tolist()
    ([[1, 3, 10, 11, 3, 12, 13, 2]], [[1, -1, 10, 11, -1, 12, 13, 2]])
    """
    T = tokens_BT.shape[1]
    inner_BT = jnp.broadcast_to((jnp.arange(T) > 0) & (jnp.arange(T) < T - 1), tokens_BT.shape)
    places_BK = _drawn(key, inner_BT, count(T, rate))
    new_BT = put(jnp.zeros(tokens_BT.shape, bool), places_BK, jnp.ones(places_BK.shape, bool))
    from_BT = jnp.cumsum(~new_BT, 1) - 1
    moved_BT = at(tokens_BT, from_BT.at[:, -1].set(T - 1))
    return Corruption(jnp.where(new_BT, MASK, moved_BT), places_BK, jnp.where(new_BT, NOTHING, moved_BT))


def at(x_BT: Array, places_BK: Int[Array, "B K"]) -> Array:
    """The values of each row at its places."""
    return jnp.take_along_axis(x_BT, places_BK, axis=1)


def put(x_BT: Array, places_BK: Int[Array, "B K"], values_BK: Array) -> Array:
    """Each row with other values at its places."""
    return jnp.put_along_axis(x_BT, places_BK, values_BK, axis=1, inplace=False)


def balanced(key: Array, erred_BT: Bool[Array, "B T"]) -> Bool[Array, "B T"]:
    """All places of a row that are in error and as many others, drawn at random; all others where they are fewer.

    >>> chosen = balanced(jax.random.key(0), jnp.arange(10)[None] < 3)
    >>> chosen[0, :3].tolist(), int(chosen.sum())
    ([True, True, True], 6)
    """
    luck_BT = jnp.where(erred_BT, 2.0, jax.random.uniform(key, erred_BT.shape))
    rank_BT = jnp.argsort(jnp.argsort(luck_BT, 1), 1)
    return erred_BT | (rank_BT < erred_BT.sum(1, keepdims=True))


def _drawn(key: Array, among_BT: Bool[Array, "B T"], number: int) -> Int[Array, "B K"]:
    """Different places of each row in a random order."""
    luck_BT: Float[Array, "B T"] = jnp.where(among_BT, jax.random.uniform(key, among_BT.shape), -1.0)
    return jax.lax.top_k(luck_BT, number)[1]
