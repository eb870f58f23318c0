"""Segmentation: mIoU by counting sets of pixels, void pixels without a gradient, weights of pseudo-labels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.data.pictures.mixing import box_mask, class_mask
from stagejax.loop import _mean
from stagejax.objectives.pictures.segmentation import (
    confusion_matrix,
    pseudo_labels,
    segmentation,
    segmentation_of_patches,
    weighted_pixels,
)
from stagejax.stage import ratios

RNG = np.random.RandomState(0)
LABELS = RNG.randint(-1, 4, (3, 5, 6))  # of 5 classes; class 4 is never there
LOGITS = RNG.randn(3, 5, 6, 5).astype(np.float32)


def scored(labels: np.ndarray, logits: np.ndarray) -> dict:
    batch = {"image": jnp.asarray(logits), "label": jnp.asarray(labels)}
    return segmentation(lambda image, key: image, batch, None)[1]


def by_sets(labels: np.ndarray, predictions: np.ndarray) -> float:
    """The mean over classes of |T n P| / |T u P|, as sets of the pixels that are not void."""
    pixels = [i for i in np.ndindex(*labels.shape) if labels[i] >= 0]
    found = []
    for c in range(5):
        there, said = ({i for i in pixels if what[i] == c} for what in (labels, predictions))
        if there | said:
            found.append(len(there & said) / len(there | said))
    return float(np.mean(found))


def test_miou_is_that_of_sets_of_pixels() -> None:
    assert float(ratios(scored(LABELS, LOGITS))["miou"]) == pytest.approx(by_sets(LABELS, LOGITS.argmax(-1)), rel=1e-6)
    never = np.where(np.arange(5) == 4, -9, LOGITS)  # a class neither there nor said has no part in the mean
    assert float(ratios(scored(LABELS, never))["miou"]) == pytest.approx(by_sets(LABELS, never.argmax(-1)), rel=1e-6)


def test_miou_over_batches_is_that_of_all_pixels_and_not_a_mean_of_means() -> None:
    parts = [jax.device_get(scored(LABELS[i : i + 1], LOGITS[i : i + 1]))["miou"] for i in range(3)]
    whole = by_sets(LABELS, LOGITS.argmax(-1))
    assert _mean(parts) == pytest.approx(whole, rel=1e-6)
    assert np.mean([float(part.value()) for part in parts]) != pytest.approx(whole, rel=1e-3)


def test_confusion_counts_every_labelled_pixel_once() -> None:
    found = np.asarray(confusion_matrix(jnp.asarray(LABELS), jnp.asarray(LOGITS.argmax(-1)), 5))
    wanted = np.zeros((5, 5))
    for label, said in zip(LABELS.ravel(), LOGITS.argmax(-1).ravel(), strict=True):
        if label >= 0:
            wanted[label, said] += 1
    np.testing.assert_array_equal(found, wanted)


def test_void_pixels_carry_no_gradient() -> None:
    void = LABELS == -1
    weights = jnp.asarray(RNG.rand(3, 5, 6), jnp.float32)
    plain = lambda x: segmentation(lambda image, key: image, {"image": x, "label": jnp.asarray(LABELS)}, None)[0]  # noqa: E731
    for loss in (plain, lambda x: weighted_pixels(x, jnp.asarray(LABELS), weights)):
        gradient = np.asarray(jax.grad(loss)(jnp.asarray(LOGITS)))
        assert np.all(gradient[void] == 0)
        assert np.all(np.abs(gradient[~void]).sum(-1) > 0)
        other = np.where(void[..., None], 100.0, LOGITS).astype(np.float32)
        assert float(loss(jnp.asarray(other))) == float(loss(jnp.asarray(LOGITS)))


def test_a_pixel_weighs_what_it_is_told_among_all_that_are_labelled() -> None:
    weights = RNG.rand(3, 5, 6).astype(np.float32)
    log_p = LOGITS - np.log(np.exp(LOGITS).sum(-1, keepdims=True))
    valid = LABELS >= 0
    chosen = np.take_along_axis(log_p, np.maximum(LABELS, 0)[..., None], -1)[..., 0]
    wanted = -(weights * chosen)[valid].sum() / valid.sum()
    found = weighted_pixels(jnp.asarray(LOGITS), jnp.asarray(LABELS), jnp.asarray(weights))
    assert float(found) == pytest.approx(float(wanted), rel=1e-5)


def test_pseudo_labels_weigh_an_image_by_its_sure_pixels() -> None:
    said, share = pseudo_labels(jnp.asarray(5 * LOGITS), 0.9)
    p = np.exp(5 * LOGITS) / np.exp(5 * LOGITS).sum(-1, keepdims=True)
    np.testing.assert_array_equal(said, LOGITS.argmax(-1))
    np.testing.assert_allclose(share, (p.max(-1) >= 0.9).mean((1, 2)), rtol=1e-6)


def test_class_mix_pastes_half_of_the_classes_whole() -> None:
    chosen = set()
    for seed in range(8):
        mask = np.asarray(class_mask(jax.random.key(seed), jnp.asarray(LABELS), 5))
        for own, labels in zip(mask, LABELS, strict=True):
            shown = set(labels.ravel()) - {-1}
            pasted = set(labels[own])
            assert len(pasted) == (len(shown) + 1) // 2
            np.testing.assert_array_equal(own, np.isin(labels, list(pasted)))
            chosen.add(frozenset(pasted))
    assert len(chosen) > 3


def test_cut_mix_cuts_one_box() -> None:
    masks = np.asarray(box_mask(jax.random.key(0), (16, 8, 12), 0.25))
    for mask in masks:
        rows, columns = mask.any(1), mask.any(0)
        assert (rows.sum(), columns.sum()) == (4, 6)
        np.testing.assert_array_equal(mask, rows[:, None] & columns)
    assert len({mask.tobytes() for mask in masks}) > 4


def test_logits_of_patches_are_those_of_their_pixels() -> None:
    rng = np.random.default_rng(3)
    logits, labels = rng.normal(size=(2, 4, 3)).astype(np.float32), rng.integers(-1, 3, (2, 4, 6))
    batch = {"image": jnp.zeros((2, 4, 8)), "label": jnp.asarray(labels)}
    found, metrics = segmentation_of_patches(lambda x, key: jnp.asarray(logits), batch, None)
    pixels = logits.reshape(2, 2, 2, 3).repeat(2, 1).repeat(3, 2)
    log_p = pixels - np.log(np.exp(pixels).sum(-1, keepdims=True))
    true = np.take_along_axis(log_p, np.maximum(labels, 0)[..., None], -1)[..., 0][labels >= 0]
    assert float(found) == pytest.approx(-true.mean(), rel=1e-5)
    assert float(metrics["loss"][1]) == (labels >= 0).sum()
