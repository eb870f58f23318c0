"""Detection on a grid: targets of cells, their loss, boxes that are left after suppression, and pseudo-labels.

A box is (top, left, bottom, right) in shares of the image. A detector's output is {"objectness": (B, C) logits,
"boxes": (B, C, 4), "classes": (B, C, K) logits}, C = G² cells row by row; an object belongs to the cell of its centre.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from stagejax.objectives.loss import Metrics, cross_entropy

Output = Mapping[str, Any]


class Targets(NamedTuple):
    """What every cell should say, and how much each of its three outputs counts; 0 leaves it alone."""

    objectness: Float[Array, "B C"]  # from 0 to 1
    boxes: Float[Array, "B C 4"]
    labels: Int[Array, "B C"]
    objectness_weight: Float[Array, "B C"]
    box_weight: Float[Array, "B C"]
    label_weight: Float[Array, "B C"]


class Found(NamedTuple):
    """What every cell found; `kept` is what suppression left."""

    scores: Float[Array, "B C"]  # probability of an object, times that of its likeliest class
    labels: Int[Array, "B C"]
    kept: Bool[Array, "B C"]


def overlap(a: Float[Array, "*#n 4"], b: Float[Array, "*#n 4"]) -> Float[Array, "*#n"]:
    """Intersection over union of boxes; 0 where both are empty.

    >>> float(overlap(jnp.array([0.0, 0.0, 1.0, 1.0]), jnp.array([0.0, 0.5, 1.0, 1.0])))
    0.5
    """
    shared = jnp.maximum(jnp.minimum(a[..., 2:], b[..., 2:]) - jnp.maximum(a[..., :2], b[..., :2]), 0).prod(-1)
    areas = [(x[..., 2:] - x[..., :2]).prod(-1) for x in (a, b)]
    return shared / jnp.maximum(areas[0] + areas[1] - shared, 1e-9)


def targets_of(boxes_BN4: Float[Array, "B N 4"], labels_BN: Int[Array, "B N"], cells: int) -> Targets:
    """The targets of labelled boxes; a negative label is no box. Of two objects in a cell the first counts."""
    G = math.isqrt(cells)
    centres = (boxes_BN4[..., :2] + boxes_BN4[..., 2:]) / 2
    at = jnp.clip((centres * G).astype(jnp.int32), 0, G - 1)
    here = jax.nn.one_hot(at[..., 0] * G + at[..., 1], cells, dtype=bool) & (labels_BN >= 0)[..., None]  # B N C
    which, there = here.argmax(1), here.any(1)
    boxes = jnp.take_along_axis(boxes_BN4, which[..., None], axis=1)
    labels = jnp.where(there, jnp.take_along_axis(labels_BN, which, axis=1), 0)
    positive = there.astype(boxes.dtype)
    return Targets(positive, boxes, labels, jnp.ones_like(positive), positive, positive)


def detection_loss(
    output: Output, targets: Targets, *, objectness: float = 0.7, box: float = 1.0, classes: float = 0.3
) -> tuple[Float[Array, ""], Metrics]:
    """The sum over the cells of an image of three losses with their weights, averaged over images.

    Binary cross entropy of the objectness; 1 - IoU + the L1 distance of the box; cross entropy of the class.
    """
    images = output["objectness"].shape[0]
    there = optax.sigmoid_binary_cross_entropy(output["objectness"], targets.objectness)
    where = 1 - overlap(output["boxes"], targets.boxes) + jnp.abs(output["boxes"] - targets.boxes).sum(-1)
    which = cross_entropy(output["classes"], targets.labels)[0]
    sums = {
        "objectness_loss": (targets.objectness_weight * there).sum(),
        "box_loss": (targets.box_weight * where).sum(),
        "class_loss": (targets.label_weight * which).sum(),
    }
    weights = (objectness, box, classes)
    total = sum(w * x for w, x in zip(weights, sums.values(), strict=True)) / images
    count = jnp.asarray(images, total.dtype)
    return total, {"loss": (total * count, count), **{name: (x, count) for name, x in sums.items()}}


def detection(model: Any, batch: Mapping[str, Any], key: Any) -> tuple[Float[Array, ""], Metrics]:
    """`detection_loss` on labelled images: {"image", "boxes", "labels"}."""
    output = model(batch["image"], key=key)
    return detection_loss(output, targets_of(batch["boxes"], batch["labels"], output["objectness"].shape[1]))


def suppressed(
    boxes_N4: Float[Array, "N 4"], scores_N: Float[Array, " N"], labels_N: Int[Array, " N"], limit: float
) -> Bool[Array, " N"]:
    """Non-maximum suppression: which boxes stay, by descending score.

    A box goes if it overlaps one of the same label that stays and has a higher score by more than `limit`.

    >>> boxes = jnp.array([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.9], [0.0, 0.0, 0.1, 0.1]])
    >>> suppressed(boxes, jnp.array([0.8, 0.9, 0.5]), jnp.array([1, 1, 1]), 0.65).tolist()
    [False, True, True]
    """
    order = jnp.argsort(-scores_N, stable=True)
    boxes, labels = boxes_N4[order], labels_N[order]
    rivals = (overlap(boxes[:, None], boxes[None]) > limit) & (labels[:, None] == labels[None])

    def visit(i: Any, kept: Array) -> Array:
        earlier = jnp.arange(kept.shape[0]) < i
        return kept.at[i].set(~(rivals[i] & kept & earlier).any())

    kept = jax.lax.fori_loop(0, scores_N.shape[0], visit, jnp.ones(scores_N.shape, bool))
    return jnp.zeros_like(kept).at[order].set(kept)


def find(output: Output, *, confidence: float = 0.1, limit: float = 0.65, most: int = 300) -> Found:
    """What a detector found in every cell.

    Args:
      confidence: smallest score that is kept.
      limit: overlap from which on suppression acts.
      most: only so many cells of an image, those of the highest scores, can be kept.
    """
    probabilities = jax.nn.softmax(output["classes"])
    scores = jax.nn.sigmoid(output["objectness"]) * probabilities.max(-1)
    labels = probabilities.argmax(-1).astype(jnp.int32)
    best, at = jax.lax.top_k(scores, min(most, scores.shape[1]))
    boxes = jnp.take_along_axis(output["boxes"], at[..., None], axis=1)
    stay = jax.vmap(suppressed, (0, 0, 0, None))(boxes, best, jnp.take_along_axis(labels, at, axis=1), limit)
    kept = jax.vmap(lambda i, stay: jnp.zeros(scores.shape[1], bool).at[i].set(stay))(at, stay)
    return Found(scores, labels, kept & (scores >= confidence))


def detections(model: Any, images_BYXP: Float[Array, "B Y X P"]) -> Float[Array, "B C 7"]:
    """What a detector finds in images: for every cell its box, score, label, and 1 where it is kept.

    Nearly all are kept (confidence 0.01), as average precision wants it.
    """
    output = model(images_BYXP)
    found = find(output, confidence=0.01)
    rest = jnp.stack([found.scores, found.labels.astype(jnp.float32), found.kept.astype(jnp.float32)], -1)
    return jnp.concatenate([output["boxes"], rest], -1)


def strong_view(key: Array, images_BYXP: Float[Array, "B Y X P"]) -> Float[Array, "B Y X P"]:
    """The same objects at the same places: blurred, contrast and brightness changed, noise, and a square cut out.

    Each image goes a way w in [0, 1] to its mean over 3 x 3 pixels, then times u in [0.4, 1.2] plus v in [-0.05, 0.25]
    plus N(0, 0.05²), and gets a grey square of a sixth of its side.

    >>> strong_view(jax.random.key(0), jnp.zeros((2, 12, 12, 1))).shape
    (2, 12, 12, 1)
    """
    (count, side), keys = images_BYXP.shape[:2], jax.random.split(key)
    w, u, v, *corner = jax.random.uniform(keys[0], (5, count, 1, 1, 1))
    padded = jnp.pad(images_BYXP, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    rows = sum(padded[:, i : i + side] for i in range(3))
    blurred = sum(rows[:, :, j : j + images_BYXP.shape[2]] for j in range(3)) / 9
    seen = (0.4 + 0.8 * u) * (images_BYXP + w * (blurred - images_BYXP)) + (0.3 * v - 0.05)
    noise = 0.05 * jax.random.normal(keys[1], images_BYXP.shape)
    top, left = (jnp.floor(x * (side - side // 6)) for x in corner)
    y, x = jnp.arange(side)[:, None, None], jnp.arange(side)[:, None]
    hole = (y >= top) & (y < top + side // 6) & (x >= left) & (x < left + side // 6)
    return jnp.where(hole, 0.5, jnp.clip(seen + noise, 0, 1))


def assigned(
    output: Output, *, low: float = 0.1, high: float = 0.6, sure: float = 0.99, limit: float = 0.65
) -> tuple[Targets, Float[Array, ""]]:
    """Targets from a teacher's output by two thresholds, and how many boxes are reliable.

    A box that suppression leaves is reliable from score `high` on: objectness 1, its box, its class. From `low` on it
    is uncertain: its score is the target of the objectness, and its box counts only where the teacher's objectness is
    `sure` or more. A cell below `low` is ground. A suppressed cell counts nowhere.

    Reference: of the assigner, Xu et al. 2023 (Efficient Teacher), https://arxiv.org/abs/2302.07577, section 3.2.
    """
    output = jax.lax.stop_gradient(dict(output))
    found = find(output, confidence=low, limit=limit)
    reliable = found.kept & (found.scores >= high)
    uncertain = found.kept & ~reliable
    where = reliable | (uncertain & (jax.nn.sigmoid(output["objectness"]) >= sure))
    counted = found.kept | (found.scores < low)
    target = jnp.where(reliable, 1.0, jnp.where(uncertain, found.scores, 0.0))
    weights = (x.astype(target.dtype) for x in (counted, where, reliable))
    return Targets(target, output["boxes"], found.labels, *weights), reliable.sum().astype(target.dtype)


def pseudo_detection(
    student: Any, seen: Array, key: Any, said: Output, **thresholds: float
) -> tuple[Float[Array, ""], Metrics]:
    """`detection_loss` of a student on what a teacher's output `said`; `reliable` counts the boxes it is sure of.

    Args:
      seen: the images as the student sees them, with objects where the teacher saw them.
      thresholds: of `assigned`.
    """
    targets, reliable = assigned(said, **thresholds)
    loss, metrics = detection_loss(student(seen, key=key), targets)
    return loss, metrics | {"reliable": reliable}
