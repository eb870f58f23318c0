"""The objective of classifiers whose examples have several labels at once, each of them there or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stagejax.objectives.graphs import roc_auc
from stagejax.objectives.loss import Metrics


def several_labels(
    model: Any, batch: Mapping[str, Any], key: Array | None, *, weights: tuple[float, ...] = ()
) -> tuple[Float[Array, ""], Metrics]:
    """`-(1 / C) sum_c [w_c y_c log p_c + (1 - y_c) log(1 - p_c)]`, the mean over the batch, in nats.

    Args:
      model: `model(batch, key=key)` gives logits (B, C).
      batch: its `labels` (B, C) are 0 or 1.
      weights: w_c, what a positive counts; none: 1 each.

    Returns:
      The loss, and the pairs (sum, count) `loss` and, in evaluation, `auc`: the mean over labels of the area under the
      ROC curve within a batch.

    >>> batch = {"labels": jnp.array([[1.0, 0.0], [0.0, 0.0]])}
    >>> loss, metrics = several_labels(lambda batch, key: jnp.zeros((2, 2)), batch, None, weights=(3.0, 1.0))
    >>> bool(jnp.isclose(loss, (3 + 1 + 1 + 1) / 4 * jnp.log(2)))
    True
    """
    logits_BC, labels_BC = model(batch, key=key).astype(jnp.float32), batch["labels"]
    own_BC = label_losses(logits_BC, labels_BC, weights)
    metrics: Metrics = {"loss": (own_BC.mean(1).sum(), jnp.asarray(len(labels_BC), jnp.float32))}
    if key is None:
        areas_C = jax.vmap(roc_auc, in_axes=1)(logits_BC, labels_BC.astype(jnp.int32))
        metrics |= {"auc": (areas_C.mean(), jnp.ones(()))}
    return own_BC.mean(), metrics


def label_losses(
    logits_BC: Float[Array, "B C"], labels_BC: Float[Array, "B C"], weights: tuple[float, ...] = ()
) -> Float[Array, "B C"]:
    """The cross entropy of each label, where a positive of label c counts `weights[c]`."""
    positive_C = jnp.asarray(weights or (1.0,) * logits_BC.shape[1], logits_BC.dtype)
    return positive_C * labels_BC * jax.nn.softplus(-logits_BC) + (1 - labels_BC) * jax.nn.softplus(logits_BC)


def several_labels_with_confidence(
    model: Any, batch: Mapping[str, Any], key: Array | None, *, weights: tuple[float, ...] = ()
) -> tuple[Float[Array, ""], Metrics]:
    """`several_labels` of a `Fused` model, and what each modality alone would say: `confidence_<name>`.

    That is the mean probability of the true values of the labels, where all other modalities are absent. No gradient
    is taken of it.
    """
    if key is None:
        return several_labels(model, batch, key, weights=weights)
    features, labels_BC = model.features(batch, key), batch["labels"]
    logits_BC = model.fused(features, model.present(len(labels_BC), key)).astype(jnp.float32)
    own_BC = label_losses(logits_BC, labels_BC, weights)
    metrics: Metrics = {"loss": (own_BC.mean(1).sum(), jnp.asarray(len(labels_BC), jnp.float32))}
    for i, name in enumerate(features):
        alone_BC = model.fused(features, jnp.arange(len(features))[None] == i).astype(jnp.float32)
        right = jax.nn.sigmoid((2 * labels_BC - 1) * jax.lax.stop_gradient(alone_BC)).mean()
        metrics[f"confidence_{name}"] = (right, jnp.ones(()))
    return own_BC.mean(), metrics


def positive_weights(shares: tuple[float, ...]) -> tuple[float, ...]:
    """`(1 - p_c) / p_c` of labels that are there in a share p_c: positives and negatives count the same.

    >>> positive_weights((0.5, 0.2))
    (1.0, 4.0)
    """
    return tuple(round((1 - share) / share, 6) for share in shares)


def areas(scores_NC: Float[np.ndarray, "N C"], labels_NC: Float[np.ndarray, "N C"]) -> Float[np.ndarray, " C"]:
    """The area under the ROC curve of each label; 0.5 is a constant answer's.

    >>> areas(np.array([[0.1], [0.9], [0.5]]), np.array([[0.0], [1.0], [1.0]])).tolist()
    [1.0]
    """
    from sklearn.metrics import roc_auc_score

    return np.array([roc_auc_score(y, s) for y, s in zip(labels_NC.T, scores_NC.T, strict=True)])


def ridge_probe(
    features_ND: Float[np.ndarray, "N D"],
    labels_NC: Float[np.ndarray, "N C"],
    test_nD: Float[np.ndarray, "n D"],
    decay: float = 1e-2,
) -> Float[np.ndarray, "n C"]:
    """Scores of test examples by linear least squares on frozen features, a column for each label.

    Coordinates are standardised on the first set; `decay` is that share of their variance added to the normal matrix.

    >>> x = np.array([[0.0], [1.0], [2.0]])
    >>> int(ridge_probe(x, np.array([[0.0], [0.0], [1.0]]), x).argmax())
    2
    """
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), Ridge(alpha=decay * len(features_ND)))
    scores = probe.fit(features_ND.astype(np.float64), labels_NC).predict(test_nD.astype(np.float64))
    return scores.reshape(len(test_nD), -1)  # scikit-learn drops the axis of a single label
