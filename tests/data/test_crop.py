"""Views of photographs: inside them, as large and as wide as declared, uniform, and a function of the sample alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data import random_words
from stagejax.data.pictures.crop import Crop, Middle, seen

SIZES = st.integers(8, 200)


@given(st.integers(0, 2**32), SIZES, SIZES, st.floats(0.05, 1.0), st.floats(1.0, 3.0))
@settings(max_examples=60, deadline=None)
def test_a_crop_lies_inside_and_is_as_large_and_wide_as_declared(seed, height, width, least, ratio):
    words = random_words(seed, np.arange(5), Crop.words)
    for own in words:
        left, top, right, bottom, _ = Crop(least, ratio).view(own, height, width)
        assert 0 <= left < right <= width + 1e-9
        assert 0 <= top < bottom <= height + 1e-9
        w, h = right - left, bottom - top
        if not np.isclose(w, h) or not np.isclose(w, min(height, width)):  # the middle, where none of ten fits
            assert least - 1e-9 <= w * h / (height * width) <= 1 + 1e-9
            assert 1 / ratio - 1e-9 <= w / h <= ratio + 1e-9


def test_areas_ratios_places_and_mirrors_are_uniform():
    views = np.array([Crop(0.2, 1.0).view(w, 100, 100) for w in random_words(0, np.arange(4000), Crop.words)])
    left, top, right, _, mirrored = views.T
    area = ((right - left) / 100) ** 2
    for drawn, low, high in (
        (area, 0.2, 1.0),
        (left / (100 - (right - left)), 0, 1),
        (top / (100 - (right - left)), 0, 1),
    ):
        assert (
            np.abs(np.quantile(drawn, [0.25, 0.5, 0.75]) - (low + (high - low) * np.array([0.25, 0.5, 0.75]))).max()
            < 0.03
        )
    assert abs(mirrored.mean() - 0.5) < 0.03
    views = np.array([Crop(0.1, 2.0).view(w, 400, 400) for w in random_words(1, np.arange(4000), Crop.words)])
    width, height = views[:, 2] - views[:, 0], views[:, 3] - views[:, 1]
    wide = np.log(width / height)[width * height < 0.5 * 400**2]  # any ratio fits
    assert np.quantile(wide, [0.25, 0.5, 0.75]) == pytest.approx(np.log(2) * np.array([-0.5, 0, 0.5]), abs=0.04)


def test_what_is_seen_is_the_part_of_the_photograph():
    photograph = np.zeros((40, 60, 3), np.uint8)
    photograph[10:20, 30:50] = (200, 100, 50)
    shown = seen(photograph, (30.0, 10.0, 50.0, 20.0, False), (5, 5, 3))
    assert shown.shape == (5, 5, 3)
    assert np.abs(shown.astype(int) - (200, 100, 50)).max() <= 1
    half = np.concatenate([np.zeros((8, 4), np.uint8), np.full((8, 4), 255, np.uint8)], axis=1)
    whole = Middle(1.0).view(np.zeros(0, np.uint64), 8, 8)
    assert seen(half, whole, (8, 8, 1))[..., 0].tolist() == half.tolist()
    assert seen(half, (*whole[:4], True), (8, 8, 1))[..., 0].tolist() == half[:, ::-1].tolist()
    assert seen(half, whole, (8, 8, 3)).shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Crop(least=0.0), "least=0.0 is no share"),
        (lambda: Crop(ratio=0.5), "ratio=0.5"),
        (
            lambda: seen(np.zeros((9, 9, 3), np.uint8), (0.0, 0.0, 9.0, 9.0, False), (4, 4, 1)),
            r"set `shape` to \(4, 4, 3\)",
        ),
    ],
)
def test_what_cannot_be_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        wrong()
