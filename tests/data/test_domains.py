"""Two streams side by side, and domains made by a program."""

from __future__ import annotations

import numpy as np
import pytest

from stagejax.data import Digits, Images
from stagejax.data.multimodal.composites import DIGITS, Composites, Objects, Pairs
from stagejax.data.pictures.domains import Blended, InColour, Moons
from stagejax.data.pictures.tasks import ImageTask, Part
from stagejax.data.streams import Streams

GREY = ImageTask((Part(Digits()),), 8)
PHOTOS = ImageTask((Part(Composites((Pairs(60, (Objects(Digits(), DIGITS),)),), size=18, side=8)),), 18)


def test_streams_hold_both_samples_in_their_own_orders_on_every_shard() -> None:
    first, second = Images(batch=8, seed=1), Images(batch=8, seed=2)
    both = Streams(data=first, beside=second)
    assert set(both.sample_spec()) == {"image", "label", "target_image"}  # no label of the second
    for shard in ((0, 1), (1, 2)):
        with both.batches({"step": 3}, shard) as batches:
            batch = next(batches)
        numbers = np.arange(24, 32)[shard[0] * 8 // shard[1] :][: 8 // shard[1]]
        np.testing.assert_array_equal(batch["image"], first.take(numbers)["image"])
        np.testing.assert_array_equal(batch["target_image"], second.take(numbers)["image"])
    with pytest.raises(ValueError, match="batches of 8 and 4"):
        Streams(data=first, beside=Images(batch=4))


def test_a_blend_is_the_difference_of_a_crop_and_the_binary_digit() -> None:
    blended = Blended(GREY, PHOTOS, size=8)
    for i in (0, 5):
        record, digit = blended[i], (GREY[i]["image"] > 0.5).astype(np.float32)
        assert record["label"] == GREY[i]["label"]
        photo = np.abs(record["image"] - digit)  # |x - d| for d in {0, 1} undoes itself
        crops = [
            np.abs(PHOTOS[k]["image"][y : y + 8, x : x + 8] - photo).max()
            for k in range(len(PHOTOS))
            for y in range(11)
            for x in range(11)
        ]
        assert min(crops) < 1e-6
    np.testing.assert_array_equal(blended[3]["image"], Blended(GREY, PHOTOS, size=8)[3]["image"])
    assert len(blended.of_split("test")) == len(Digits("test"))
    with pytest.raises(ValueError, match="smaller than digits"):
        Blended(PHOTOS, GREY, size=8)[0]


def test_grey_in_colour() -> None:
    image = InColour(GREY)[2]["image"]
    assert image.shape == (8, 8, 3)
    np.testing.assert_array_equal(image[..., :1], GREY[2]["image"])
    np.testing.assert_array_equal(image[..., 0], image[..., 2])


def test_turned_moons_are_moons() -> None:
    """Turned back, each class lies on its half circle."""
    turned = Moons(200, degrees=35.0, noise=0.0)
    x, y = np.stack([turned[i]["image"].ravel() for i in range(200)], axis=1) - np.array([[0.5], [0.25]])
    angle = np.deg2rad(-35)
    x, y = np.cos(angle) * x - np.sin(angle) * y + 0.5, np.sin(angle) * x + np.cos(angle) * y + 0.25
    first = np.arange(200) % 2 == 0
    np.testing.assert_allclose(np.hypot(x, y)[first], 1, atol=1e-5)
    np.testing.assert_allclose(np.hypot(x - 1, y - 0.5)[~first], 1, atol=1e-5)
    assert (y[first] >= -1e-6).all()
    assert (y[~first] <= 0.5 + 1e-6).all()
    assert not np.array_equal(turned[0]["image"], turned.of_split("test")[0]["image"])
