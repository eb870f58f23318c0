"""RandAugment: stronger at a larger magnitude, by the sample's number, on the same records at any strength."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stagejax.data import Images
from stagejax.data.order import random_words
from stagejax.data.pictures.augment import OPERATIONS, Augmented, RandAugment

DATA = Augmented(data=Images(batch=8, seed=3), augment=RandAugment(9.0), seed=3)
COLOURS = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)


def shown(image: np.ndarray, operation: int, strength: float, sign: float = 1.0) -> np.ndarray:
    from PIL import Image

    return np.asarray(OPERATIONS[operation](Image.fromarray(image), strength, sign, False)).astype(int)


def test_a_sample_is_a_function_of_its_number() -> None:
    numbers = np.arange(40)
    whole = DATA.take(numbers)
    for name, leaf in DATA.take(numbers[17:23]).items():
        np.testing.assert_array_equal(leaf, whole[name][17:23])
    assert whole["image"].dtype == np.float32
    assert 0 <= whole["image"].min() < whole["image"].max() <= 1


def test_the_strength_changes_and_the_records_stay() -> None:
    numbers = np.arange(64)
    plain = DATA.data.take(numbers)
    away = []
    for magnitude in (1.0, 5.0, 9.0):
        weak = replace(DATA, augment=RandAugment(magnitude)).take(numbers)
        np.testing.assert_array_equal(weak["label"], plain["label"])
        away.append(float(np.abs(weak["image"] - plain["image"]).mean()))
    assert 0 < away[0] < away[1] < away[2]
    never = replace(DATA, augment=RandAugment(9.0, probability=0.0)).take(numbers)
    np.testing.assert_allclose(never["image"], np.rint(plain["image"] * 255) / 255, atol=1e-6)


def test_what_is_held_out_is_not_distorted() -> None:
    held_out = DATA.held_out(2)
    assert held_out == DATA.data.held_out(2)
    assert DATA.digest() == DATA.data.digest()


def test_all_operations_keep_size_and_type_in_colour_and_grey() -> None:
    words = random_words(0, np.arange(300), RandAugment().words)
    for image in (COLOURS, COLOURS[..., :1]):
        for own in words:
            made = RandAugment(9.0)(image, own)
            assert made.shape == image.shape
            assert made.dtype == np.uint8


def test_operations_are_what_they_are_called() -> None:
    flat = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(shown(flat, 2, 0.0), 255 - flat.astype(int))  # inverted
    np.testing.assert_array_equal(shown(flat, 8, 0.5) % 64, 0)  # two bits kept
    np.testing.assert_array_equal(shown(flat, 9, 0.5), np.where(flat < 128, flat, 255 - flat.astype(int)))
    np.testing.assert_array_equal(shown(flat, 10, 1.0), np.where(flat < 128, np.minimum(255, flat + 110.0), flat))
    shifted = shown(flat, 6, 0.5, -1.0)  # 0.225 of 16 pixels to the right: from 3.6 pixels left
    assert (shifted[:, :3] == 128).all()
    assert shifted[0, 10] == pytest.approx(10 - 3.6, abs=1)
    brighter = shown(flat, 13, 0.5)
    np.testing.assert_allclose(brighter, np.minimum(255, np.floor(flat * 1.45)), atol=1)
    for moved in (3, 4, 5, 6, 7):
        assert (shown(COLOURS, moved, 0.0) == COLOURS).all()


def test_a_magnitude_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="from 0 to 10"):
        RandAugment(11.0)
