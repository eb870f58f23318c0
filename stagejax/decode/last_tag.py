"""Which of several tokens an answer names last: the verdict of a judge that writes a critique before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


@dataclass(frozen=True)
class LastTag:
    """A reward rule, traced: 1 where the last tag of an ended answer is the one that its prompt's "label" wants.

    Args:
      tags: tokens; a label is a place among them.

    >>> from stagejax.decode import Samples
    >>> tokens = jnp.array([[[1, 8, 9, 2]], [[1, 9, 7, 2]], [[1, 7, 7, 2]]])
    >>> full, none = jnp.full((3, 1), 4), jnp.zeros(tokens.shape)
    >>> drawn, rule = Samples(tokens, full - 3, full, full - 3, none, none), LastTag((8, 9))
    >>> rule.said(drawn).tolist(), rule(drawn, {"label": jnp.array([1, 0, 0])}).tolist()
    ([[1], [1], [-1]], [[1.0], [0.0], [0.0]])
    """

    tags: tuple[int, ...]

    def said(self, samples: Any) -> Int[Array, "B N"]:
        """The place of the last tag among all; -1 without one, or where the answer was cut."""
        tokens, own = jnp.asarray(samples.tokens_BNS), jnp.asarray(samples.drawn_BNS)
        tags = jnp.asarray(self.tags)
        is_tag = (tokens[..., None] == tags).any(-1) & own
        last = jnp.max(jnp.where(is_tag, jnp.arange(tokens.shape[-1]), -1), -1)
        token = jnp.take_along_axis(tokens, jnp.maximum(last, 0)[..., None], axis=-1)
        place = jnp.argmax(token == tags, axis=-1)
        return jnp.where((last >= 0) & (jnp.asarray(samples.stop_sizes_BN) > 0), place, -1)

    def __call__(self, samples: Any, batch: Any) -> Float[Array, "B N"]:
        """Rewards (B, N)."""
        return (self.said(samples) == jnp.asarray(batch["label"])[:, None]).astype(jnp.float32)
