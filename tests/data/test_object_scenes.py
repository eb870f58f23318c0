"""Scenes show what their label says; splits share no object; ways to acquire do what their names say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from stagejax.data import Digits
from stagejax.data.multimodal.object_scenes import (
    COUNT,
    KIND,
    LARGER,
    PLACE,
    Area,
    Subset,
    _objects,
    digit_areas,
    resized_all,
)
from stagejax.data.multimodal.triplets import NOTHING, Grid, Triplet, covered, drawn, shared
from stagejax.data.pictures.acquisition import ACQUISITIONS, edges, noisy, spokes
from stagejax.data.sources import EmptySource

AREA = digit_areas()[0]


def scenes(task: str, count: int = 40) -> np.ndarray:
    return Subset(Triplet("plain", "area-0", task), AREA, count).images(np.arange(count))[..., 0]


def quarters(image: np.ndarray) -> list[float]:
    return [float(image[y : y + 16, x : x + 16].sum()) for y in (0, 16) for x in (0, 16)]


def test_as_many_quarters_are_lit_as_there_are_objects_and_the_named_one_alone() -> None:
    for i, image in enumerate(scenes(COUNT)):
        assert sum(own > 0 for own in quarters(image)) == i % 4 + 1
    for i, image in enumerate(scenes(PLACE)):
        assert [own > 0 for own in quarters(image)] == [place == i % 4 for place in range(4)]


def test_the_kind_is_that_of_the_object_in_the_source() -> None:
    records, size = [AREA.source[row] for row in range(len(AREA.source))], 19
    seen: list[np.ndarray] = []  # of each kind, the brightness of all pixels of a picture in order
    for _, labels in AREA.kinds:
        pictures = np.stack([np.asarray(own["image"])[..., 0] for own in records if own["label"] in labels])
        seen.append(np.sort(resized_all(pictures, size).reshape(len(pictures), -1)))
    for i, image in enumerate(scenes(KIND)):
        shown = np.sort(image.ravel())[-(size**2) :]
        assert [np.abs(own - shown).max(1).min() < 1e-6 for own in seen] == [kind == i % 4 for kind in range(4)]


def test_the_larger_one_is_on_the_named_side() -> None:
    for i, image in enumerate(scenes(LARGER)):
        left, right, top, bottom = image[:, :16], image[:, 16:], image[:16], image[16:]
        side, other = ((left, right), (right, left), (top, bottom), (bottom, top))[i % 4]
        rows, other_rows = ((own > 0).any(1).sum() for own in (side, other))
        assert rows > other_rows > 0


def test_a_scene_is_a_function_of_its_number_and_large_ones_are_not_kept() -> None:
    small, large = (Subset(Triplet("noisy", "area-0", COUNT), AREA, 12, side=side) for side in (32, 96))
    for subset in (small, large):
        whole = subset.images(np.arange(12))
        np.testing.assert_array_equal(whole[[7]], subset.images(np.array([7])))
        assert whole.shape == (12, *subset.shape)
        assert 0 <= whole.min() < whole.max() <= 1
    again = Subset(Triplet("noisy", "area-0", COUNT), AREA, 24)
    np.testing.assert_array_equal(again.images(np.arange(12)), small.images(np.arange(12)))


def test_splits_share_no_object() -> None:
    seen: set[bytes] = set()
    for split in ("train", "valid", "test"):
        own = {picture.tobytes() for kind in _objects(AREA, split) for picture in kind.pictures}
        assert own
        assert not own & seen
        seen |= own


def test_unknown_elements_and_missing_kinds_are_refused() -> None:
    for triplet in (("xray", "area-0", COUNT), ("plain", "area-1", COUNT), ("plain", "area-0", "name")):
        with pytest.raises(ValueError, match="is none of"):
            Subset(Triplet(*triplet), AREA, 4)
    few = Area("few", Digits(), (("nine", (9,)), ("ten", (10,))))
    with pytest.raises(EmptySource, match="'ten'"):
        Subset(Triplet("plain", "few", COUNT), few, 4).images(np.arange(4))


def test_acquisitions_agree_with_scipy_and_keep_the_range() -> None:
    rng = np.random.default_rng(0)
    images = rng.random((3, 16, 16), np.float32)
    rngs = [np.random.default_rng(i) for i in range(3)]
    for acquire in ACQUISITIONS.values():
        made = acquire(images, rngs)
        assert made.shape == images.shape
        assert made.dtype == np.float32
        assert 0 <= made.min() <= made.max() <= 1
    kernel = np.array([-0.5, 0, 0.5])
    gradient = np.hypot(*(ndimage.correlate1d(images[0], kernel, axis=axis) for axis in (0, 1)))
    np.testing.assert_allclose(edges(images, [])[0, 1:-1, 1:-1], np.minimum(2 * gradient, 1)[1:-1, 1:-1], atol=1e-6)
    smooth = ndimage.gaussian_filter(images[0], 1 / (2 * np.pi * 0.15), mode="wrap", truncate=8)
    np.testing.assert_allclose(noisy(images, rngs, noise=0.0)[0], np.clip(smooth, 0, 1), atol=2e-3)
    wave = (0.5 + 0.4 * np.cos(2 * np.pi * np.arange(16) / 4))[None, :, None] * np.ones((1, 16, 16))
    np.testing.assert_allclose(spokes(wave.astype(np.float32), []), wave, atol=1e-6)  # on a line
    slanted = 0.5 + 0.4 * np.cos(2 * np.pi * (np.arange(16)[:, None] * 7 + np.arange(16) * 3) / 16)
    np.testing.assert_allclose(spokes(slanted[None].astype(np.float32), [], lines=2), 0.5, atol=1e-6)  # on none


def test_drawn_sets_share_just_what_is_wanted_and_lists_that_begin_alike_are_alike() -> None:
    grid = Grid(("a", "b", "c"), ("d", "e", "f"), ("g", "h", "i"))
    target = Triplet("a", "d", "g")
    wanted = [(True, False, True), NOTHING, (False, True, False)]
    made = drawn(grid.triplets(), target, wanted, 3)
    assert [shared(own, target) for own in made] == wanted
    assert drawn(grid.triplets(), target, wanted[:2], 3) == made[:2]
    assert covered(made, target) == (True, True, True)
    with pytest.raises(ValueError, match="no other triplet"):
        drawn(grid.triplets(), target, [(True, True, True)] * 2, 0)
