"""Several labels at once, against numpy and scikit-learn: weighted losses, areas, confidences, ridge probes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from stagejax.objectives.tasks.several_labels import (
    areas,
    label_losses,
    positive_weights,
    ridge_probe,
    several_labels,
    several_labels_with_confidence,
)

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(12, 3)).astype(np.float32)
LABELS = (np.arange(36).reshape(12, 3) % 5 < 2).astype(np.float32)
WEIGHTS = (2.0, 1.0, 0.5)


def by_hand(logits: np.ndarray, labels: np.ndarray, weights: tuple[float, ...]) -> np.ndarray:
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return -(np.array(weights) * labels * np.log(p) + (1 - labels) * np.log(1 - p))


class Sum:
    """Logits are the sum over modalities of what is there, as `Fused` gives them."""

    def features(self, batch: Mapping[str, Any], key: Any = None) -> dict[str, jax.Array]:
        return {name: batch[name] for name in ("text", "audio")}

    def present(self, rows: int, key: Any) -> jax.Array:
        return jnp.ones((rows, 2), bool)

    def fused(self, features: Mapping[str, jax.Array], present: jax.Array) -> jax.Array:
        return sum(present[:, i, None] * x for i, x in enumerate(features.values()))

    def __call__(self, batch: Mapping[str, Any], key: Any = None) -> jax.Array:
        return self.fused(self.features(batch), self.present(len(batch["labels"]), key))


BATCH = {"text": jnp.array(LOGITS), "audio": jnp.array(LOGITS[::-1] * 3), "labels": jnp.array(LABELS)}


def test_the_loss_is_the_weighted_mean_over_labels_and_rows() -> None:
    loss, metrics = several_labels(lambda batch, key: batch["text"], BATCH, None, weights=WEIGHTS)
    own = by_hand(LOGITS, LABELS, WEIGHTS)
    assert float(loss) == pytest.approx(own.mean(), rel=1e-5)
    assert float(metrics["loss"][0]) == pytest.approx(own.mean(1).sum(), rel=1e-5)
    expected = np.mean([roc_auc_score(LABELS[:, c], LOGITS[:, c]) for c in range(3)])
    assert float(metrics["auc"][0]) == pytest.approx(expected, abs=1e-6)
    np.testing.assert_allclose(areas(LOGITS, LABELS).mean(), expected)


def test_without_weights_all_count_one_and_large_logits_stay_finite() -> None:
    own = label_losses(jnp.array(LOGITS), jnp.array(LABELS))
    np.testing.assert_allclose(own, by_hand(LOGITS, LABELS, (1.0,) * 3), rtol=1e-4)
    far = label_losses(jnp.array([[200.0, -200.0]]), jnp.array([[0.0, 0.0]]))
    np.testing.assert_allclose(far, [[200.0, 0.0]], atol=1e-5)


def test_weighed_positives_count_as_much_as_negatives() -> None:
    shares = LABELS.mean(0)
    np.testing.assert_allclose(np.array(positive_weights(tuple(shares.tolist()))) * shares, 1 - shares, atol=1e-6)


def test_confidence_is_the_mean_probability_of_the_truth_from_one_modality_alone() -> None:
    loss, metrics = several_labels_with_confidence(Sum(), BATCH, jax.random.key(0), weights=WEIGHTS)
    assert float(loss) == pytest.approx(float(several_labels(Sum(), BATCH, jax.random.key(0), weights=WEIGHTS)[0]))
    for name in ("text", "audio"):
        p = 1 / (1 + np.exp(-np.asarray(BATCH[name], np.float64)))
        expected = np.where(LABELS == 1, p, 1 - p).mean()
        assert float(metrics[f"confidence_{name}"][0]) == pytest.approx(expected, rel=1e-5)
    assert "auc" in several_labels_with_confidence(Sum(), BATCH, None)[1]


def test_ridge_probes_solve_the_normal_equations_of_standardised_features() -> None:
    x, t = (RNG.normal(2.0, 3.0, size=(n, 4)) for n in (12, 5))
    (x0, t0), middle = ((own - x.mean(0)) / x.std(0) for own in (x, t)), LABELS.mean(0)
    normal = x0.T @ x0 / len(x) + 1e-2 * np.eye(4)
    expected = middle + t0 @ np.linalg.solve(normal, x0.T @ (LABELS - middle) / len(x))
    np.testing.assert_allclose(ridge_probe(x, LABELS, t), expected, rtol=1e-6)
