"""Stories: pictures show what their sentences say, and splits share no image."""

import itertools

import numpy as np
import pytest

from stagejax.data import Digits
from stagejax.data.multimodal.composites import COLORS, DIGITS, Objects
from stagejax.data.multimodal.stories import MOVES, Stories

DIGIT = (Objects(Digits(), DIGITS, limit=400),)


def stories(form: str, split: str = "train") -> list:
    source = Stories(DIGIT, 60, form, side=8, split=split)
    return [source[i] for i in range(len(source))]


def centre(image: np.ndarray) -> np.ndarray:
    ink = image.sum(-1).astype(float)
    return np.array([(ink.sum(1 - axis) * np.arange(16)).sum() / ink.sum() for axis in (0, 1)])


def color_of(image: np.ndarray) -> str:
    ink = image.reshape(-1, 3).sum(0) / image.sum()
    return min(("red", "green", "blue"), key=lambda c: np.abs(ink - np.array(COLORS[c]) / sum(COLORS[c])).sum())


def test_a_story_is_what_its_sentences_say() -> None:
    for record in stories("story"):
        assert {text.split()[2] for text in record["texts"][1:]} == {"turns", "moves"}
        for before, after, text in zip(record["images"][:-1], record["images"][1:], record["texts"][1:], strict=True):
            moved = centre(after) - centre(before)
            if "turns" in text:
                assert color_of(after) == text.split()[-1] != color_of(before)
                np.testing.assert_allclose(moved, 0, atol=0.1)
            else:
                assert color_of(after) == color_of(before)
                np.testing.assert_allclose(moved, 4 * np.array(MOVES[text.split()[-1]]), atol=1e-6)
        first = record["texts"][0].split()
        assert first[1] == color_of(record["images"][0])
        assert record["label"] == 3 * DIGITS.index(first[2]) + ("red", "green", "blue").index(first[1])


def test_a_video_goes_one_way() -> None:
    for record in stories("video"):
        way = 4 * np.array(MOVES[record["texts"][0].split()[-1]])
        for before, after in itertools.pairwise(record["images"]):
            np.testing.assert_allclose(centre(after) - centre(before), way, atol=1e-6)


def test_splits_share_no_image() -> None:
    def shapes(split: str) -> set[bytes]:
        images = [record["image"].max(-1) for record in stories("picture", split)]
        return {image[image.any(1)][:, image.any(0)].tobytes() for image in images}

    assert not shapes("train") & shapes("test")
    with pytest.raises(ValueError, match="do not fit into size=12"):
        Stories(DIGIT, 1, size=12, side=8)
