"""Semantic segmentation: a class for every pixel, intersection over union, and learning from a teacher's labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from stagejax.objectives.loss import Macro, Metrics, cross_entropy, weighted

#: The label of pixels that are not looked at.
IGNORE = -1


def confusion_matrix(
    labels: Int[Array, "*batch"], predictions: Int[Array, "*batch"], classes: int, ignore: int = IGNORE
) -> Float[Array, "C C"]:
    """Pixels of class i (row) that were taken for class j (column); pixels with the label `ignore` are left out.

    >>> confusion_matrix(jnp.array([0, 0, 1, -1]), jnp.array([0, 1, 1, 1]), 2)
    Array([[1., 1.],
           [0., 1.]], dtype=float32)
    """
    counted = (labels != ignore).astype(jnp.float32)
    cell = jnp.clip(labels, 0, classes - 1) * classes + predictions
    return jnp.bincount(cell.ravel(), counted.ravel(), length=classes**2).reshape(classes, classes)


def intersection_over_union(confusion_CC: Float[Array, "C C"]) -> Macro:
    """TP and TP + FP + FN of each class; summed over batches, the mean of their ratios is the mIoU.

    A class that is neither there nor predicted has no ratio. Reference: Everingham et al. 2015 (PASCAL VOC).

    >>> float(intersection_over_union(jnp.array([[1.0, 1.0], [0.0, 1.0]])).value())
    0.5
    """
    right = jnp.diagonal(confusion_CC)
    return Macro(right, confusion_CC.sum(0) + confusion_CC.sum(1) - right)


def segmentation(
    model: Callable[..., Array],
    batch: Mapping[str, Any],
    key: Array | None,
    *,
    inputs: str = "image",
    targets: str = "label",
    ignore: int = IGNORE,
) -> tuple[Float[Array, ""], Metrics]:
    """The mean cross entropy of all pixels whose label is not `ignore`, in nats.

    Returns:
      The loss; the pairs `loss` and `accuracy`, and `miou`, the mean intersection over union.

    >>> batch = {"image": jnp.zeros((1, 1, 2, 3)), "label": jnp.array([[[1, -1]]])}
    >>> loss, metrics = segmentation(lambda image, key: jnp.zeros((1, 1, 2, 4)), batch, None)
    >>> bool(jnp.allclose(loss, jnp.log(4.0))), float(metrics["loss"][1])
    (True, 1.0)
    """
    logits_BYXC = model(batch[inputs], key=key)
    loss, metrics = _of_pixels(logits_BYXC, batch[targets], ignore)
    confusion = confusion_matrix(batch[targets], logits_BYXC.argmax(-1), logits_BYXC.shape[-1], ignore)
    return loss, metrics | {"miou": intersection_over_union(confusion)}


def segmentation_of_patches(
    model: Callable[..., Array],
    batch: Mapping[str, Any],
    key: Array | None,
    *,
    inputs: str = "image",
    targets: str = "label",
    ignore: int = IGNORE,
) -> tuple[Float[Array, ""], Metrics]:
    """`segmentation` by a model that gives logits (B, T, C) of a square grid of patches: each pixel has its patch's.

    >>> batch = {"image": jnp.zeros((1, 4, 8)), "label": jnp.array([[[0, 0], [0, -1]]])}
    >>> loss, metrics = segmentation_of_patches(lambda x, key: jnp.zeros((1, 4, 3)), batch, None)
    >>> bool(jnp.allclose(loss, jnp.log(3.0))), float(metrics["loss"][1])
    (True, 3.0)
    """

    def pixels(inputs: Array, key: Array | None) -> Array:
        logits_BTC, (_, Y, X) = model(inputs, key=key), batch[targets].shape
        side = math.isqrt(logits_BTC.shape[1])
        grid = logits_BTC.reshape(-1, side, side, logits_BTC.shape[2])
        return jnp.repeat(jnp.repeat(grid, Y // side, 1), X // side, 2)

    return segmentation(pixels, batch, key, inputs=inputs, targets=targets, ignore=ignore)


def _of_pixels(logits: Array, labels: Array, ignore: int) -> tuple[Array, Metrics]:
    return weighted(logits, jnp.where(labels == ignore, 0, labels), (labels != ignore).astype(jnp.float32))


def pseudo_labels(
    logits_BYXC: Float[Array, "B Y X C"], threshold: float
) -> tuple[Int[Array, "B Y X"], Float[Array, " B"]]:
    """The likeliest class of every pixel, and the share of an image's pixels in which it has `threshold` or more.

    Reference: Tranheden et al. 2021 (DACS), https://arxiv.org/abs/2007.08702, section 3.2.

    >>> labels, share = pseudo_labels(jnp.array([[[[9.0, 0.0], [0.0, 0.1]]]]), 0.9)
    >>> labels.tolist(), share.tolist()
    ([[[0, 1]]], [0.5])
    """
    sure = jax.nn.softmax(logits_BYXC.astype(jnp.float32)).max(-1)
    return logits_BYXC.argmax(-1).astype(jnp.int32), (sure >= threshold).mean((1, 2))


def weighted_pixels(
    logits_BYXC: Float[Array, "B Y X C"],
    labels_BYX: Int[Array, "B Y X"],
    weights_BYX: Float[Array, "B Y X"],
    ignore: int = IGNORE,
) -> Float[Array, ""]:
    """Σ w CE / number of pixels whose label is not `ignore`: unlike in a weighted mean, unsure images count little.

    >>> labels = jnp.array([[[0, -1]]])
    >>> bool(jnp.allclose(weighted_pixels(jnp.zeros((1, 1, 2, 4)), labels, jnp.full((1, 1, 2), 0.5)), 0.5 * jnp.log(4)))
    True
    """
    valid = labels_BYX != ignore
    losses, _ = cross_entropy(logits_BYXC, jnp.where(valid, labels_BYX, 0))
    return jnp.where(valid, weights_BYX * losses, 0).sum() / jnp.maximum(valid.sum(), 1)
