"""Photographs of any size: views by the sample's number, the middle where they are scored, one order for all."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from stagejax.data import Images, Row, Source, join
from stagejax.data.pictures.crop import Crop, Middle
from stagejax.data.pictures.photos import Photos


@dataclass(frozen=True)
class Album(Source):
    """Photograph k: 20 + k by 30 pixels, dark on the left, 10 k on the right; grey where k is odd."""

    split: str = "train"
    dtype: str = "uint8"

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict:
        image = np.zeros((20 + index, 30, 3), self.dtype)
        image[:, 15:] = 10 * index
        return {"image": image[..., :1] if index % 2 else image, "label": index}

    def digest(self) -> str:
        return "album"


DATA = Photos(source=Album(), batch=4, shape=(16, 16, 3), seed=3)


def test_a_sample_is_a_function_of_its_number_and_a_record_is_seen_anew_each_epoch():
    numbers = np.arange(16)
    whole, again = DATA.take(numbers), DATA.take(numbers[5:9])
    assert whole["image"].shape == (16, 16, 16, 3)
    assert whole["image"].dtype == np.float32
    for name, leaf in again.items():
        np.testing.assert_array_equal(leaf, whole[name][5:9])
    assert sorted(whole["label"][:8]) == list(range(8))
    first, second = (
        dict(zip(part["label"].tolist(), part["image"], strict=True))
        for part in (DATA.take(numbers[:8]), DATA.take(numbers[8:]))
    )
    assert sum(not np.array_equal(first[k], second[k]) for k in range(1, 8)) >= 6
    for label, image in zip(whole["label"], whole["image"], strict=True):
        assert image.max() <= 11 * label / 255  # bicubic means overshoot an edge by less than a tenth


def test_what_is_held_out_or_computed_for_every_record_is_the_middle():
    held_out = DATA.held_out(2)
    assert held_out.crop == Middle(0.875)
    with held_out.batches() as batches:
        scored = [next(batches) for _ in range(2)]
    by_record = DATA.take_records(np.arange(8))
    for batch in scored:
        for label, image in zip(batch["label"], batch["image"], strict=True):
            np.testing.assert_array_equal(image, by_record["image"][label])
    rows = np.arange(8, dtype=np.float32)
    joined = join(DATA, SimpleNamespace(fingerprint="made", value={"score": rows}), Row("score"))
    batch = joined.take(np.arange(8))
    np.testing.assert_array_equal(batch["score"], batch["label"])


def test_whole_middles_of_one_size_are_the_images_themselves():
    whole = Photos(source=Album(), batch=4, shape=(20, 20, 3), crop=Middle(1.0))
    image = Album()[0]["image"][:, 5:25]
    np.testing.assert_array_equal(whole.take_records(np.array([0]))["image"][0] * 255, image)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (Photos(source=Album(dtype="float32"), batch=4, shape=(8, 8, 3)), "take them as `Images`"),
        (Photos(source=Album(), batch=4, shape=(8, 8, 3), label="kind"), "fields"),
        (Images(source=Album(), batch=4, shape=(8, 8, 3)), "take them as `Photos`"),
    ],
)
def test_records_that_are_none_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        wrong.size()


def test_crop_is_part_of_the_declaration():
    other = Photos(source=Album(), batch=4, shape=(16, 16, 3), seed=3, crop=Crop(least=0.5))
    assert other != DATA
