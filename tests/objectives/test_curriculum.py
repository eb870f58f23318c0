"""A weighed loss is the weighed sum of its samples' losses, and uniform in the end; ranks of whole lists."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.objectives.curriculum import EasyFirst, Iterations, batch_mean, curriculum_weights, per_sample
from stagejax.objectives.retrieval import reranking

RNG = np.random.default_rng(0)


class Scorer:
    """Scores that are parameters."""

    def __init__(self, table: jax.Array) -> None:
        self.table = table

    def scores(self, query: jax.Array, items: jax.Array) -> jax.Array:
        return self.table


TABLE = jnp.asarray(RNG.standard_normal((6, 2)), jnp.float32)
BATCH = {"query": None, "items": None, "easiness": jnp.asarray(RNG.uniform(size=(6, 2)), jnp.float32)}


def gradient(objective: EasyFirst, phase: float) -> np.ndarray:
    return np.asarray(jax.jit(jax.grad(lambda table: objective(Scorer(table), BATCH, None, phase=phase)[0]))(TABLE))


@pytest.mark.parametrize("phase", [0.0, 0.25, 1.0])
def test_every_sample_weighs_by_its_own_easiness(phase: float) -> None:
    objective = EasyFirst(reranking.pairwise, reranking.pair_easiness)
    plain = jax.grad(lambda table: reranking.softmax_loss(table).sum())(TABLE)
    D = BATCH["easiness"].mean(1)
    np.testing.assert_allclose(gradient(objective, phase), (D + phase * (1 - D))[:, None] * plain / 6, atol=1e-6)
    whole = EasyFirst(reranking.pairwise, reranking.pair_easiness, batch_mean)
    mean = float((D + phase * (1 - D)).mean())
    np.testing.assert_allclose(gradient(whole, phase), mean * plain / 6, atol=1e-6)


def test_single_answers_weigh_one_by_one() -> None:
    objective = EasyFirst(reranking.pointwise, reranking.item_easiness)
    loss, metrics = objective(Scorer(TABLE), BATCH, None, phase=0.0)
    right = jnp.array([[1.0, 0.0]])
    probability = jax.nn.sigmoid(TABLE)
    expected = -(right * jnp.log(probability) + (1 - right) * jnp.log(1 - probability))
    np.testing.assert_allclose(loss, (BATCH["easiness"] * expected).mean(), rtol=1e-5)
    assert float(metrics["weight"][0] / metrics["weight"][1]) == pytest.approx(float(BATCH["easiness"].mean()))
    np.testing.assert_allclose(objective(Scorer(TABLE), BATCH, None)[0], expected.mean(), rtol=1e-5)  # in evaluation


def test_weights_rise_to_one_in_whole_iterations_and_none_is_zero() -> None:
    options, D = Iterations(m=5, steps=3), jnp.array([1e-8, 0.3, 1.0])
    weights = np.array([curriculum_weights(D, options(jnp.array(step))["phase"]) for step in range(20)])
    for step, found in enumerate(weights):
        phase = min(step // 3 / 5, 1)
        np.testing.assert_allclose(found, D + phase * (1 - D), rtol=1e-6)
    assert (weights > 0).all()
    assert (weights[15:] == 1).all()
    with pytest.raises(ValueError, match="has iterations"):
        Iterations(0, 3)


def test_a_pair_is_as_easy_as_the_paper_says() -> None:
    D = RNG.uniform(size=(5, 4))  # heuristic: of a right answer and three others
    easiness = jnp.asarray(np.concatenate([D[:, :1], 1 - D[:, 1:]], 1))
    expected = ((D[:, :1] - D[:, 1:] + 1) / 2).min(1)
    np.testing.assert_allclose(reranking.pair_easiness({"easiness": easiness}), expected, rtol=1e-6)


def test_losses_of_pairs_are_their_formulas() -> None:
    gap = np.asarray(TABLE[:, 0] - TABLE[:, 1])
    np.testing.assert_allclose(reranking.softmax_loss(TABLE), 1 / (1 + np.exp(gap)), rtol=1e-5)
    np.testing.assert_allclose(reranking.cross_entropy_loss(TABLE), np.log1p(np.exp(-gap)), rtol=1e-5)
    np.testing.assert_allclose(reranking.hinge_loss(TABLE), np.maximum(0, 1 - gap), rtol=1e-5, atol=1e-7)
    losses, metrics = partial(reranking.pairwise, loss=reranking.hinge_loss)(Scorer(TABLE), BATCH, None)
    assert losses.shape == (6,)
    assert float(metrics["right"][0]) == (gap > 0).sum()
    assert per_sample(losses, jnp.zeros(6)) == 0


def test_ranks_are_those_of_sorting_and_ties_never_help() -> None:
    scores, answer = RNG.standard_normal((8, 15)), np.append(RNG.integers(0, 15, 7), -1)
    expected = [1 + np.argsort(-own).tolist().index(a) for own, a in zip(scores[:-1], answer[:-1], strict=True)]
    found = reranking.list_ranks(jnp.asarray(scores), jnp.asarray(answer))
    assert found.tolist() == [*expected, np.inf]
    assert reranking.list_ranks(jnp.zeros((1, 4)), jnp.array([0])).tolist() == [4.0]
    model = Scorer(jnp.asarray(scores, jnp.float32))
    _, metrics = reranking.listed(model, {"query": None, "items": None, "answer": jnp.asarray(answer)}, None)
    assert float(metrics["mrr"][0]) == pytest.approx(sum(1 / rank for rank in expected if rank <= 10), rel=1e-5)
    assert float(metrics["p1"][0]) == expected.count(1)
