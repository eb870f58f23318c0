"""Coarser labels, records that are numbered, images that are moved and mirrored."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data import Digits, Images
from stagejax.data.numbered import Numbered
from stagejax.data.pictures.augment import Augmented
from stagejax.data.pictures.shift import ShiftAndFlip
from stagejax.data.selection.relabelled import Relabelled


def test_every_split_is_relabelled() -> None:
    coarse = Relabelled(Digits(), (0, 0, 0, 1, 1, 1, 2, 2, 2, 2))
    for split in ("train", "test"):
        own, fine = coarse.of_split(split), Digits(split)
        assert len(own) == len(fine)
        assert [own[i]["label"] for i in range(50)] == [coarse.to[int(fine[i]["label"])] for i in range(50)]
        assert np.array_equal(own[7]["image"], fine[7]["image"])
    assert coarse.digest() != Digits().digest() != Relabelled(Digits(), (1, 0) * 5).digest()


def test_a_label_without_a_new_one_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"has the label .*, but `to` has 1 labels"):
        [Relabelled(Digits(), (0,))[i] for i in range(20)]
    with pytest.raises(ValueError, match=r"to=\(\) has no label"):
        Relabelled(Digits(), ())


def test_numbers_follow_their_records_and_held_out_data_has_none() -> None:
    data = Numbered(data=Augmented(data=Images(batch=8, seed=3), augment=ShiftAndFlip(0, flip=False)))
    batch = data.take(np.arange(2000))
    pixels = np.stack([Digits()[int(i)]["image"] for i in batch["record"][:20]]).reshape(20, 8, 8, 1)
    assert np.allclose(batch["image"][:20], pixels, atol=1 / 255)
    assert sorted(batch["record"][: len(Digits())].tolist()) == list(range(len(Digits())))
    assert batch["record"].dtype == np.int32
    assert "record" not in data.held_out(2).spec()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.booleans(), st.integers(0, 3))
def test_shifts_are_those_of_a_padded_image(a: int, b: int, even: bool, pixels: int) -> None:
    image = np.arange(1, 41, dtype=np.uint8).reshape(4, 5, 2)
    words = np.array([a, b, 2 if even else 3], np.uint64)
    shown = ShiftAndFlip(pixels)(image, words)
    down, right = pixels - a % (2 * pixels + 1), pixels - b % (2 * pixels + 1)
    expected = np.zeros_like(image)
    for y in range(4):
        for x in range(5):
            if 0 <= y - down < 4 and 0 <= x - right < 5:
                expected[y, x] = image[y - down, x - right]
    assert np.array_equal(shown, expected[:, ::-1] if even else expected)
    assert np.array_equal(ShiftAndFlip(pixels, flip=False)(image, words), expected)


def test_a_negative_shift_is_an_error() -> None:
    with pytest.raises(ValueError, match="pixels=-1: give 0 or more"):
        ShiftAndFlip(-1)
