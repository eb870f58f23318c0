"""Policy gradients against closed forms and sums written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.objectives.rewards.policy_gradient import (
    ClippedPolicy,
    ClippedValue,
    bradley_terry,
    gae,
    group_advantages,
    kl_estimate,
    token_logprobs,
    token_rewards,
    whitened,
)

RNG = np.random.default_rng(0)
B, T, V = 4, 7, 6
START, END = np.array([[2], [1], [0], [3]]), np.array([[7], [4], [1], [6]])
WEIGHTS = jnp.asarray((np.arange(T) >= START) & (np.arange(T) < END), jnp.float32)
TOKENS = jnp.asarray(RNG.integers(0, V, (B, T + 1)))
TABLE = jnp.asarray(RNG.normal(size=(V, V)), jnp.float32)


def numbers(*shape: int) -> jax.Array:
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def model_of(table: jax.Array):
    return lambda tokens, key: table[tokens]


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 0.8), (1.0, 1.0), (0.9, 0.0)])
def test_advantages_are_the_sum_of_discounted_surprises(gamma: float, lam: float) -> None:
    rewards, values = numbers(B, T), numbers(B, T)
    found = np.asarray(gae(rewards, values, WEIGHTS, gamma=gamma, lam=lam))
    for b in range(B):
        start, end = int(START[b, 0]), int(END[b, 0])
        r, v = np.asarray(rewards[b, start:end], np.float64), np.append(np.asarray(values[b, start:end]), 0.0)
        for t in range(end - start):
            wanted = sum(
                (gamma * lam) ** k * (r[t + k] + gamma * v[t + k + 1] - v[t + k]) for k in range(end - start - t)
            )
            assert found[b, start + t] == pytest.approx(wanted, abs=1e-5)
            if lam == 1.0 and gamma == 1.0:  # the return less the value
                assert found[b, start + t] == pytest.approx(r[t:].sum() - v[t], abs=1e-5)
    assert not found[np.asarray(WEIGHTS) == 0].any()


def test_the_score_comes_once_and_every_token_pays() -> None:
    logprobs, reference = numbers(B, T), numbers(B, T)
    scores = jnp.array([10.0, 0.0, -10.0, 10.0])
    rewards = token_rewards(scores, logprobs, reference, WEIGHTS, beta=0.05)
    paid = 0.05 * jnp.sum(WEIGHTS * (logprobs - reference), axis=1)
    np.testing.assert_allclose(rewards.sum(1), scores - paid, rtol=1e-5)
    free = np.asarray(token_rewards(scores, logprobs, reference, WEIGHTS, beta=0.0))
    assert [int(np.flatnonzero(row)[0]) for row in free[[0, 2, 3]]] == [6, 0, 5]  # the last drawn token


def test_estimators_have_the_divergence_as_their_mean() -> None:
    p, q = jax.nn.log_softmax(TABLE[0]), jax.nn.log_softmax(TABLE[1])
    exact = jnp.sum(jnp.exp(p) * (p - q))
    for estimator in ("k1", "k3"):
        assert jnp.sum(jnp.exp(p) * kl_estimate(p, q, estimator)) == pytest.approx(float(exact), rel=1e-4)
    assert (kl_estimate(p, q, "k3") >= 0).all()
    np.testing.assert_allclose(kl_estimate(p, q, "k2"), (p - q) ** 2 / 2)


def test_whitening_looks_at_drawn_tokens_only() -> None:
    values = numbers(B, T)
    found = np.asarray(whitened(values, WEIGHTS))
    inside = np.asarray(WEIGHTS) > 0
    np.testing.assert_allclose((found[inside].mean(), found[inside].std()), (0, 1), atol=1e-5)
    np.testing.assert_array_equal(found, whitened(jnp.where(inside, values, 99.0), WEIGHTS))


def batch(**more: jax.Array) -> dict[str, jax.Array]:
    return {"tokens": TOKENS, "weights": WEIGHTS, "advantages": numbers(B, T), **more}


def test_policy_loss_is_the_clipped_one_of_the_paper() -> None:
    new = np.asarray(token_logprobs(model_of(TABLE), TOKENS, WEIGHTS))
    one = batch(logprobs=jnp.asarray(new) - 0.5 * numbers(B, T), reference=jnp.asarray(new) + 0.3 * numbers(B, T))
    loss, metrics = ClippedPolicy(kl=0.04)(model_of(TABLE), one, None)
    ratio, advantage = np.exp(new - np.asarray(one["logprobs"])), np.asarray(one["advantages"])
    surrogate = np.minimum(ratio * advantage, np.clip(ratio, 0.8, 1.2) * advantage)
    log_ratio = np.asarray(one["reference"]) - new
    each = -surrogate + 0.04 * (np.exp(log_ratio) - log_ratio - 1)
    inside = np.asarray(WEIGHTS) > 0
    assert float(loss) == pytest.approx(each[inside].mean(), rel=1e-4)
    assert 0 < float(metrics["clipped"][0]) < float(metrics["clipped"][1]) == inside.sum()


def test_on_its_own_samples_the_gradient_is_that_of_reinforce() -> None:
    def reinforce(table: jax.Array) -> jax.Array:
        return -jnp.sum(one["advantages"] * token_logprobs(model_of(table), TOKENS, WEIGHTS)) / WEIGHTS.sum()

    one = batch(logprobs=token_logprobs(model_of(TABLE), TOKENS, WEIGHTS))
    found = jax.grad(lambda table: ClippedPolicy()(model_of(table), one, None)[0])(TABLE)
    np.testing.assert_allclose(found, jax.grad(reinforce)(TABLE), atol=1e-6)
    assert float(ClippedPolicy()(model_of(TABLE), one, None)[1]["moved"][0]) == pytest.approx(0, abs=1e-6)


def test_value_loss_takes_the_worse_of_both_errors() -> None:
    old, returns = numbers(B, T), numbers(B, T)
    table = numbers(V)
    loss, _ = ClippedValue(clip=0.2, coefficient=0.1)(
        lambda tokens, key: table[tokens],
        {"tokens": TOKENS, "weights": WEIGHTS, "values": old, "returns": returns},
        None,
    )
    value = np.asarray(table)[np.asarray(TOKENS)[:, :-1]]
    near = np.clip(value, np.asarray(old) - 0.2, np.asarray(old) + 0.2)
    each = 0.05 * np.maximum((value - returns) ** 2, (near - returns) ** 2)
    assert float(loss) == pytest.approx(float(each[np.asarray(WEIGHTS) > 0].mean()), rel=1e-5)


def test_groups_of_equal_rewards_carry_no_gradient() -> None:
    rewards = jnp.array([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    found = np.asarray(group_advantages(rewards))
    assert not found[:2].any()
    np.testing.assert_allclose(found[2], (np.array([1, 0, 0]) - 1 / 3) / (np.sqrt(2) / 3 + 1e-4), rtol=1e-5)
    one = batch(logprobs=token_logprobs(model_of(TABLE), TOKENS, WEIGHTS)) | {"advantages": jnp.zeros((B, T))}
    assert not jax.grad(lambda table: ClippedPolicy()(model_of(table), one, None)[0])(TABLE).any()


def test_reward_model_loss_reads_the_value_at_the_last_token() -> None:
    table = numbers(V)
    pairs = {
        "chosen": TOKENS[:2],
        "rejected": TOKENS[2:],
        "chosen_weights": WEIGHTS[:2],
        "rejected_weights": WEIGHTS[2:],
    }
    loss, metrics = bradley_terry(lambda tokens, key: table[tokens], pairs, None)
    r = np.asarray(table)[np.asarray(TOKENS)[np.arange(B), END[:, 0]]]
    margin = r[:2] - r[2:]
    assert float(loss) == pytest.approx(np.log1p(np.exp(-margin)).mean(), rel=1e-5)
    assert float(metrics["accuracy"][0]) == (margin > 0).sum()
