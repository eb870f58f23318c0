"""The focal loss against its formula, and the measures against scikit-learn's."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics

from stagejax.objectives.focal import detection, detection_with_rates, focal, rates

LOGITS = np.random.default_rng(0).normal(size=40).astype(np.float32)
LABELS = (np.random.default_rng(1).random(40) < 0.3).astype(np.int32)


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (0.0, 0.5), (1.5, 0.75)])
def test_the_loss_is_the_papers_formula(gamma: float, alpha: float) -> None:
    p = 1 / (1 + np.exp(-LOGITS.astype(float)))
    p_t, weight = np.where(LABELS == 1, p, 1 - p), np.where(LABELS == 1, alpha, 1 - alpha)
    expected = -weight * (1 - p_t) ** gamma * np.log(p_t)
    found = focal(jnp.asarray(LOGITS), jnp.asarray(LABELS), gamma=gamma, alpha=alpha)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    loss, told = detection(lambda batch, key: batch["x"], batch(), None, gamma=gamma, alpha=alpha)
    assert float(loss) == pytest.approx(expected.mean(), rel=1e-5)
    assert float(told["accuracy"][0]) == ((p > 0.5) == LABELS).sum()


def batch() -> dict[str, Any]:
    return {"x": jnp.asarray(LOGITS), "label": jnp.asarray(LABELS)}


@pytest.mark.slow
def test_gradients_are_finite_where_the_answer_is_sure() -> None:
    sure = jnp.array([200.0, -200.0, 200.0])
    for gamma in (0.0, 0.5, 2.0):
        gradient = jax.grad(lambda x, gamma=gamma: focal(x, jnp.array([1, 1, 0]), gamma=gamma).sum())(sure)
        assert jnp.isfinite(gradient).all()
        assert float(gradient[1]) < -0.4


def test_easy_examples_weigh_less_than_in_cross_entropy() -> None:
    easy, hard = jnp.array([3.0, -3.0]), jnp.array([1, 1])
    ratio = lambda gamma: float(jnp.divide(*focal(easy, hard, gamma=gamma)))  # noqa: E731
    assert ratio(2.0) < 0.01 * ratio(0.0)


def test_measures_are_those_of_scikit_learn() -> None:
    said = (LOGITS > 0).astype(int)
    found = {name: float(value) for name, value in rates(jnp.asarray(LOGITS), jnp.asarray(LABELS)).items()}
    recall, specificity = metrics.recall_score(LABELS, said), metrics.recall_score(LABELS, said, pos_label=0)
    assert found == pytest.approx(
        {
            "recall": recall,
            "specificity": specificity,
            "precision": metrics.precision_score(LABELS, said),
            "accuracy": metrics.accuracy_score(LABELS, said),
            "f1": metrics.f1_score(LABELS, said),
            "g_mean": np.sqrt(recall * specificity),
            "auc": metrics.roc_auc_score(LABELS, LOGITS),
        },
        abs=1e-6,
    )
    _, told = partial(detection_with_rates, gamma=0.0)(lambda batch, key=None: batch["x"], batch(), None)
    assert float(told["auc"]) == pytest.approx(found["auc"])


def test_what_is_undefined_is_0() -> None:
    found = rates(-jnp.ones(4), jnp.array([0, 0, 0, 1]))
    assert (float(found["precision"]), float(found["f1"]), float(found["g_mean"])) == (0.0, 0.0, 0.0)
