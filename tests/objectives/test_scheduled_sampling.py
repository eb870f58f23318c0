"""Parallel scheduled sampling: nothing at eps = 0, own tokens behind gold prefixes, and gold targets always."""

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.objectives import causal_lm
from stagejax.objectives.text.scheduled_sampling import drawn, replaceable, scheduled_sampling

V = 16
TABLE = jax.random.normal(jax.random.key(1), (V, V))


def model_of(tokens_BT, key=None):
    """Logits of the token and of those before it."""
    return jnp.cumsum(TABLE[tokens_BT], axis=1)


ROWS = jax.random.randint(jax.random.key(0), (4, 9), 4, V)
WEIGHTS = (jnp.arange(8) >= 3).astype(jnp.float32) * jnp.ones((4, 1))
BATCH = {"tokens": ROWS[:, :-1], "targets": ROWS[:, 1:], "weights": WEIGHTS}


def test_without_own_tokens_and_in_evaluation_it_is_causal_lm() -> None:
    plain, _ = causal_lm(model_of, BATCH, None)
    for key, eps in ((jax.random.key(2), 0.0), (None, 1.0)):
        loss, _ = scheduled_sampling(model_of, BATCH, key, eps=eps, lowest=4)
        np.testing.assert_allclose(loss, plain, rtol=1e-6)


def test_at_one_every_token_of_the_answer_is_the_models_own_behind_gold() -> None:
    draw_key, _, _ = jax.random.split(jax.random.key(2), 3)
    own = drawn(model_of(BATCH["tokens"]), draw_key, 1.0, 4)
    assert (own[:, 1:] >= 4).all()
    context = jnp.where(jnp.arange(8) >= 4, own, BATCH["tokens"])  # the answer begins at place 4
    np.testing.assert_array_equal(replaceable(BATCH), jnp.broadcast_to(jnp.arange(8) >= 4, (4, 8)))
    expected, _ = causal_lm(model_of, BATCH | {"tokens": context}, None)
    loss, metrics = scheduled_sampling(model_of, BATCH, jax.random.key(2), eps=1.0, lowest=4)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    assert float(metrics["replaced"][0]) == (context != BATCH["tokens"]).sum()


def test_draws_follow_the_models_distribution_and_the_gradient_does_not_pass_them() -> None:
    logits = jnp.broadcast_to(jnp.log(jnp.array([0.5, 0.5, 0.0, 0.0, 0.7, 0.3])), (2000, 2, 6))
    own = drawn(logits, jax.random.key(0), 1.0, 4)[:, 1]
    assert abs(float((own == 4).mean()) - 0.7) < 0.04

    def loss(bias):
        model = lambda tokens, key: model_of(tokens) + bias  # noqa: E731
        return scheduled_sampling(model, BATCH, jax.random.key(2), eps=0.5, lowest=4)[0]

    assert np.isfinite(jax.grad(loss)(0.5 * jnp.ones(V))).all()
