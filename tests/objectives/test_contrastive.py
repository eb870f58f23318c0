"""InfoNCE against its closed forms, and retrieval against counting."""

import jax.numpy as jnp
import numpy as np
from scipy.special import log_softmax

from stagejax.objectives.contrastive import image_text, info_nce, soft_target_kl
from stagejax.objectives.retrieval.retrieval import ranks, recall_at, reciprocal_rank_at, zero_shot

RNG = np.random.RandomState(0)


def test_info_nce_is_the_mean_cross_entropy_of_both_directions() -> None:
    logits = RNG.normal(size=(5, 5)).astype(np.float32)
    rows, columns = log_softmax(logits, 1), log_softmax(logits, 0)
    expected = -(np.trace(rows) + np.trace(columns)) / 10
    loss, metrics = info_nce(jnp.asarray(logits))
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    np.testing.assert_allclose(metrics["loss"][0] / metrics["loss"][1], expected, rtol=1e-6)
    assert float(metrics["rows"][0]) == (logits.argmax(1) == np.arange(5)).sum()
    assert float(metrics["columns"][0]) == (logits.argmax(0) == np.arange(5)).sum()


def test_info_nce_is_symmetric_and_blind_to_the_order_of_pairs() -> None:
    logits, order = RNG.normal(size=(6, 6)).astype(np.float32), RNG.permutation(6)
    loss, _ = info_nce(jnp.asarray(logits))
    np.testing.assert_allclose(info_nce(jnp.asarray(logits.T))[0], loss, rtol=1e-6)
    np.testing.assert_allclose(info_nce(jnp.asarray(logits[order][:, order]))[0], loss, rtol=1e-6)


def test_image_text_reads_the_batch_by_name() -> None:
    batch = {"picture": jnp.eye(4), "caption": 5 * jnp.eye(4)}
    loss, _ = image_text(lambda u, v, key: u @ v.T, batch, None, image="picture", tokens="caption")
    np.testing.assert_allclose(loss, np.log(np.exp(5) + 3) - 5, rtol=1e-5)


def test_ranks_are_those_of_sorting_and_ties_never_help() -> None:
    scores, relevant = RNG.normal(size=(7, 9)).astype(np.float32), RNG.randint(0, 9, 7)
    order = np.argsort(-scores, axis=1)
    expected = 1 + np.argmax(order == relevant[:, None], axis=1)
    np.testing.assert_array_equal(ranks(jnp.asarray(scores), jnp.asarray(relevant)), expected)
    for k in (1, 3, 9):
        hits, count = recall_at(k, jnp.asarray(scores), jnp.asarray(relevant))
        assert (float(hits), float(count)) == ((expected <= k).sum(), 7)
        weights = (expected > 2).astype(np.float32)
        total, count = reciprocal_rank_at(k, jnp.asarray(scores), jnp.asarray(relevant), jnp.asarray(weights))
        np.testing.assert_allclose(total, (1 / expected)[(expected > 2) & (expected <= k)].sum(), rtol=1e-6)
        assert float(count) == weights.sum()
    assert float(recall_at(8, jnp.zeros((7, 9)), jnp.asarray(relevant))[0]) == 0


def test_zero_shot_averages_the_captions_of_a_class() -> None:
    captions = jnp.asarray([[[1.0, 0.0], [0.0, 1.0]], [[-1.0, 0.0], [0.0, -1.0]]])
    images = jnp.asarray([[0.6, 0.8], [-0.6, -0.8], [0.6, 0.8]])
    hits, count = zero_shot(images, captions, jnp.array([0, 1, 1]))
    assert (float(hits), float(count)) == (2, 3)


def test_soft_target_kl_is_the_mean_divergence_of_both_directions() -> None:
    logits = RNG.normal(size=(4, 4)).astype(np.float32)
    log_q = log_softmax(10 * np.eye(4), 1)
    expected = np.mean([(np.exp(log_q) * (log_q - log_softmax(x, 1))).sum(1) for x in (logits, logits.T)])
    loss, metrics = soft_target_kl(jnp.asarray(logits))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(metrics["loss"][0] / metrics["loss"][1], expected, rtol=1e-5)
    sharp, _ = soft_target_kl(jnp.asarray(logits), sharpness=60.0)
    np.testing.assert_allclose(sharp, info_nce(jnp.asarray(logits))[0], rtol=1e-5)
