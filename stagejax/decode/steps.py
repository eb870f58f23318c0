"""Answers step by step: where their steps end, what a step is worth, and the first pit.

A state is the prompt with an answer's first steps, y_1 ... y_{i-1}; the action is the next step, y_i.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


def step_ends(tokens_S: Int[np.ndarray, " S"], start: Any, end: Any, separator: int) -> Int[np.ndarray, " L"]:
    """Behind which token each step of an answer ends: behind its separator, the last one at the answer's end.

    >>> step_ends(np.array([1, 7, 8, 3, 9, 3, 5, 2, 0]), 2, 8, separator=3).tolist()
    [4, 6, 8]
    """
    inner = start + 1 + np.flatnonzero(tokens_S[start:end] == separator)
    return np.append(inner[inner < end], end)


def advantages(values_L: Float[np.ndarray, " L"], value: float) -> Float[np.ndarray, " L"]:
    """A(y_i) = Q(y_1 ... y_i) - Q(y_1 ... y_{i-1}): what each step adds to the state before it.

    Args:
      values_L: Q behind each step.
      value: V, that of the prompt alone.

    >>> advantages(np.array([0.75, 0.25, 0.25]), 0.5).tolist()
    [0.25, -0.5, 0.0]
    """
    return np.diff(values_L, prepend=value)


def first_pit(values_L: Float[np.ndarray, " L"]) -> int:
    """The first step of lowest Q: there a wrong answer is lost.

    Reference: Setlur et al. 2024, https://arxiv.org/abs/2406.14532.

    >>> first_pit(np.array([0.9, 0.2, 0.0, 0.0]))
    2
    """
    return int(np.argmin(values_L))


@dataclass(frozen=True)
class FinalAnswer:
    """A reward rule, traced: 1 where behind the last `marker` stands the batch's answer, and then the end.

    Args:
      marker: the token before the answer.
      zero: the token of the answer 0; those of 1, 2, ... come behind it in the vocabulary.

    >>> from stagejax.decode import Samples
    >>> tokens = jnp.array([[[1, 9, 5, 2]], [[1, 9, 6, 2]]])
    >>> full, none = jnp.full((2, 1), 4), jnp.zeros(tokens.shape)
    >>> drawn = Samples(tokens, full - 3, full, full - 3, none, none)
    >>> FinalAnswer(marker=9, zero=4)(drawn, {"answer": jnp.array([1, 1])}).tolist()
    [[1.0], [0.0]]
    """

    marker: int
    zero: int

    def __call__(self, samples: Any, batch: Any) -> Float[Array, "B N"]:
        tokens, own = jnp.asarray(samples.tokens_BNS), jnp.asarray(samples.drawn_BNS)
        ends, stopped = jnp.asarray(samples.ends_BN), jnp.asarray(samples.stop_sizes_BN) > 0
        last = jnp.max(jnp.where(own & (tokens == self.marker), jnp.arange(tokens.shape[-1]), -1), -1)
        said = jnp.take_along_axis(tokens, jnp.maximum(last, 0)[..., None] + 1, axis=-1, mode="clip")[..., 0]
        wanted = jnp.asarray(batch["answer"])[:, None] + self.zero
        return ((last >= 0) & (said == wanted) & (ends == last + 3) & stopped).astype(jnp.float32)


@dataclass(frozen=True)
class FinalNumber:
    """What an answer says at its end: a number of so many digits, a token each, behind the marker; and a reward rule.

    Args:
      marker: the token before the number.
      zero: the token of 0; those of 1 to 9 come behind it in the vocabulary.
      digits: of the number.

    >>> from stagejax.decode import Samples
    >>> tokens = jnp.array([[[1, 15, 8, 5, 2]], [[1, 15, 15, 5, 2]]])
    >>> full, none = jnp.full((2, 1), 5), jnp.zeros(tokens.shape)
    >>> drawn = Samples(tokens, full - 4, full, full - 4, none, none)
    >>> rule = FinalNumber(marker=15, zero=4)
    >>> rule.said(drawn).tolist(), rule(drawn, {"answer": jnp.array([41, 41])}).tolist()
    ([[41], [-1]], [[1.0], [0.0]])
    """

    marker: int
    zero: int
    digits: int = 2

    def said(self, samples: Any) -> Int[Array, "B N"]:
        """The numbers; -1 where an answer has none, goes on behind it, or was not ended by itself."""
        tokens, ends = jnp.asarray(samples.tokens_BNS), jnp.asarray(samples.ends_BN)
        sizes = jnp.asarray(samples.stop_sizes_BN)
        first = ends - sizes - self.digits - 1  # where the marker is to be
        at = jnp.maximum(first, 0)[..., None] + jnp.arange(self.digits + 1)
        told = jnp.take_along_axis(tokens, at, axis=-1, mode="clip")
        own = told[..., 1:] - self.zero
        number = jnp.sum(own * 10 ** jnp.arange(self.digits)[::-1], axis=-1)
        valid = (own >= 0).all(-1) & (own <= 9).all(-1) & (told[..., 0] == self.marker)
        return jnp.where(valid & (sizes > 0) & (first >= jnp.asarray(samples.starts_BN)), number, -1)

    def __call__(self, samples: Any, batch: Any) -> Float[Array, "B N"]:
        return (self.said(samples) == jnp.asarray(batch["answer"])[:, None]).astype(jnp.float32)


__all__ = ["FinalAnswer", "FinalNumber", "advantages", "first_pit", "step_ends"]
