"""Losses of several answers: their gradients are weights of the answers, known in closed form."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.objectives.text.marginal import AnyOf, Mixed, SeveralAnswers, all_of, mean_of, of_equal_length

SCORES = jnp.array([[-1.0, -3.0, -2.0], [-4.0, -0.5, 0.0]])
THERE = jnp.array([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])


def weights(loss: Any, scores: Any = SCORES, there: Any = THERE) -> Any:
    return -jax.grad(lambda s: loss(s, there).sum())(scores)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(-40, 0, width=32), min_size=3, max_size=3), st.sampled_from([0.1, 0.25, 1.0]))
def test_gradient_weights_are_softmax(scores: list[float], beta: float) -> None:
    one, there = jnp.array([scores]), jnp.ones((1, 3))
    np.testing.assert_allclose(weights(AnyOf(beta), one, there), jax.nn.softmax(beta * one), atol=1e-5)


def test_the_marginal_likelihood_is_the_sum_of_probabilities() -> None:
    found = AnyOf(1.0)(SCORES, THERE)
    wanted = -np.log([np.exp([-1, -3, -2]).sum(), np.exp([-4, -0.5]).sum()])
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert weights(AnyOf(1.0))[0, 0] > weights(AnyOf(0.25))[0, 0] > 1 / 3  # the rich get richer, less so if smooth


def test_limits_of_beta() -> None:
    np.testing.assert_allclose(weights(AnyOf(1e-4)), weights(mean_of), atol=1e-3)
    np.testing.assert_allclose(AnyOf(50.0)(SCORES, THERE), [1.0, 0.5], atol=0.05)  # the likeliest alone


def test_all_answers_weigh_one_each_and_missing_ones_nothing() -> None:
    np.testing.assert_array_equal(weights(all_of), THERE)
    for loss in (all_of, mean_of, AnyOf(0.25), Mixed()):
        other = SCORES.at[1, 2].set(-1e4)
        np.testing.assert_array_equal(loss(SCORES, THERE), loss(other, THERE))
        none = weights(loss, there=jnp.zeros_like(THERE))
        assert float(loss(SCORES, jnp.zeros_like(THERE)).sum()) == 0
        assert not np.asarray(none).any()
    both = 0.3 * AnyOf(0.5)(SCORES, THERE) + 0.7 * all_of(SCORES, THERE)
    np.testing.assert_allclose(Mixed(AnyOf(0.5), (0.3, 0.7))(SCORES, THERE), both, rtol=1e-6)


def test_one_answer_is_maximum_likelihood_whatever_the_loss() -> None:
    one, there = SCORES[:, :1], THERE[:, :1]
    for loss in (all_of, mean_of, AnyOf(0.25), AnyOf(1.0)):
        np.testing.assert_allclose(loss(one, there), [1.0, 4.0], rtol=1e-6)


def test_equal_length() -> None:
    found = of_equal_length(SCORES, jnp.array([[2.0, 4.0, 8.0], [3.0, 6.0, 99.0]]), THERE)
    np.testing.assert_allclose(found[:, :2], [[-4.0, -6.0], [-8.0, -0.5]])


def test_beta_is_positive() -> None:
    with pytest.raises(ValueError, match=r"beta=0\.0 must be above 0"):
        AnyOf(0.0)


def test_scores_are_sums_over_the_weighted_tokens() -> None:
    table = jax.random.normal(jax.random.key(0), (8, 8))

    def model(tokens: Any, key: Any) -> Any:
        return table[tokens]

    tokens = jnp.array([[[1, 2, 3, 4], [1, 2, 5, 0]]])
    weights = jnp.array([[[0.0, 1.0, 1.0], [0.0, 1.0, 0.0]]])
    batch = {"tokens": tokens, "weights": weights, "there": jnp.ones((1, 2))}
    logp = jax.nn.log_softmax(table)
    scores = jnp.array([[logp[2, 3] + logp[3, 4], logp[2, 5]]])
    for loss in (all_of, AnyOf(0.25)):
        value, metrics = SeveralAnswers(loss)(model, batch, None)
        np.testing.assert_allclose(value, loss(scores, jnp.ones((1, 2)))[0], rtol=1e-5)
        np.testing.assert_allclose(metrics["nats"][0] / metrics["nats"][1], -scores.sum() / 3, rtol=1e-5)
    longer = SeveralAnswers(all_of, equal_length=True)(model, batch, None)[0]
    np.testing.assert_allclose(longer, -(scores[0, 0] + 2 * scores[0, 1]), rtol=1e-5)
    alone = SeveralAnswers(all_of)(model, batch | {"there": jnp.array([[1.0, 0.0]])}, None)[0]
    np.testing.assert_allclose(alone, -scores[0, 0], rtol=1e-5)
