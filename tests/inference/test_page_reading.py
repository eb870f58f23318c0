"""Reading pages: where words are, what they are worth, which are wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data import Digits
from stagejax.data.handwriting.glyph_pages import Page, Script, random_words, written_by
from stagejax.data.handwriting.page_layouts import tidy
from stagejax.inference.pictures.page_reading import Detector, strip_of, strips_of, word_scores, wrong_words

SCRIPT, PAGE = Script(Digits(), 0, 400), Page()
WORDS = st.lists(st.text("0123456789", min_size=1, max_size=4), min_size=1, max_size=5)


def test_every_word_of_tidy_pages_is_found_once() -> None:
    rng, off = np.random.default_rng(0), []
    for _ in range(60):
        words = random_words(rng.integers(1, 4, rng.integers(1, 4)).tolist(), rng)
        boxes = tidy(PAGE, words, (9, 11), rng)
        off.append(len(Detector()(PAGE.write(words, boxes, written_by(SCRIPT, words, rng)))) - len(words))
    assert np.mean(np.equal(off, 0)) > 0.8


def test_specks_and_empty_pages_hold_no_word() -> None:
    page = np.zeros((10, 20))
    assert Detector()(page) == []
    page[3, 3] = 1
    assert Detector()(page) == []


def test_strips_are_as_high_as_asked_and_hold_the_word() -> None:
    page = np.zeros((28, 48))
    page[5:10, 10:20] = 1
    strip = strip_of(page, (5, 10, 10, 20), (12, 48))
    assert strip.shape == (12, 48)
    np.testing.assert_allclose(strip[:, 1:25], 1, rtol=1e-6)
    assert strip[:, 25:].sum() == 0
    made = strips_of(SCRIPT, PAGE, 6, 4, (8, 11), (12, 48), 0)
    assert made["image"].shape == (6, 12, 48, 1)
    assert ((made["labels"] >= 0).sum(1) >= 1).all()


@settings(max_examples=50, deadline=None)
@given(WORDS, WORDS)
def test_scores_are_shares_and_whole_for_the_same_words_in_any_order(read: list[str], wanted: list[str]) -> None:
    scores = word_scores(read, wanted)
    assert all(0 <= value <= 1 for value in scores.values())
    assert set(word_scores(wanted[::-1], wanted).values()) == {1.0}
    p, r = scores["precision"], scores["recall"]
    assert scores["f1"] == pytest.approx(2 * p * r / (p + r) if p + r else 0.0)
    assert scores["closeness"] >= scores["recall"] - 1e-9


def test_nothing_read_is_worth_nothing() -> None:
    assert set(word_scores([], ["1"]).values()) == {0.0}


def test_a_word_in_the_place_of_another_is_wrong() -> None:
    areas = [(0, 4, 0, 6), (6, 10, 0, 6)]
    top, low = (0, 4, 0, 6), (6, 10, 0, 6)
    assert wrong_words([("12", top), ("34", low)], ["12", "34"], areas) == []
    assert wrong_words([("34", top), ("12", low)], ["12", "34"], areas) == [0, 1]
    assert wrong_words([("12", top)], ["12", "34"], areas) == [1]
    assert wrong_words([], ["12"], areas[:1]) == [0]
    assert wrong_words([("7", top), ("12", top)], ["12"], areas[:1]) == []  # the nearest in the box counts
