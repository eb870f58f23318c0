"""Corrupt, generate, detect: a generator fills corrupted rows with samples, a detector says what is not original.

The rows of several courses, each its own way to corrupt a batch, take turns: row r belongs to course r modulo their
number, so that none leaves its device (see `in_turn`).

Letters: B rows, T tokens, K touched places of a row, V vocabulary, C courses.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from stagejax.objectives.loss import cross_entropy
from stagejax.objectives.text.corruption import Corruption, at


def logits_at(model: Any, made: Corruption) -> Float[Array, "B K V"]:
    """What a language model says of the touched places, and of no others: the head is dear where the vocabulary is
    large.

    Args:
      model: it gives `hidden(tokens)` (B, T, E) and `logits(x)`.
    """
    x_BTE = model.hidden(made.tokens_BT)
    return model.logits(jnp.take_along_axis(x_BTE, made.places_BK[..., None], axis=1))


def sampled(key: Array, logits_BKV: Float[Array, "B K V"]) -> Int[Array, "B K"]:
    """Tokens by their probabilities, as argmax (logits + Gumbel noise). No gradient passes.

    >>> sampled(jax.random.key(0), jnp.log(jnp.array([[[0.0, 1.0]]]))).tolist()
    [[1]]
    """
    return jax.random.categorical(key, jax.lax.stop_gradient(logits_BKV)).astype(jnp.int32)


def restoring(
    logits_BKV: Float[Array, "B K V"], made: Corruption, weights_BK: Float[Array, "B K"], courses: int
) -> tuple[Float[Array, " C"], Float[Array, " C"], Float[Array, " C"]]:
    """The cross entropy of the original tokens at the touched places, as sums of each course.

    Returns:
      Sums of losses in nats, of places where the likeliest token is the original one, and of weights.

    >>> from stagejax.objectives.text.corruption import mask
    >>> made = mask(jax.random.key(0), jnp.full((2, 8), 5), 0.25)
    >>> loss, right, count = restoring(jnp.zeros((2, 2, 9)), made, jnp.ones((2, 2)), courses=1)
    >>> round(float(loss[0] / count[0]), 4), float(right[0])  # log 9
    (2.1972, 0.0)
    """
    gold_BK = at(made.gold_BT, made.places_BK)
    losses_BK, _ = cross_entropy(logits_BKV, gold_BK)
    right_BK = logits_BKV.argmax(-1) == gold_BK
    return tuple(by_course(weights_BK * value, courses) for value in (losses_BK, right_BK, jnp.ones_like(losses_BK)))


def detecting(
    scores_BT: Float[Array, "B T"], altered_BT: Bool[Array, "B T"], weights_BT: Float[Array, "B T"], courses: int
) -> tuple[Float[Array, " C"], Float[Array, " C"]]:
    """-[b log s + (1 - b) log (1 - s)] with s = sigmoid(score), b = 1 where a token is altered, as sums of each course.

    Returns:
      Sums of losses in nats, and of weights.

    Reference: Clark et al. 2020 (ELECTRA), https://arxiv.org/abs/2003.10555, section 2.

    >>> loss, count = detecting(jnp.zeros((2, 4)), jnp.zeros((2, 4), bool), jnp.ones((2, 4)), courses=2)
    >>> [round(float(mean), 4) for mean in loss / count]  # log 2
    [0.6931, 0.6931]
    """
    losses_BT = optax.sigmoid_binary_cross_entropy(scores_BT, altered_BT.astype(scores_BT.dtype))
    return by_course(weights_BT * losses_BT, courses), by_course(weights_BT, courses)


def notebook(altered_BT: Bool[Array, "B T"], verdict_BT: Bool[Array, "B T"], courses: int) -> Float[Array, "4 C"]:
    """How many tokens are: original and so judged, original and judged replaced, replaced and judged original,
    replaced and so judged; of each course.

    Reference: Chen et al. 2023 (MCL), https://arxiv.org/abs/2305.03981.

    >>> altered, verdict = jnp.array([[False, False, True, True]]), jnp.array([[False, True, False, True]])
    >>> notebook(altered, verdict, courses=1)[:, 0].tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    kinds = (~altered_BT & ~verdict_BT, ~altered_BT & verdict_BT, altered_BT & ~verdict_BT, altered_BT & verdict_BT)
    return jnp.stack([by_course(kind, courses) for kind in kinds])


def by_course(values: Array, courses: int) -> Float[Array, " C"]:
    """Sums over the rows of each course.

    >>> by_course(jnp.array([[1, 1], [5, 5], [2, 2], [5, 5]]), 2).tolist()
    [6.0, 20.0]
    """
    return values.reshape(len(values) // courses, courses, -1).astype(jnp.float32).sum((0, 2))


def in_turn(*groups: Array) -> Array:
    """The rows of some groups of courses (B, courses of the group, ...) as the rows of one batch.

    >>> one, two = jnp.array([[[1], [2]], [[1], [2]]]), jnp.array([[[3]], [[3]]])
    >>> in_turn(one, two)[:, 0].tolist()
    [1, 2, 3, 1, 2, 3]
    """
    whole = jnp.concatenate(groups, 1)
    return whole.reshape(-1, *whole.shape[2:])
