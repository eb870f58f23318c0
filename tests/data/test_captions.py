"""Captioned composites: what a caption says is what the image shows, and a record is a function of its index."""

from dataclasses import replace

import numpy as np
import pytest

from stagejax.data import Digits
from stagejax.data.multimodal.captions import Captions
from stagejax.data.multimodal.composites import COLORS, Composites, Objects, Pairs
from stagejax.data.vocabulary.words import Words

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGITS = Objects(Digits(), NAMES)
EARLY = Pairs(40, (DIGITS,), colors=("red", "green"))
LATE = Pairs(60, (DIGITS,), colors=("red", "green", "blue"), relations=("left of", "right of", "above", "below"))
SOURCE = Composites((EARLY, LATE), size=20, side=8)
ALONE = replace(SOURCE, alone=1.0, split="test")
DATA = Captions(source=SOURCE, tokenizer=Words(tuple(sorted(LATE.words))), batch=8, pixels=20, length=8, singles=ALONE)


def center(image: np.ndarray, color: str) -> np.ndarray:
    """Where the pixels of a colour are, weighted by how bright they are."""
    wanted = np.asarray(COLORS[color]) / np.linalg.norm(COLORS[color])
    pixels = image / np.maximum(np.linalg.norm(image, axis=-1, keepdims=True), 1)
    weight = (image.max(-1) > 60) * (pixels @ wanted > 0.98)
    return np.argwhere(weight).mean(0)


def test_the_image_shows_what_the_caption_says() -> None:
    signs = {"left of": (1, -1), "right of": (1, 1), "above": (0, -1), "below": (0, 1)}
    checked = set()
    for index in range(len(SOURCE)):
        image, text = SOURCE[index]["image"].astype(np.float32), SOURCE[index]["text"].split()
        if len(text) > 3 and text[1] != text[-2]:
            relation = " ".join(text[3:-3])
            axis, sign = signs[relation]
            away = center(image, text[1]) - center(image, text[-2])
            assert np.sign(away[axis]) == sign, SOURCE[index]["text"]
            assert abs(away[axis]) > abs(away[1 - axis]), SOURCE[index]["text"]
            checked.add(relation)
    assert checked == set(signs)


def test_parts_speak_of_different_things() -> None:
    early, late = (" ".join(SOURCE[i]["text"] for i in rows) for rows in (range(40), range(40, 100)))
    assert "blue" not in early
    assert "above" not in early
    assert "blue" in late
    assert "above" in late
    alone = [len(SOURCE[i]["text"].split()) == 3 for i in range(100)]
    assert 10 < sum(alone) < 40


def test_splits_share_no_image_and_single_objects_have_their_label() -> None:
    def pictures(split: str) -> set[bytes]:
        source = replace(SOURCE, split=split, alone=1.0, parts=(replace(EARLY, count=200, colors=("white",)),))
        crops = [source[i]["image"].max(-1) for i in range(200)]
        return {crop[crop.any(1)][:, crop.any(0)].tobytes() for crop in crops}

    train, valid, test = (pictures(split) for split in ("train", "valid", "test"))
    assert not train & test
    assert not valid & test
    for index in range(20):
        part = SOURCE.parts[index >= 40]
        first = SOURCE[index]["text"].split()[2]
        assert part.names[SOURCE[index]["label"]] == first


def test_records_and_batches_are_addressed() -> None:
    assert SOURCE[17]["text"] == replace(SOURCE, parts=(EARLY, replace(LATE, count=9)))[17]["text"]
    assert SOURCE[17]["text"] != replace(SOURCE, seed=1)[17]["text"]
    with pytest.raises(IndexError):
        SOURCE[100]
    with DATA.batches({"step": 3}) as batches:
        batch = next(batches)
    assert {name: (x.shape, x.dtype) for name, x in batch.items()} == {
        name: (x.shape, x.dtype) for name, x in DATA.spec().items()
    }
    np.testing.assert_array_equal(batch["tokens"], DATA.take(np.arange(24, 32))["tokens"])
    assert batch["image"].max() <= 1
    assert (batch["label"] < 10).all()
    texts = {DATA.tokenizer.decode(row) for row in batch["tokens"]}
    assert texts <= {SOURCE[i]["text"] for i in range(100)}
    np.testing.assert_array_equal(batch["label"], [ALONE[i]["label"] for i in range(24, 32)])
    assert DATA.tokens == 64
    assert len(DATA.digest()) == 64


def test_refusals() -> None:
    with pytest.raises(ValueError, match="relations \\['under'\\] are unknown"):
        Pairs(1, (DIGITS,), relations=("under",))
    with pytest.raises(ValueError, match="side=8 do not fit into size=12"):
        Composites((EARLY,), size=12, side=8)
    with pytest.raises(ValueError, match="raise `length` from 4"):
        replace(DATA, length=4).take(np.arange(20))
    with pytest.raises(ValueError, match="the word 'puce' is not among"):
        DATA.tokenizer.encode(["a puce seven"])
    with pytest.raises(ValueError, match="set `side` to a divisor of 8"):
        replace(SOURCE, side=3)[0]
