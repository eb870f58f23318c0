"""Pages of words in boxes: real characters in their places, maps of glyphs that lack some, tidy layouts as tokens."""

from __future__ import annotations

import numpy as np
import pytest

from stagejax.data import Digits
from stagejax.data.handwriting.glyph_pages import Page, Script, places_of, random_words, written_by
from stagejax.data.handwriting.page_layouts import LayoutTokens, tidy
from stagejax.data.pictures.tasks import resized
from stagejax.search.layouts import disorder, outside, overlaps

SCRIPT, PAGE = Script(Digits(), 0, 200), Page()


def test_characters_are_real_ones_of_the_asked_digits() -> None:
    ink, labels = SCRIPT.cells()
    drawn = written_by(SCRIPT, ["70", "7"], np.random.default_rng(0))
    found = [labels[np.flatnonzero((ink == own).all((1, 2)))[0]] for own in drawn]
    assert found == [7, 0, 7]
    assert all((labels[rows] == k).all() for k, rows in enumerate(places_of(SCRIPT)))
    plain = SCRIPT.plain()
    assert [labels[np.flatnonzero((ink == own).all((1, 2)))[0]] for own in plain] == list(range(10))


def test_parts_of_a_source_share_no_record() -> None:
    ink, other = SCRIPT.cells()[0], Script(Digits(), 200, 400).cells()[0]
    assert len(ink) == len(other) == 200
    np.testing.assert_array_equal(other, Script(Digits(), 0, 400).cells()[0][200:])


def test_ink_lies_in_its_box_and_leaves_the_margin() -> None:
    box = np.array([[0.25, 0.25, 0.5, 0.5]])
    page = PAGE.write(["88"], box, [np.ones((20, 12), np.float32)] * 2)
    top, bottom, left, right = PAGE.ink_of(box[0])
    assert page[top:bottom, left:right].mean() > 0.8
    page[top:bottom, left:right] = 0
    assert page.sum() == 0
    assert (left, right) == (14, 34)  # 12 to 36 without 2.5 columns on each side, rounded to even


def test_where_words_overlap_so_does_their_ink() -> None:
    box, cells = np.array([0.2, 0.2, 0.4, 0.4]), written_by(SCRIPT, ["1", "0"], np.random.default_rng(0))
    both = PAGE.write(["1", "0"], np.stack([box, box]), cells)
    alone = [PAGE.write([word], box[None], [own]) for word, own in zip(["1", "0"], cells, strict=True)]
    np.testing.assert_array_equal(both, np.maximum(*alone))


def test_a_map_lacks_the_share_of_glyphs_that_is_asked_and_keeps_all_boxes() -> None:
    boxes, plain, rng = np.array([[0.1, 0.1, 0.3, 0.4]]), np.ones((10, 20, 12), np.float32), np.random.default_rng(0)
    maps = np.stack([PAGE.glyphs(["5"], boxes, plain, 0.25, 0.0, rng) for _ in range(400)])
    assert (maps[..., 0].max((1, 2)) == 0).mean() == pytest.approx(0.25, abs=0.06)
    np.testing.assert_array_equal(maps[..., 1], np.broadcast_to(PAGE.covered(boxes), maps.shape[:3]))
    assert PAGE.covered(boxes, 1).sum() > PAGE.covered(boxes).sum()


def test_scaling_keeps_the_mean() -> None:
    image = np.random.default_rng(0).random((6, 10))
    for shape in ((3, 5), (4, 7), (12, 20)):
        assert resized(image[..., None], shape).mean() == pytest.approx(image.mean(), rel=1e-5)


def test_tidy_layouts_are_in_order_apart_and_on_the_page() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        words = random_words(rng.integers(1, 4, rng.integers(1, 4)).tolist(), rng)
        boxes, there = tidy(PAGE, words, (8, 11), rng)[None], np.ones((1, len(words)), bool)
        assert overlaps(boxes, there).sum() < 1e-6
        assert outside(boxes).sum() < 1e-6
        assert disorder(boxes, there)[0] == 0
    with pytest.raises(ValueError, match="do not fit"):
        tidy(PAGE, ["123456"] * 5, (8, 11), rng)


def test_layouts_go_through_tokens_by_whole_pixels() -> None:
    tokens, rng = LayoutTokens(PAGE), np.random.default_rng(0)
    boxes = tidy(PAGE, ["12", "345"], (8, 11), rng)
    found = tokens.boxes(tokens.answer(boxes))
    assert np.abs((found - boxes) * [48, 28, 48, 28]).max() <= 0.5
    assert len(tokens.boxes(tokens.answer(boxes)[:6])) == 1  # an answer that ends within a box
    assert len(tokens.boxes(np.array([15, 15, 15, 20, 16, 16, 20, 20]))) == 0  # a box without width ends it
    rows = tokens.rows(8, 3, 3, (8, 11), 0)
    assert rows["tokens"].shape == rows["targets"].shape == rows["weights"].shape
    assert rows["tokens"].max() < tokens.vocab
    for tokens_T, targets_T, weights_T in zip(*rows.values(), strict=True):
        said = targets_T[weights_T > 0]
        assert said[-1] == 2
        assert (said[:-1] >= 15).all()
        assert len(said) % 4 == 1
        assert (tokens_T[np.flatnonzero(weights_T)[0]]) == 14
