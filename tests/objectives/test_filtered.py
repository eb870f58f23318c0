"""Filters by value: quantiles as NumPy has them, scores by hand, cut log-probabilities without gradient."""

from __future__ import annotations

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.objectives.rewards.filtered import (
    ActionLikelihood,
    PaperAdvantage,
    ReleasedScore,
    SoftAdvantage,
    doubly_robust,
    instruction_value,
    monte_carlo,
    step_value,
    top_share,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.33, 1.0])
@pytest.mark.parametrize("count", [1, 7, 24])
def test_the_cutoff_is_the_quantile_of_those_that_are_there(share: float, count: int) -> None:
    scores, there = RNG.normal(size=24).astype(np.float32), np.zeros(24, bool)
    there[RNG.permutation(24)[:count]] = True
    kept, cutoff = top_share(jnp.asarray(scores), jnp.asarray(there), share)
    wanted = np.quantile(scores[there], 1 - share)
    assert float(cutoff) == pytest.approx(wanted, abs=1e-6)
    np.testing.assert_array_equal(kept, there & (scores >= np.float32(cutoff)))
    assert kept.sum() >= 1


def test_by_reward_alone_all_successes_are_kept_or_everything() -> None:
    there = jnp.ones(20, bool)
    many, few = jnp.arange(20) < 5, jnp.arange(20) < 1
    np.testing.assert_array_equal(top_share(many.astype(jnp.float32), there, 0.1)[0], many)
    assert top_share(few.astype(jnp.float32), there, 0.1)[0].all()
    assert not top_share(jnp.zeros(20), jnp.zeros(20, bool), 0.1)[0].any()


def test_of_successes_the_least_expected_are_kept() -> None:
    reward, value = jnp.ones(10), jnp.linspace(0.1, 0.9, 10)
    assert top_share(reward - value, jnp.ones(10, bool), 0.1)[0].tolist() == [True] + [False] * 9


def test_released_score_by_hand() -> None:
    value, after = RNG.uniform(size=(2, 50)).astype(np.float32)
    final, left = (np.arange(50) % 2).astype(np.float32), np.arange(50) % 7
    reward = final * (left == 0)
    wanted = (np.clip(after - value - 0.05 + reward + 0.5**left * final, 0, 1) > 0).astype(np.float32)
    found = ReleasedScore()(*map(jnp.asarray, (value, after, reward, final, left)))
    np.testing.assert_array_equal(found, wanted)
    assert 0 < wanted.mean() < 1


def test_the_papers_advantage_is_between_monte_carlo_and_one_step() -> None:
    one = jnp.ones(3)
    value, after, left = 0.4 * one, jnp.array([0.3, 0.6, 0.6]), jnp.array([0, 0, 2])
    assert doubly_robust(value, after, one, one, left, 0.5).tolist() == pytest.approx([1.0, 1.0, 0.25 + 0.75 * 1.2])
    failed = doubly_robust(value, after, 0 * one, 0 * one, left, 0.5)
    assert failed.tolist() == pytest.approx((after - value).tolist())
    assert PaperAdvantage(10)(value, after, 0 * one, 0 * one, left).tolist() == [0.0, 1.0, 1.0]
    soft = SoftAdvantage(beta=0.1, most=5.0)(value, after, 0 * one, 0 * one, left)
    assert soft.tolist() == pytest.approx([np.exp(-1.0), 5.0, 5.0], rel=1e-5)


def test_returns_shrink_with_the_steps_that_are_left() -> None:
    assert monte_carlo(jnp.array([1.0, 1.0, 0.0]), jnp.array([0, 3, 1]), 0.5).tolist() == [1.0, 0.125, 0.0]


def policy(logits: jax.Array) -> SimpleNamespace:
    """A model whose logits are given."""
    language = SimpleNamespace(logits=lambda x: x)
    return SimpleNamespace(hidden=lambda tokens, image: logits, language=language)


def test_likelihood_is_weighed_and_cut_tokens_have_no_gradient() -> None:
    tokens = jnp.array([[0, 1, 2], [0, 2, 1]])
    logits = jnp.array([[[0.0, 9, 0], [0, 0, 1]], [[0, 0, -9.0], [0, 1, 0]]])
    weights = jnp.array([1.0, 0.5])
    batch = {"tokens": tokens, "image": jnp.zeros((2, 1)), "weights": weights}
    cut = ActionLikelihood(low=0.001, high=0.99)

    def loss(logits: jax.Array) -> jax.Array:
        return cut(policy(logits), batch, None)[0]

    logs = jax.nn.log_softmax(logits)
    own = jnp.stack([logs[0, 0, 1], logs[0, 1, 2], logs[1, 0, 2], logs[1, 1, 1]]).reshape(2, 2)
    wanted = -(weights * own.clip(jnp.log(0.001), jnp.log(0.99)).sum(1)).mean()
    assert float(loss(logits)) == pytest.approx(float(wanted), rel=1e-5)
    grads = jax.grad(loss)(logits)
    assert not np.asarray(grads[0, 0]).any(), "0.99 and more is not made more certain"
    assert not np.asarray(grads[1, 0]).any(), "below 0.001 nothing is learned"
    assert np.abs(grads[:, 1]).max() > 0.01
    metrics = ActionLikelihood()(policy(logits), {"tokens": tokens, "image": jnp.zeros((2, 1))}, None)[1]
    assert float(metrics["accuracy"]) == 0.5


def test_value_losses_are_cross_entropies_of_success() -> None:
    logits, success = jnp.array([[0.0, 2.0], [1.0, 0.0]]), jnp.array([1, 1])
    model = SimpleNamespace(answers=lambda text: logits)
    loss, _ = instruction_value(model, {"text": None, "success": success}, None)
    each = -jax.nn.log_softmax(logits)[:, 1]
    assert float(loss) == pytest.approx(float(each.mean()), rel=1e-6)
    both = jnp.stack([logits, logits + jnp.array([0.0, 1.0])], axis=1)
    rows = {"text": 1, "seen": 0, "next_text": 2, "next_seen": 0, "success": success}
    loss, metrics = step_value(lambda text, seen: both * text, rows, None)
    wanted = sum(float(-jax.nn.log_softmax(both * scale)[..., 1].mean(0).sum()) for scale in (1, 2))
    assert float(loss) == pytest.approx(wanted, rel=1e-6)
    assert 0 <= float(metrics["accuracy"]) <= 1
