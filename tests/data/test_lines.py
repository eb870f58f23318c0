"""Composed lines: boxes hold the ink of their symbols, lines are addressed, queries and labels are what they say."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from stagejax.data import Digits
from stagejax.data.handwriting import spotting
from stagejax.data.handwriting.lines import Hand, Lines, Turned, glyph, query
from stagejax.data.handwriting.spotting import Spotting, labelled
from stagejax.objectives.pictures import matching_detection as losses

PLAIN = Hand(gap=(1, 4), lines=(0, 0), blur=(0.0, 0.0), noise=0.0)
LINES = Lines(Digits(), 6, shape=(16, 80), side=12, symbols_of_a_line=(3, 6), hand=PLAIN)
DATA = Spotting(lines=LINES, shots=Digits(), batch=4, shape=(16, 80), side=12, queries=3, most=8)


def test_boxes_hold_all_ink_of_their_symbols_and_nothing_is_beside_them() -> None:
    for i in range(len(LINES)):
        record = LINES[i]
        ink, covered = record["image"][..., 0], np.zeros(80, bool)
        for (top, left, bottom, right), label in zip(record["boxes"], record["labels"], strict=True):
            if label >= 0:
                own = slice(round(left * 80), round(right * 80))
                assert (top, bottom) == (0, 1)
                assert (ink[:, own][:, [0, -1]].max(0) > 0.3).all()  # tight
                covered[own] = True
        assert ink[:, ~covered].max(initial=0) == 0
        assert (np.diff(record["boxes"][record["labels"] >= 0][:, 1]) > 0).all()


def test_a_line_is_a_function_of_its_number_and_of_all_that_is_declared() -> None:
    again = Lines(Digits(), 9, shape=(16, 80), side=12, symbols_of_a_line=(3, 6), hand=PLAIN)
    np.testing.assert_array_equal(again[4]["image"], LINES[4]["image"])
    assert not np.array_equal(LINES[4]["image"], LINES[5]["image"])
    assert not np.array_equal(LINES.of_split("test")[4]["image"], LINES[4]["image"])
    assert LINES.digest() != again.digest()
    with pytest.raises(IndexError):
        LINES[6]


def test_strips_come_from_the_neighbours_and_stay_at_the_borders() -> None:
    class Bright(Lines):
        def __getitem__(self, index: int) -> dict:
            return {"image": np.ones((16, 80, 1), np.float32)}

    bright = Bright(Digits(), 1, shape=(16, 80), side=12)
    hand = Hand(gap=(1, 4), lines=(2, 2), blur=(0.0, 0.0), noise=0.0)
    own = Lines(Digits(), 6, shape=(16, 80), side=12, symbols_of_a_line=(3, 6), hand=hand, neighbours=bright)
    image = own[0]["image"][..., 0]
    assert image[:2].min() == image[-2:].min() == 1
    assert image[2:-2].min() == 0


def test_a_symbol_higher_than_its_line_is_refused() -> None:
    with pytest.raises(ValueError, match="side=16"):
        Lines(Digits(), 1, shape=(16, 80), side=16)


def test_turned_symbols_are_symbols_of_their_own() -> None:
    turned, source = Turned(Digits(), "label"), Digits()
    np.testing.assert_array_equal(turned[4 * 7 + 2]["image"], np.asarray(source[7]["image"])[::-1, ::-1])
    assert turned[4 * 7 + 2]["label"] == 4 * source[7]["label"] + 2
    assert turned.column("label")[:8].tolist() == [turned[i]["label"] for i in range(8)]


def test_a_query_is_its_symbol_in_the_box_and_paper_beside_it() -> None:
    ink, _ = glyph(Digits(), 3)
    image, (top, left, bottom, right) = query(ink, 12, 16)
    inside = slice(round(left * 16), round(right * 16))
    assert (top, bottom) == (0, 1)
    assert image[:, inside].sum() == image.sum() > 0
    assert (image[:, inside].max(0) > 0).all()


def test_dark_symbols_on_bright_paper_are_ink_as_well() -> None:
    class Negative(Turned):
        def __getitem__(self, index: int) -> dict:
            record = super().__getitem__(index)
            return record | {"image": 1 - np.asarray(record["image"])}

    for row in (0, 9):
        np.testing.assert_allclose(
            glyph(Negative(Digits(), "label"), row)[0], glyph(Turned(Digits(), "label"), row)[0], atol=1e-6
        )


def test_kinds_say_which_boxes_hold_the_symbol_of_the_query() -> None:
    numbers = np.arange(6)
    batch = DATA.take(numbers)
    for row, line in enumerate(DATA.records(numbers)):
        record = LINES[int(line)]
        labels = record["labels"]
        np.testing.assert_array_equal(batch["boxes"][row, 0, :6], record["boxes"])
        asked = [labels[batch["kinds"][row, s, :6] == 1] for s in range(3)]
        for s, own in enumerate(asked):
            assert len(set(own.tolist())) == 1
            expected = np.where(labels < 0, -1, labels == own[0])
            np.testing.assert_array_equal(batch["kinds"][row, s], np.pad(expected, (0, 2), constant_values=-1))
        distinct = len(set(labels[labels >= 0].tolist()))
        assert len({int(own[0]) for own in asked}) == min(3, distinct)


def test_samples_do_not_depend_on_how_they_are_taken() -> None:
    whole = DATA.take(np.arange(12))
    for name, leaf in DATA.take(np.array([7, 2])).items():
        np.testing.assert_array_equal(leaf, whole[name][[7, 2]])
    assert {name: (leaf.shape, leaf.dtype) for name, leaf in DATA.sample_spec().items()} == {
        name: (leaf.shape[1:], leaf.dtype) for name, leaf in whole.items()
    }


def test_pseudo_labels_are_all_that_a_sample_knows_of_its_line() -> None:
    labels = {
        "positive": np.array([[2.0, 5, 0.1, 0.2], [2, 5, 0.6, 0.7], [4, 7, 0.3, 0.4]]),
        "negative": np.array([[2.0, 5, 0.4, 0.5]]),
    }
    data = labelled(DATA, SimpleNamespace(fingerprint="f", value=labels))
    numbers = np.arange(8)
    assert data.known.tolist() == [[2, 5], [4, 7]]
    assert set(data.records(numbers).tolist()) == {2, 4}
    batch = data.take(numbers)
    for row, line in enumerate(data.records(numbers)):
        expected = [1, 1, 0] if line == 2 else [1]
        assert (batch["kinds"][row, :, : len(expected)] == expected).all()
        assert (batch["kinds"][row, :, len(expected) :] == -1).all()
        left = batch["boxes"][row, 0, : len(expected), 1]
        np.testing.assert_allclose(left, [0.1, 0.6, 0.4] if line == 2 else [0.3])
    assert data.digest() != DATA.digest()


def test_pairs_of_line_and_symbol_are_drawn_alike() -> None:
    rows = [[0.0, symbol, symbol / 10, symbol / 10 + 0.05] for symbol in range(5)] + [[1.0, 7, 0.3, 0.4]]
    labels = {"positive": np.array(rows), "negative": np.zeros((0, 4))}
    data = labelled(replace(DATA, queries=1), SimpleNamespace(fingerprint="g", value=labels))
    batch, lines = data.take(np.arange(6)), data.records(np.arange(6))
    assert sorted(lines.tolist()) == [0, 0, 0, 0, 0, 1]
    lefts = [batch["boxes"][row, 0, 0, 1] for row in range(6)]
    np.testing.assert_allclose(sorted(lefts), [0.0, 0.1, 0.2, 0.3, 0.3, 0.4], atol=1e-6)


def test_kinds_have_one_meaning() -> None:
    assert (spotting.SAME, spotting.OTHER, spotting.NO_BOX) == (losses.SAME, losses.OTHER, losses.NO_BOX)


def test_labels_of_a_plan_are_not_there() -> None:
    with pytest.raises(ValueError, match="holds nothing"):
        labelled(DATA, SimpleNamespace(fingerprint="f", value=None)).take(np.arange(2))
