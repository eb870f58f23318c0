"""What features of patches are worth: probes by pixels, places, agreement; means over views."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.data.pictures.views import centres, random_views
from stagejax.inference.pictures.dense import (
    agreement,
    class_counts,
    dense_probe,
    mean_iou,
    pixels_of,
    position_r2,
    probe_iou,
)
from stagejax.inference.pictures.separating import mean_over_views
from stagejax.objectives.probing import linear_probe

RNG = np.random.default_rng(0)


def test_counts_are_of_each_patch_and_leave_void_out() -> None:
    labels = RNG.integers(-1, 3, (2, 6, 6))
    counts = class_counts(labels, 3, 3)
    assert counts.shape == (2, 9, 3)
    assert counts[1, 5].tolist() == [int((labels[1, 2:4, 4:6] == c).sum()) for c in range(3)]
    assert counts.sum() == (labels >= 0).sum()


def test_the_probe_is_the_classifier_of_all_pixels() -> None:
    """Patches with counts are what as many examples, one a pixel, would be."""
    x, counts = RNG.normal(size=(20, 4)).astype(np.float32), RNG.integers(0, 3, (20, 3)).astype(np.float32)
    kernel, bias = dense_probe(x, counts, 0.1)
    rows, labels = zip(*[(i, c) for i in range(20) for c in range(3) for _ in range(int(counts[i, c]))], strict=True)
    other = linear_probe(x[list(rows)], np.array(labels), 0.1, classes=3)
    np.testing.assert_allclose(kernel, other[0], atol=5e-3)
    np.testing.assert_allclose(bias - bias.mean(), other[1] - other[1].mean(), atol=5e-3)


def test_logits_are_interpolated_to_pixels() -> None:
    logits = RNG.normal(size=(1, 4, 3)).astype(np.float32)
    larger = jax.image.resize(jnp.asarray(logits).reshape(1, 2, 2, 3), (1, 8, 8, 3), "linear")
    np.testing.assert_array_equal(pixels_of(logits, 8, 8), larger.argmax(-1))


def test_iou_counts_classes_that_are_there_or_said() -> None:
    labels, said = np.array([[[0, 0, 1, 1, -1]]]), np.array([[[0, 1, 1, 1, 2]]])
    assert np.isclose(mean_iou(labels, said, 4), (1 / 2 + 2 / 3) / 2)


def test_a_probe_finds_what_is_there_and_nothing_in_noise() -> None:
    labels = np.repeat(np.repeat(RNG.integers(0, 2, (12, 4, 4)), 2, 1), 2, 2)
    counts = class_counts(labels, 4, 2)
    told = counts + 0.1 * RNG.normal(size=counts.shape).astype(np.float32)
    noise = RNG.normal(size=counts.shape).astype(np.float32)
    found = [probe_iou(x[:8], counts[:8], x[8:], labels[8:], 1e-3) for x in (told, noise)]
    assert found[0] > 0.7 > found[1]


def test_places_are_read_from_features_that_hold_them_only() -> None:
    line = np.linspace(-1, 1, 5)
    row = np.repeat(np.repeat(line, 5)[None, :, None], 6, 0)
    maps = np.concatenate([row + 0.01 * RNG.normal(size=row.shape), RNG.normal(size=(6, 25, 3))], -1)
    down, across = position_r2(maps[:3], maps[3:])
    assert down > 0.99
    assert across < 0.1


@pytest.mark.slow
def test_features_of_points_agree_and_those_of_places_do_not() -> None:
    views = jax.vmap(lambda key: centres(random_views(key, 4), 8))(jax.random.split(jax.random.key(0), 3))
    whole = centres(random_views(jax.random.key(1), 3, area=(1.0, 1.0), ratio=(1.0, 1.0), mirror=0.0), 8)
    wave = lambda a: np.asarray(jnp.concatenate([jnp.sin(4 * a), jnp.cos(4 * a)], -1))  # noqa: E731
    assert agreement(wave(whole), wave(views), np.asarray(views), np.zeros(4)) > 0.98
    place = np.broadcast_to(RNG.normal(size=(64, 4)), (3, 64, 4))
    assert agreement(place, np.repeat(place[:, None], 4, 1), np.asarray(views), np.zeros(4)) < 0.5


def test_means_over_views_are_of_each_cell() -> None:
    points, values = RNG.uniform(size=(200, 2)), RNG.normal(size=(200, 3))
    found = np.asarray(mean_over_views(jnp.asarray(values), jnp.asarray(points), 2))
    upper_right = (points[:, 0] < 0.5) & (points[:, 1] >= 0.5)
    np.testing.assert_allclose(found[1], values[upper_right].mean(0), atol=1e-5)
