"""Detection: targets, loss, suppression and pseudo-labels cell by cell; mAP and spectral norms against references."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.objectives.orthogonality import as_matrix, deviations, spectral_deviation
from stagejax.objectives.pictures.average_precision import box_overlap, mean_average_precision
from stagejax.objectives.pictures.detection import (
    assigned,
    detection_loss,
    find,
    overlap,
    strong_view,
    suppressed,
    targets_of,
)


def random_boxes(rng: np.random.Generator, *shape: int) -> np.ndarray:
    low = rng.uniform(0, 0.6, (*shape, 2))
    return np.concatenate([low, low + rng.uniform(0.1, 0.4, (*shape, 2))], -1).astype(np.float32)


def test_overlaps_are_those_of_counted_pixels() -> None:
    rng = np.random.default_rng(0)
    boxes = np.round(random_boxes(rng, 6) * 20).astype(int)
    drawn = np.zeros((6, 24, 24), bool)
    for picture, (top, left, bottom, right) in zip(drawn, boxes, strict=True):
        picture[top:bottom, left:right] = True
    expected = [[(a & b).sum() / (a | b).sum() for b in drawn] for a in drawn]
    np.testing.assert_allclose(box_overlap(boxes.astype(float), boxes.astype(float)), expected, rtol=1e-6)
    floats = jnp.asarray(boxes, jnp.float32)
    np.testing.assert_allclose(overlap(floats[:, None], floats[None]), expected, rtol=1e-5)


def test_an_object_belongs_to_the_cell_of_its_centre() -> None:
    boxes = jnp.array([[[0.0, 0.5, 0.2, 0.7], [0.6, 0.6, 1.0, 1.0], [0.0, 0.0, 0.1, 0.1]]])
    targets = targets_of(boxes, jnp.array([[3, 5, -1]]), 4)
    assert targets.objectness.tolist() == [[0, 1, 0, 1]]
    assert targets.labels.tolist() == [[0, 3, 0, 5]]
    np.testing.assert_array_equal(targets.boxes[0, 1::2], boxes[0, :2])
    assert targets.objectness_weight.min() == 1


def test_the_loss_is_its_formula() -> None:
    rng = np.random.default_rng(1)
    output = {
        "objectness": jnp.asarray(rng.normal(size=(2, 4)), jnp.float32),
        "boxes": jnp.asarray(random_boxes(rng, 2, 4)),
        "classes": jnp.asarray(rng.normal(size=(2, 4, 3)), jnp.float32),
    }
    truth = jnp.asarray(random_boxes(rng, 2, 1))
    targets = targets_of(truth, jnp.array([[2], [-1]]), 4)
    loss, _ = detection_loss(output, targets)
    p = 1 / (1 + np.exp(-np.asarray(output["objectness"])))
    there = np.asarray(targets.objectness)
    expected = -0.7 * (there * np.log(p) + (1 - there) * np.log(1 - p)).sum()
    at = int(there[0].argmax())
    box, own = np.asarray(output["boxes"])[0, at], np.asarray(truth)[0, 0]
    expected += 1 - box_overlap(box[None], own[None])[0, 0] + np.abs(box - own).sum()
    logits = np.asarray(output["classes"])[0, at]
    expected += 0.3 * (np.log(np.exp(logits).sum()) - logits[2])
    np.testing.assert_allclose(loss, expected / 2, rtol=1e-5)


def test_suppression_is_the_greedy_one() -> None:
    rng = np.random.default_rng(2)
    fast = jax.jit(partial(suppressed, limit=0.4))
    for _ in range(20):
        boxes, scores, labels = random_boxes(rng, 12), rng.random(12).astype(np.float32), rng.integers(0, 2, 12)
        kept: list[int] = []
        for i in np.argsort(-scores):
            if all(labels[i] != labels[j] or box_overlap(boxes[[i]], boxes[[j]])[0, 0] <= 0.4 for j in kept):
                kept.append(int(i))
        assert np.flatnonzero(fast(boxes, scores, labels.astype(np.int32))).tolist() == sorted(kept)


def test_two_thresholds_assign_reliable_uncertain_ground_and_nothing() -> None:
    """Cells: reliable, suppressed by it, uncertain, uncertain with a sure objectness, ground."""
    objectness = np.array([0.95, 0.9, 0.4, 0.995, 0.05], np.float32)
    classes = np.array([[9.0, 0, 0], [9.0, 0, 0], [0, 9.0, 0], [0.0, 0.5, 0.4], [9.0, 0, 0]], np.float32)
    boxes = np.zeros((1, 5, 4), np.float32)
    boxes[0] = [[0, 0, 0.4, 0.4], [0, 0, 0.4, 0.39], [0.5, 0.5, 1, 1], [0, 0.6, 0.3, 1], [0.6, 0, 1, 0.3]]
    output = {"objectness": jnp.log(objectness / (1 - objectness))[None], "boxes": boxes, "classes": classes[None]}
    scores = np.asarray(find(output).scores)[0]
    targets, reliable = assigned(output)
    np.testing.assert_allclose(targets.objectness[0], [1, 0, scores[2], scores[3], 0], rtol=1e-6)
    assert targets.objectness_weight.tolist() == [[1, 0, 1, 1, 1]]
    assert targets.box_weight.tolist() == [[1, 0, 0, 1, 0]]
    assert targets.label_weight.tolist() == [[1, 0, 0, 0, 0]]
    assert reliable == 1


def brute_force(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, truth: list[tuple[int, int, np.ndarray]]):
    """mAP by its definition: at every number of detections the precision and recall, found anew."""
    values = []
    for c in range(3):
        objects = [(image, box) for image, label, box in truth if label == c]
        mine = [(scores[i, j], i, boxes[i, j]) for i, j in np.argwhere(labels == c)]
        mine.sort(key=lambda x: -x[0])
        points = []
        for n in range(1, len(mine) + 1):
            taken, hits = set(), 0
            for _, image, box in mine[:n]:
                best = max(
                    (
                        (box_overlap(box[None], other[None])[0, 0], k)
                        for k, (i, other) in enumerate(objects)
                        if i == image
                    ),
                    default=(0.0, -1),
                )
                if best[0] >= 0.5 and best[1] not in taken:
                    taken.add(best[1])
                    hits += 1
            points.append((hits / max(1, len(objects)), hits / n))
        if objects:
            levels = [(k + 1) / len(objects) for k in range(len(objects))]
            values.append(np.mean([max((p for r, p in points if r >= at - 1e-9), default=0.0) for at in levels]))
    return np.mean(values)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_map_is_that_of_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true_boxes, true_labels = random_boxes(rng, 4, 3), rng.integers(-1, 3, (4, 3))
    true_labels[0, 0] = 0
    boxes = np.concatenate([true_boxes + rng.normal(0, 0.04, true_boxes.shape), random_boxes(rng, 4, 3)], 1)
    boxes = np.concatenate([boxes[..., :2], np.maximum(boxes[..., 2:], boxes[..., :2] + 0.01)], -1)
    labels = np.concatenate([np.where(rng.random((4, 3)) < 0.7, true_labels, 1), rng.integers(0, 3, (4, 3))], 1)
    scores = rng.permutation(24).reshape(4, 6) / 24
    truth = [(i, true_labels[i, j], true_boxes[i, j]) for i, j in itertools.product(range(4), range(3))]
    found = mean_average_precision(boxes, scores, labels, labels >= 0, true_boxes, true_labels, classes=3)
    assert found == pytest.approx(brute_force(boxes, scores, labels, truth))


def test_spectral_deviation_is_numpys_spectral_norm() -> None:
    rng = np.random.default_rng(3)
    for shape in ((6, 9), (9, 6)):
        W = rng.normal(size=shape).astype(np.float32) / 2
        gram = W @ W.T if shape[0] < shape[1] else W.T @ W
        exact = np.linalg.norm(gram - np.eye(6), 2)
        np.testing.assert_allclose(spectral_deviation(jnp.asarray(W), jax.random.key(0), 200), exact, rtol=1e-4)
        assert spectral_deviation(jnp.asarray(W), jax.random.key(0)) <= exact * (1 + 1e-5)
    kernel = rng.normal(size=(3, 3, 2, 5)).astype(np.float32)
    np.testing.assert_array_equal(as_matrix(jnp.asarray(kernel))[4], kernel[..., 4].ravel())
    assert deviations({"kernel": jnp.asarray(kernel), "bias": jnp.zeros(5)}, jax.random.key(0)).shape == (1,)


def test_descending_the_deviation_makes_a_kernel_orthogonal() -> None:
    W = jnp.asarray(np.random.default_rng(4).normal(size=(4, 8)), jnp.float32) * 0.5
    gradient = jax.jit(jax.grad(lambda W, key: spectral_deviation(W, key, 4)))
    for step in range(300):
        W = W - 0.02 * gradient(W, jax.random.key(step))
    np.testing.assert_allclose(W @ W.T, np.eye(4), atol=0.1)


def test_the_strong_view_leaves_objects_where_they_are() -> None:
    images = jnp.zeros((64, 24, 24, 1)).at[:, 8:16, 8:16].set(0.9)
    seen = strong_view(jax.random.key(0), images)
    assert seen.shape == images.shape
    inside, outside = jnp.median(seen[:, 8:16, 8:16], (1, 2, 3)), jnp.median(seen[:, :6], (1, 2, 3))
    assert ((inside - outside) > 0.25).all()
    assert (jnp.abs(seen - 0.5) == 0).sum((1, 2, 3)).min() >= 16  # the hole
