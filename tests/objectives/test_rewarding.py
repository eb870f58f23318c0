"""The listwise loss is the mean over all pairs of a query; the shaped reward keeps right above wrong."""

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.objectives.rewards.rewarding import right_above_wrong, scores_at, shaped


def test_the_loss_is_that_of_all_pairs_written_out() -> None:
    rng = np.random.default_rng(0)
    table = jnp.asarray(rng.normal(size=(9,)), jnp.float32)
    tokens, ends = rng.integers(0, 9, (3, 6, 5)), rng.integers(1, 6, (3, 6))
    right = np.array([[1, 0, 0, 1, 1, 0], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 1]], np.float32)
    batch = {"tokens": jnp.asarray(tokens), "ends": jnp.asarray(ends), "right": jnp.asarray(right)}
    loss, metrics = right_above_wrong(lambda tokens, key: table[tokens], batch, None)
    wanted = []
    for q in (0, 2):  # the answers of query 1 are all right
        r = [float(table[tokens[q, i, ends[q, i] - 1]]) for i in range(6)]
        pairs = [(p, n) for p in range(6) for n in range(6) if right[q, p] > right[q, n]]
        wanted.append(np.mean([np.log1p(np.exp(r[n] - r[p])) for p, n in pairs]))
    np.testing.assert_allclose(loss, np.mean(wanted), rtol=1e-5)
    assert float(metrics["loss"][1]) == 2


def test_queries_without_pairs_give_no_gradient() -> None:
    batch = {"tokens": jnp.ones((2, 3, 2), int), "ends": jnp.full((2, 3), 2), "right": jnp.ones((2, 3))}
    grads = jax.grad(lambda w: right_above_wrong(lambda tokens, key: w * tokens, batch, None)[0])(1.0)
    assert float(grads) == 0


def test_what_stands_behind_the_end_is_not_seen() -> None:
    tokens, ends = jnp.array([[3, 4, 9], [3, 4, 7]]), jnp.array([2, 2])
    assert scores_at(lambda tokens, key: tokens * 1.0, tokens, ends).tolist() == [4, 4]


def test_right_answers_are_worth_more_than_wrong_ones_whatever_the_score() -> None:
    scores = jnp.linspace(-9, 9, 7)
    right, wrong = shaped(scores, jnp.ones(7)), shaped(scores, jnp.zeros(7))
    assert float(right.min()) > 0 > float(wrong.max())
    assert (np.diff(right) > 0).all()
    assert (np.diff(wrong) > 0).all()
    np.testing.assert_allclose(shaped(scores, jnp.ones(7), verifier=0.0), jax.nn.sigmoid(scores / 2), rtol=1e-6)
    assert set(shaped(scores, jnp.zeros(7), judge=0.0).tolist()) == {-1}
