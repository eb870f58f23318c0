"""Ranking objectives against numpy: in a batch, against candidates, and from a teacher's scores."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
from scipy.special import log_softmax, softmax

from stagejax.objectives.retrieval import ranking

RANDOM = np.random.default_rng(0)
U, V = (jnp.asarray(RANDOM.normal(size=(3, size)), jnp.float32) for size in (2, 8))
BATCH = {
    "query": U,
    "items": V.reshape(3, 2, 4)[..., :2],
    "numbers": jnp.array([[0, 3], [1, 4], [2, 0]]),
    "scores": jnp.asarray(RANDOM.normal(size=(3, 5)), jnp.float32),
}
MODEL = SimpleNamespace(
    scores=lambda q, i: jnp.einsum("nd,nkd->nk", q, i),
    similarities=lambda q, i: q @ i.T,
)


def test_listwise_is_the_cross_entropy_of_the_first_candidate() -> None:
    loss, metrics = ranking.listwise(MODEL, BATCH, None)
    logits = np.einsum("nd,nkd->nk", U, BATCH["items"])
    np.testing.assert_allclose(loss, -log_softmax(logits, 1)[:, 0].mean(), rtol=1e-5)
    first = logits[:, 0] > logits[:, 1]
    np.testing.assert_allclose(metrics["mrr"][0] / 3, np.where(first, 1, 0.5).mean(), rtol=1e-6)


def test_in_batch_takes_the_other_queries_first_items_as_negatives() -> None:
    loss, _ = ranking.in_batch(MODEL, BATCH, None)
    logits = np.asarray(U @ BATCH["items"][:, 0].T)
    expected = -(np.diag(log_softmax(logits, 1)).mean() + np.diag(log_softmax(logits, 0)).mean()) / 2
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_distilling_compares_every_query_with_the_candidates_of_all() -> None:
    loss, _ = ranking.distilled(MODEL, BATCH, None)
    logits = np.asarray(U @ BATCH["items"].reshape(6, 2).T)
    teacher = np.asarray(BATCH["scores"])[:, [0, 3, 1, 4, 2, 0]]
    p = softmax(teacher, 1)
    np.testing.assert_allclose(loss, (p * (np.log(p) - log_softmax(logits, 1))).sum(1).mean(), rtol=1e-4)
    same = SimpleNamespace(similarities=lambda q, i: jnp.asarray(teacher))
    assert abs(float(ranking.distilled(same, BATCH, None)[0])) < 1e-6
