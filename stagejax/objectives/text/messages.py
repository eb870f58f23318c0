"""Losses of two models that talk: what one makes of the other's answer, and whether both speak one language.

A model takes part by a messenger with `encode(name, state) -> message` and `decode(name, message) -> state`, where a
state has a name such as "low". States and messages are (examples, ..., width).

Reference: Zhao et al. 2023, https://arxiv.org/abs/2310.03188.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.retrieval.retrieval import recall_at

States = Mapping[str, Array]


def gap(x: Float[Array, "B ..."], target: Float[Array, "B ..."]) -> Float[Array, ""]:
    """Mean of (x - target)² / var(target), the variance of each example's whole target.

    So a wide state counts as much as a narrow one, and 1 is what the target's own mean would get. Gradients pass
    through the variance: were it a constant, a target that is trained could only shrink, since a prediction is
    shorter than what it predicts, and the prediction would follow it to nothing.

    >>> float(gap(jnp.array([[0.0, 0.0]]), jnp.array([[-2.0, 2.0]])).round(3))
    1.0
    """
    var = jnp.var(target, axis=tuple(range(1, target.ndim)), keepdims=True)
    return jnp.mean((x - target) ** 2 / (var + 1e-5))


def state_consistency(messenger: Any, states: States) -> Float[Array, ""]:
    """Sum over a model's states s of |decode(encode(s)) - s|², each as a `gap`: messages keep what they say."""
    found = [gap(messenger.decode(name, messenger.encode(name, s)), s) for name, s in states.items()]
    return sum(found, jnp.zeros(()))


def message_consistency(ours: Any, own: States, theirs: Any, other: States) -> Float[Array, ""]:
    """Sum over names of |encode_ours(own) - encode_theirs(other)|², each as a `gap`: one message for one input."""
    found = [gap(ours.encode(name, own[name]), theirs.encode(name, other[name])) for name in own]
    return sum(found, jnp.zeros(()))


def told_apart(a: Float[Array, "B ..."], b: Float[Array, "B ..."]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Of two models' messages about the same inputs: (those of the first nearest to the own one of b, all of them).

    By squared distance over all places, among the messages of a batch.

    >>> told_apart(jnp.array([[0.0], [9.0]]), jnp.array([[1.0], [8.0]]))
    (Array(2., dtype=float32), Array(2., dtype=float32))
    """
    a, b = (x.reshape(len(x), -1) for x in (a, b))
    nearness = 2 * a @ b.T - jnp.sum(b * b, 1)
    return recall_at(1, nearness, jnp.arange(len(a)))


def interaction(
    opening: Float[Array, "B *places M"],
    high: Float[Array, "B *deep W"],
    ours: Any,
    theirs: Any,
    interpret: Callable[[Array], Array],
    rounds: int = 1,
) -> Float[Array, ""]:
    """Mean over rounds of the `gap` between what a student hears and the state it has.

    In a round the teacher decodes the message as its low state, runs its own layers on that, and encodes the high state
    it comes to; the student decodes this answer as its own high state. In the next round the student says, on top of
    its opening, the high state that it has heard, at the nearest places.

    Args:
      opening: the first message.
      high: the student's high state.
      ours, theirs: messengers of student and teacher.
      interpret: the teacher's layers between its low and its high state.

    >>> class Plain:
    ...     encode = decode = staticmethod(lambda name, x: x)
    >>> x = jnp.array([[-1.0, 1.0]])
    >>> float(interaction(x, x, Plain, Plain, lambda low: 2 * low).round(3))
    1.0
    """
    message, found = opening, []
    for _ in range(rounds):
        answer = theirs.encode("high", interpret(theirs.decode("low", message)))
        heard = ours.decode("high", answer)
        found.append(gap(heard, high))
        message = opening + _at_places(ours.encode("high", heard), opening)
    return sum(found, jnp.zeros(())) / rounds


def talk(
    ours: Any,
    own: States,
    theirs: Any,
    other: States,
    interpret: Callable[[Array], Array],
    *,
    rounds: int = 1,
    opens: Literal["student", "teacher"] = "student",
) -> dict[str, Float[Array, ""]]:
    """The losses of a student (ours, own) and a teacher (theirs, other): `interaction`, `messages` and `states`.

    Args:
      own, other: their states "low" and "high" for the same examples.
      opens: whose message, about its own low state, is the first; "teacher" makes it distillation in one direction.
    """
    opening = ours.encode("low", own["low"]) if opens == "student" else theirs.encode("low", other["low"])
    return {
        "interaction": interaction(opening, own["high"], ours, theirs, interpret, rounds),
        "messages": message_consistency(ours, own, theirs, other),
        "states": state_consistency(ours, own) + state_consistency(theirs, other),
    }


def _at_places(message: Array, like: Array) -> Array:
    """A message of fewer places at those of another: each is repeated for the places that it covers."""
    for axis in range(1, message.ndim - 1):
        message = jnp.repeat(message, like.shape[axis] // message.shape[axis], axis=axis)
    return message
