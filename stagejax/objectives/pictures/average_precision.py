"""Mean average precision of detections: a number over a whole set of images, which no mean over batches gives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int


def box_overlap(a: Float[np.ndarray, "n 4"], b: Float[np.ndarray, "m 4"]) -> Float[np.ndarray, "n m"]:
    """Intersection over union of every pair of boxes (top, left, bottom, right)."""
    shared = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.maximum(shared, 0).prod(-1)
    areas = [(x[:, 2:] - x[:, :2]).prod(-1) for x in (a, b)]
    return shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9)


def average_precision(scores_N: Float[np.ndarray, " n"], right_N: Bool[np.ndarray, " n"], objects: int) -> float:
    """The area below precision over recall, each precision raised to the best at equal or higher recall.

    Args:
      scores_N, right_N: of every detection of a class, and whether it found an object that no better one found.
      objects: how many there are.

    Reference: Everingham et al. 2015 (PASCAL VOC), https://doi.org/10.1007/s11263-014-0733-5, as computed since 2010.

    >>> average_precision(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]), 2)
    0.8333333333333333
    """
    right = right_N[np.argsort(-scores_N, kind="stable")]
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best[right].sum() / objects) if objects else float("nan")


def matches(
    boxes: Sequence[Float[np.ndarray, "_ 4"]],
    scores: Sequence[Float[np.ndarray, " _"]],
    truth: Sequence[Float[np.ndarray, "_ 4"]],
    limit: float,
) -> tuple[Float[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Scores of one class's detections in all images, and which of them are right.

    In each image, from the highest score down, a detection takes the object it overlaps most; it is right if that is
    `limit` or more and the object was not taken before.
    """
    all_scores, right = [np.zeros(0)], [np.zeros(0, bool)]
    for found, score, objects in zip(boxes, scores, truth, strict=True):
        order = np.argsort(-score, kind="stable")
        good, taken = np.zeros(len(order), bool), np.zeros(len(objects), bool)
        overlaps = box_overlap(found[order], objects)
        for i in range(len(order) if len(objects) else 0):
            j = int(overlaps[i].argmax())
            good[i] = overlaps[i, j] >= limit and not taken[j]
            taken[j] |= good[i]
        all_scores.append(score[order])
        right.append(good)
    return np.concatenate(all_scores), np.concatenate(right)


def mean_average_precision(
    boxes: Float[np.ndarray, "b c 4"],
    scores: Float[np.ndarray, "b c"],
    labels: Int[np.ndarray, "b c"],
    kept: Bool[np.ndarray, "b c"],
    true_boxes: Float[np.ndarray, "b n 4"],
    true_labels: Int[np.ndarray, "b n"],
    *,
    classes: int,
    limit: float = 0.5,
) -> float:
    """The mean over classes of `average_precision`, without classes that no image shows.

    Args:
      boxes, scores, labels, kept: detections of each image; only those kept count.
      true_boxes, true_labels: objects of each image; negative labels are none.
      limit: overlap from which on a detection is right.

    >>> box = np.array([[[0.0, 0.0, 1.0, 1.0]]])
    >>> one = np.zeros((1, 1), int)
    >>> mean_average_precision(box, np.ones((1, 1)), one, one == 0, box, one, classes=10)
    1.0
    """
    found = []
    for c in range(classes):
        mine, theirs = kept & (labels == c), true_labels == c
        truth = [box[here] for box, here in zip(true_boxes, theirs, strict=True)]
        own = [box[here] for box, here in zip(boxes, mine, strict=True)]
        sure = [score[here] for score, here in zip(scores, mine, strict=True)]
        found.append(average_precision(*matches(own, sure, truth, limit), int(theirs.sum())))
    return float(np.nanmean(found)) if np.isfinite(found).any() else float("nan")
