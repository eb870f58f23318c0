"""Prompts of words and pictures: what texts say is what pictures show, and edits change what they name alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stagejax.data import Digits
from stagejax.data.multimodal.composites import COLORS, DIGITS, Objects
from stagejax.data.multimodal.picture_prompts import (
    COMBINE,
    COPY,
    DRAW,
    EDITS,
    MOVE,
    QUARTERS,
    RECOLOUR,
    REMOVE,
    REPLACE,
    REQUESTS,
    PicturePrompts,
    Thing,
)

SOURCE = PicturePrompts((Objects(Digits(), DIGITS[:4]),), 70, side=8)


def quarter(picture: np.ndarray, place: int) -> np.ndarray:
    half = len(picture) // 2
    return picture[half * (place // 2) :, half * (place % 2) :][:half, :half]


def test_the_classes_asked_for_are_those_that_the_caption_names() -> None:
    for record in (SOURCE[i] for i in range(len(SOURCE))):
        words = record["caption"].split()
        asked = np.zeros(4, int)
        for color, kind, place in zip(words[::3], words[1::3], words[2::3], strict=True):
            asked[QUARTERS.index(place)] = 1 + SOURCE.names.index(kind) * 4 + SOURCE.colors.index(color)
        np.testing.assert_array_equal(record["asked"], asked)
        SOURCE.words.encode([record["text"], record["caption"]])  # no unknown word


def test_a_thing_is_in_its_quarter_and_in_its_colour() -> None:
    picture = SOURCE.painted([Thing(kind=2, color=1, place=3, image=0)])
    assert not any(quarter(picture, place).any() for place in range(3))
    shown = quarter(picture, 3)
    at = np.unravel_index(shown.max(-1).argmax(), shown.shape[:2])
    np.testing.assert_allclose(shown[at] / shown[at].max(), np.array(COLORS["green"]) / 0.9, rtol=1e-5)


def test_requests_come_in_turn_with_as_many_pictures_as_places_for_them() -> None:
    for i in range(len(SOURCE)):
        record = SOURCE[i]
        assert REQUESTS[record["request"]] == REQUESTS[i % 7]
        assert record["text"].split().count("<image>") == record["pictures"]
        assert [bool(own.any()) for own in record["images"]] == [j < record["pictures"] for j in range(2)]


def test_copies_are_of_the_picture_and_combinations_of_what_was_cut_out() -> None:
    for i in range(1, 70, 7):
        np.testing.assert_array_equal(SOURCE[i]["images"][0], SOURCE[i]["target"])
    for i in range(2, 70, 7):
        record = SOURCE[i]
        words = record["text"].split()[3:]
        assert not set(words) & set(SOURCE.colors)
        for own, place in zip(record["images"], words[2::3], strict=True):
            np.testing.assert_array_equal(own[::2, ::2], quarter(record["target"], QUARTERS.index(place)))


def test_edits_change_the_quarters_that_they_are_about_and_no_other() -> None:
    for i in range(70):
        record = SOURCE[i]
        if REQUESTS[record["request"]] not in EDITS:
            assert record["about"].all()
            continue
        before = record["images"][0]
        changed = [not np.array_equal(quarter(before, p), quarter(record["target"], p)) for p in range(4)]
        assert changed == record["about"].tolist()
        assert sum(changed) == (2 if REQUESTS[record["request"]] == MOVE else 1)
        assert (record["asked"] > 0).sum() == (1 if REQUESTS[record["request"]] == REMOVE else 2)


def test_what_is_moved_or_recoloured_keeps_its_shape() -> None:
    moved = replace(SOURCE, requests=(MOVE, RECOLOUR))
    for i in range(10):
        record = moved[i]
        about = np.flatnonzero(record["about"])
        shapes = [sum(quarter(own, p).max(-1) for p in about) > 0 for own in (record["images"][0], record["target"])]
        np.testing.assert_array_equal(*shapes)


def test_records_depend_on_seed_and_split_and_are_the_same_again() -> None:
    again, other = replace(SOURCE), replace(SOURCE, seed=1)
    np.testing.assert_array_equal(SOURCE[3]["target"], again[3]["target"])
    assert any(SOURCE[i]["text"] != other[i]["text"] for i in range(7))
    train, test = (
        [np.float32(own[1]["target"]).tobytes() for own in [replace(SOURCE, split=s)]] for s in ("train", "test")
    )
    assert train != test
    assert SOURCE.digest() == other.digest()


def test_classes_are_numbered_by_kind_and_colour() -> None:
    assert SOURCE.classes == 17
    assert [SOURCE.class_of(Thing(kind, color, 0, 0)) for kind, color in ((0, 0), (0, 3), (3, 3))] == [1, 4, 16]


def test_what_does_not_fit_is_refused() -> None:
    for fields, match in (
        ({"requests": ("paint",)}, "paint"),
        ({"split": "dev"}, "dev"),
        ({"side": 9}, "side=9"),
        ({"objects": (Objects(Digits(), DIGITS[:2]),)}, "2 kinds"),
    ):
        with pytest.raises(ValueError, match=match):
            replace(SOURCE, **fields)
    with pytest.raises(IndexError):
        SOURCE[70]
    assert {DRAW, COPY, COMBINE, REPLACE} < set(REQUESTS)
