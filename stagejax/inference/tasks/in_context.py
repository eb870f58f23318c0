"""What a model learns in context, and what gradient descent learns from the same examples: functions for `apply`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, Float

from stagejax.objectives.in_context import logits_after_descent, positions

#: (model, rows as of `stagejax.data.pictures.random_tasks.RandomTasks`) -> 1 where a prediction is right, else 0.
Right = Callable[[Any, Any], jax.Array]


def right_of(model: Any, rows: Any) -> Float[Array, "B N"]:
    """1 where the label at a position is predicted from the examples before it, else 0.

    >>> # apply(right_of, Frozen.of(run.train(stage)), data.take(np.arange(512)), 64).mean(0)
    """
    return positions(model, rows)[1]


@functools.cache
def right_after_descent(steps: int, rate: float) -> Right:
    """A function that gives 1 where the last label is predicted after descent on all examples before it: (B,).

    >>> right_after_descent(5, 0.5) is right_after_descent(5, 0.5)  # so that it is compiled once
    True
    """

    def right(model: Any, rows: Any) -> Float[Array, " B"]:
        support = rows["label"].shape[1] - 1
        logits = logits_after_descent(model, rows, support=support, steps=steps, rate=rate)
        return (logits[:, -1].argmax(-1) == rows["label"][:, -1]).astype("float32")

    return right
