"""Losses of models that talk: against plain formulas; who opens, what the teacher does, and what a round adds."""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.objectives.text.messages import gap, interaction, message_consistency, state_consistency, talk, told_apart

RNG = np.random.RandomState(0)
LOW, HIGH, OTHER = (jnp.asarray(RNG.randn(3, side, side, 2), jnp.float32) for side in (4, 2, 4))


def messenger(encode: float = 1.0, decode: float = 1.0) -> Any:
    """One that multiplies."""
    return SimpleNamespace(encode=lambda name, x: encode * x, decode=lambda name, x: decode * x)


def by_hand(x: Any, target: Any) -> float:
    x, target = np.asarray(x), np.asarray(target)
    return float(np.mean((x - target) ** 2 / (target.var((1, 2, 3), keepdims=True) + 1e-5)))


def test_gap_by_hand() -> None:
    assert float(gap(LOW, OTHER)) == pytest.approx(by_hand(LOW, OTHER), rel=1e-5)


def test_a_target_does_not_shrink_to_a_poor_prediction() -> None:
    target = LOW - LOW.mean((1, 2, 3), keepdims=True)
    unforeseen = OTHER - OTHER.mean((1, 2, 3), keepdims=True)
    along, length = (jnp.sum(target * x, (1, 2, 3), keepdims=True) for x in (unforeseen, target))
    state = target + unforeseen - along / length * target  # of which `target` is the best prediction
    drift = jax.grad(lambda scale: gap(target, scale * state))(1.0)
    assert abs(float(drift)) < 1e-4


def test_gap_does_not_see_the_unit() -> None:
    assert float(gap(7 * LOW, 7 * OTHER)) == pytest.approx(float(gap(LOW, OTHER)), rel=1e-3)


def test_consistency_is_zero_where_nothing_is_lost_and_both_say_the_same() -> None:
    own = {"low": LOW, "high": HIGH}
    assert float(state_consistency(messenger(2.0, 0.5), own)) == pytest.approx(0)
    assert float(state_consistency(messenger(2.0, 1.0), own)) == pytest.approx(
        by_hand(2 * LOW, LOW) + by_hand(2 * HIGH, HIGH)
    )
    twice = {name: 2 * x for name, x in own.items()}
    assert float(message_consistency(messenger(2.0), own, messenger(1.0), twice)) == pytest.approx(0)
    expected = by_hand(LOW, 2 * LOW) + by_hand(HIGH, 2 * HIGH)
    assert float(message_consistency(messenger(), own, messenger(), twice)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_interaction_by_hand(rounds: int) -> None:
    ours, theirs, asked = messenger(3.0, 0.7), messenger(1.1, 0.5), []

    def interpret(x: Any) -> Any:
        asked.append(x)
        return jnp.tanh(x[:, ::2, ::2])

    found = interaction(LOW, HIGH, ours, theirs, interpret, rounds)
    message, expected = np.asarray(LOW), []
    for _ in range(rounds):
        heard = 0.7 * 1.1 * np.tanh(0.5 * message[:, ::2, ::2])
        expected.append(by_hand(heard, HIGH))
        message = np.asarray(LOW) + 3.0 * heard.repeat(2, 1).repeat(2, 2)
    assert float(found) == pytest.approx(np.mean(expected), rel=1e-4)
    assert len(asked) == rounds  # the teacher thinks once in each


def test_who_opens_says_its_own_low_state() -> None:
    own, other = {"low": LOW, "high": HIGH}, {"low": OTHER, "high": HIGH}
    ours, theirs, layers = messenger(2.0, 1.0), messenger(3.0, 1.0), lambda x: x[:, ::2, ::2]
    for opens, opening in (("student", 2 * LOW), ("teacher", 3 * OTHER)):
        found = talk(ours, own, theirs, other, layers, opens=opens)
        assert float(found["interaction"]) == float(interaction(opening, HIGH, ours, theirs, layers))
        assert float(found["messages"]) == float(message_consistency(ours, own, theirs, other))
        both = state_consistency(ours, own) + state_consistency(theirs, other)
        assert float(found["states"]) == float(both)


def test_told_apart_by_hand() -> None:
    a, b = (RNG.randn(20, 2, 3).astype(np.float32) for _ in range(2))
    b = a + 0.8 * b
    distances = ((a[:, None] - b[None]) ** 2).sum((2, 3))
    right, count = told_apart(jnp.asarray(a), jnp.asarray(b))
    assert (int(right), int(count)) == (int((distances.argmin(1) == np.arange(20)).sum()), 20)
    assert 0 < right < 20
