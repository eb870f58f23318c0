"""Batch-hard triplets against all triplets by hand, and average precision against scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import label_ranking_average_precision_score

from stagejax.objectives.pictures.identification import (
    Identification,
    Reidentified,
    batch_hard,
    distances,
    mean_average_precision,
)

RNG = np.random.default_rng(0)


class Identity:
    """Features are the pixels, and logits too."""

    def features(self, images, key=None):
        return images.reshape(len(images), -1)

    def logits(self, x):
        return x


def test_batch_hard_is_the_worst_of_all_triplets():
    x, labels = RNG.normal(size=(9, 4)).astype(np.float32), np.array([0, 0, 0, 1, 1, 1, 2, 2, 3])
    losses = []
    for a in range(9):
        triplets = [
            0.3 + np.linalg.norm(x[a] - x[p]) - np.linalg.norm(x[a] - x[n])
            for p in range(9)
            for n in range(9)
            if p != a and labels[p] == labels[a] != labels[n]
        ]
        losses += [max(0.0, *triplets)] if triplets else []
    assert len(losses) == 8  # the only image of identity 3 is no anchor
    loss, violations = batch_hard(jnp.asarray(x), jnp.asarray(labels), 0.3)
    assert float(loss) == pytest.approx(np.mean(losses), rel=1e-5)
    assert float(violations) == pytest.approx(np.mean(np.array(losses) > 0))


@pytest.mark.slow
def test_gradients_stay_finite_where_features_coincide():
    gradient = jax.grad(lambda x: batch_hard(x, jnp.array([0, 0, 1, 1]))[0])(jnp.ones((4, 3)))
    assert bool(jnp.isfinite(gradient).all())
    assert float(batch_hard(jnp.ones((3, 2)), jnp.zeros(3, int))[0]) == 0  # nobody else to be apart from
    assert distances(jnp.ones((1, 2)), jnp.ones((1, 2))).tolist() == [[0.0]]


def test_mean_average_precision_is_that_of_scikit_learn():
    scores, right = RNG.normal(size=(20, 12)), RNG.random((20, 12)) < 0.3
    right[:, 0] = True
    found, first = mean_average_precision(jnp.asarray(scores, jnp.float32), jnp.asarray(right))
    assert float(found) == pytest.approx(label_ranking_average_precision_score(right, scores), rel=1e-5)
    assert float(first) == pytest.approx(np.mean(right[np.arange(20), scores.argmax(1)]))


@pytest.mark.slow
def test_the_objectives_of_training_and_of_the_test():
    x = np.zeros((8, 4), np.float32)
    x[[0, 1, 2, 3], 0], x[[4, 5, 6, 7], 1] = 1, 1
    batch = {"image": jnp.asarray(x), "label": jnp.array([0] * 4 + [1] * 4)}
    loss, metrics = Identification(margin=0.3)(Identity(), batch, None)
    assert float(metrics["violations"][0]) == 0
    assert float(loss) == pytest.approx(-np.log(np.e / (np.e + 3)), rel=1e-5)
    for label, expected in (([0] * 4 + [1] * 4, 1.0), ([0, 0, 1, 1] * 2, None)):
        metrics = Reidentified(4)(Identity(), batch | {"label": jnp.array(label)}, None)[1]
        if expected:
            assert [float(a / b) for a, b in metrics.values()] == [1.0, 1.0]
        else:
            assert float(metrics["mAP"][0] / metrics["mAP"][1]) < 1
