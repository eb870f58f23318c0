"""Stickers: pairs differ by the operation that is said and by nothing else, and a third of concepts is only drawn."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from stagejax.data import Digits
from stagejax.data.multimodal.composites import COLORS, DIGITS, Objects
from stagejax.data.multimodal.stickers import (
    ADD,
    DRAW,
    FILL,
    MOVE,
    OPERATIONS,
    PLACES,
    REFERENCE,
    REMOVE,
    REPLACE,
    RESIZE,
    Stickers,
)
from stagejax.data.sources import EmptySource

SOURCE = Stickers((Objects(Digits(), DIGITS[:6]),), Digits(), None, 160, size=16, sides=(7, 5))
RECORDS = [SOURCE[i] for i in range(len(SOURCE))]


def of(operation: str) -> list[dict]:
    return [own for own in RECORDS if own["operation"] == OPERATIONS.index(operation)]


def quarter(picture: np.ndarray, place: int) -> np.ndarray:
    y, x = divmod(place, 2)
    return picture[8 * y : 8 * y + 8, 8 * x : 8 * x + 8]


def said_concepts(text: str) -> list[tuple[int, int]]:
    words = text.split()
    pairs = itertools.pairwise(words)
    return [(SOURCE.names.index(b), SOURCE.colors.index(a)) for a, b in pairs if a in SOURCE.colors]


def test_a_record_is_a_function_of_its_number() -> None:
    again = SOURCE[7]
    assert again["text"] == RECORDS[7]["text"]
    np.testing.assert_array_equal(again["target"], RECORDS[7]["target"])
    assert (replace(SOURCE, seed=1)[7]["target"] != again["target"]).any()
    assert [own["operation"] for own in RECORDS[:8]] == list(range(8))


def test_nothing_changes_outside_of_what_is_edited() -> None:
    for own in RECORDS:
        if own["operation"] not in (OPERATIONS.index(DRAW), OPERATIONS.index(REFERENCE)):
            np.testing.assert_array_equal(own["source"][~own["edited"]], own["target"][~own["edited"]])
            assert (own["source"] != own["target"]).any(), own["text"]
            assert 0 < own["edited"].sum() < own["edited"].size
        np.testing.assert_array_equal(own["under"][~own["edited"]], own["target"][~own["edited"]])


def test_quarters_are_empty_where_nothing_is_asked_for() -> None:
    """Grounds are of one colour here, so an empty quarter is."""
    for own in RECORDS:
        for place, asked in enumerate(own["asked"]):
            assert (np.ptp(quarter(own["target"], place), axis=(0, 1)).max() > 0) == (asked > 0), own["text"]


@pytest.mark.parametrize("operation", [ADD, REMOVE])
def test_addition_and_removal_are_each_others_reverse(operation: str) -> None:
    for own in of(operation):
        less, more = ("source", "target") if operation == ADD else ("target", "source")
        np.testing.assert_array_equal(own[less], own["under"])
        assert (own[more] != own["under"]).any()
        assert (own["asked"][own["focus"]] > 0).all() == (operation == ADD)


def test_a_moved_sticker_is_the_same_one_elsewhere() -> None:
    for own in of(MOVE):
        new = PLACES.index(own["text"].split()[-1])
        (old,) = set(np.flatnonzero(own["focus"])) - {new}
        np.testing.assert_array_equal(quarter(own["source"], old), quarter(own["target"], new))
        assert own["asked"][old] == 0 < own["asked"][new]


def test_a_resized_sticker_has_more_or_fewer_pixels() -> None:
    for own in of(RESIZE):
        before, after = ((own[name] != own["under"]).any(-1).sum() for name in ("source", "target"))
        assert (after > before) == (own["text"].split()[-1] == "large")


def test_a_hole_is_white_and_holds_what_is_said() -> None:
    for own in of(FILL):
        assert (own["source"][own["edited"]] == 1).all()
        (concept,) = said_concepts(own["text"])
        assert own["asked"][own["focus"]] == SOURCE.class_of(concept)


def test_a_letter_comes_from_its_picture() -> None:
    for own in of(REFERENCE):
        ink = own["source"].max(-1)
        place = next(PLACES.index(word) for word in own["text"].split() if word in PLACES)
        assert own["asked"][place] > SOURCE.class_of((len(SOURCE.names) - 1, len(SOURCE.colors) - 1))
        changed = np.abs(own["target"] - own["under"]).max(-1)
        assert set(np.argwhere(changed > 0).min(0) // 8) <= {0, 1}
        assert quarter(changed, place).sum() == pytest.approx(changed.sum())
        color = SOURCE.colors[(own["asked"][place] - 1) % len(SOURCE.colors)]
        bright = own["source"].reshape(-1, 3)[ink.argmax()]
        np.testing.assert_allclose(bright / bright.max(), np.array(COLORS[color]) / max(COLORS[color]), atol=1e-5)


def test_a_third_of_the_concepts_is_only_drawn() -> None:
    drawn, edited = set(SOURCE.concepts("drawn")), set(SOURCE.concepts("edited"))
    assert len(drawn) == 8
    assert len(edited) == 16
    assert not drawn & edited
    numbers = {SOURCE.class_of(own) for own in drawn}
    for own in RECORDS:
        if own["operation"] != OPERATIONS.index(DRAW):
            assert not numbers & set(own["asked"].tolist())
            assert not drawn & set(said_concepts(own["text"]))
    called = replace(SOURCE, operations=(ADD, REPLACE, FILL), calls="drawn", count=30)
    for own in (called[i] for i in range(30)):
        assert said_concepts(own["text"])[-1] in drawn
        assert set(own["asked"][own["focus"]]) <= numbers
        assert not numbers & set(own["asked"][~own["focus"]].tolist())
    every = replace(SOURCE, operations=(DRAW,), calls="all", count=150)
    assert {said_concepts(every[i]["text"])[0] for i in range(150)} == drawn | edited


def test_every_sentence_has_tokens() -> None:
    code = SOURCE.words
    assert len(set(code.words)) == len(code.words)
    assert code.words[0] == "<image>"
    for own in RECORDS:
        assert code.decode(code.encode([own["text"]])[0]) == own["text"]
        assert len(own["text"].split()) <= 9


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="'paint'"):
        replace(SOURCE, operations=("paint",))
    with pytest.raises(ValueError, match="split='later'"):
        replace(SOURCE, split="later")
    with pytest.raises(ValueError, match="do not fit into a quarter of 8"):
        replace(SOURCE, sides=(9, 5))
    with pytest.raises(IndexError, match="record 160 of 160"):
        SOURCE[160]
    few = Stickers((Objects(Digits(), DIGITS[:6], limit=4),), Digits(), None, 1, size=16, sides=(7, 5))
    with pytest.raises(EmptySource, match="raise `limit`"):
        few[0]
