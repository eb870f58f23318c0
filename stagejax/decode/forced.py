"""Sampling in which some tokens are given: each new token is the one that stands there, or is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Forced:
    """The forced-token mask of `sample(allowed=Forced(...))`: new token t of prompt b is `tokens_BT[b, t]` where
    `given_BT[b, t]`, and is drawn among `drawn_V` elsewhere and behind the last column.

    So a continuation is drawn token by token behind what is really there, given tokens and own ones, with one step of
    the cached model for each. The log-probabilities of `Samples` are the model's, of given tokens as well.

    Reference: Bengio et al. 2015 (scheduled sampling), https://arxiv.org/abs/1506.03099, section 2.4.

    >>> from stagejax.decode import Recomputed, padded_prompts, sample
    >>> counting = Recomputed(lambda tokens, _: 50 * jax.nn.one_hot(tokens + 1, 9))
    >>> rule = Forced(jnp.array([[0, 5, 0]]), jnp.array([[False, True, False]]), jnp.ones(9, bool))
    >>> drawn = sample(counting, padded_prompts([[1]], 1), jax.random.key(0), length=5, allowed=rule)
    >>> drawn.tokens_BNS[0, 0].tolist()  # 2 is drawn, 5 is given, and 6 and 7 are drawn behind it
    [1, 2, 5, 6, 7]
    """

    tokens_BT: Any  # integers
    given_BT: Any
    drawn_V: Any  # which tokens may be drawn

    def __call__(self, tokens_RS: Array, lengths_R: Array, starts_R: Array) -> Bool[Array, "R V"]:
        """Which tokens may come next: the given one alone, or those that may be drawn."""
        (B, T), R = self.tokens_BT.shape, len(lengths_R)
        row_R, new_R = jnp.arange(R) // (R // B), lengths_R - starts_R
        at_R = jnp.minimum(new_R, T - 1)
        given_R = self.given_BT[row_R, at_R] & (new_R < T)
        one_RV = jnp.arange(len(self.drawn_V)) == self.tokens_BT[row_R, at_R][:, None]
        return jnp.where(given_R[:, None], one_RV, self.drawn_V)


__all__ = ["Forced"]
