"""Painting again and the best of several, with stand-ins for the networks: what is masked, kept and counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flax import nnx

from stagejax.data.handwriting.glyph_pages import Page
from stagejax.inference.frozen import Frozen
from stagejax.inference.pictures.page_drawing import (
    Draughtsman,
    Drawn,
    best_of,
    prompt_tokens,
    repainted,
    sampled,
    wrong_areas,
)
from stagejax.inference.pictures.page_planning import Layouts, layouts_of, pairwise_iou, ratios_of, with_all_words
from stagejax.inference.pictures.page_reading import Reader
from stagejax.models.generative.dit import DiT
from stagejax.models.generative.glyph_dit import GlyphDiT

PAGE = Page((8, 16), (0.0, 0.0))
LEFT, RIGHT = [0.0, 0.0, 0.25, 0.5], [0.5, 0.5, 0.25, 0.5]
WORDS = [["1", "2"], ["3"]]
LAYOUTS = layouts_of(WORDS, [np.array([LEFT, RIGHT]), np.array([LEFT])], 3)


class Scripted(Draughtsman):
    """Draws one brightness after the other where it is asked to; keeps what it was asked."""

    def __init__(self, *values: float) -> None:
        super().__init__(Frozen(None, None, None), PAGE, np.ones((10, 20, 12), np.float32), 0.0, 0.0, 4, 6)
        object.__setattr__(self, "asked", [])
        object.__setattr__(self, "values", iter(values))

    def draw(self, layouts: Layouts, glyphs: Any, rng: Any, known: Any = None, mask: Any = None) -> Any:
        new = np.full((len(glyphs), *PAGE.shape), next(self.values), np.float32)  # type: ignore[attr-defined]
        self.asked.append((known, mask))  # type: ignore[attr-defined]
        return new if mask is None else np.where(mask > 0, new, known)


class Bright(Reader):
    """Reads "1" where the left box is bright, "2" where the right one is, on all pages; or where they are dark."""

    def __init__(self, dark: bool = False) -> None:
        super().__init__(Frozen(None, None, None), (12, 48))
        object.__setattr__(self, "dark", dark)

    def __call__(self, pages: np.ndarray) -> list[Any]:
        found = []
        for page in 1 - pages if self.dark else pages:  # type: ignore[attr-defined]
            words = [("1", (0, 4, 0, 4))] if page[:4, :4].mean() > 0.5 else []
            found.append(words + ([("2", (4, 8, 8, 12))] if page[4:, 8:12].mean() > 0.5 else []))
        return found


def test_only_words_that_are_wrong_are_painted_again() -> None:
    hand = Scripted(0.0, 1.0, 0.7)
    first = sampled(hand, LAYOUTS, Bright(), 0)
    assert first.scores[0] == 0
    kept, wrong = repainted(hand, first, Bright(), 2, 1, 0)
    assert [own.tolist() for own in wrong] == [[2, 1], [0, 1]]
    masks = [mask for _, mask in hand.asked[1:]]  # type: ignore[attr-defined]
    np.testing.assert_array_equal(masks[0][0], PAGE.covered(LAYOUTS.boxes[0, :2], 1))
    assert masks[1][0].sum() == 0  # all right behind the first round
    np.testing.assert_array_equal(kept[2].pages[0], kept[1].pages[0])
    assert (kept[1].scores >= kept[0].scores).all()


def test_a_round_begins_with_the_better_page() -> None:
    hand = Scripted(0.0, 1.0, 0.0)
    drawn = sampled(hand, LAYOUTS, Bright(dark=True), 0)
    kept, _ = repainted(hand, drawn, Bright(dark=True), 2, 0, 0)
    np.testing.assert_array_equal(kept[2].scores, kept[0].scores)  # read upside down, all rounds are worse
    np.testing.assert_array_equal(hand.asked[2][0], drawn.pages)  # type: ignore[attr-defined]


def test_words_without_a_box_cannot_be_masked() -> None:
    lacking = layouts_of(WORDS, [np.array([LEFT]), np.zeros((0, 4))], 3)
    blank = np.zeros((2, *PAGE.shape), np.float32)
    mask, wrong = wrong_areas(PAGE, Drawn(lacking, blank[..., None], blank, [[], []], np.zeros(2)), 0)
    assert wrong.tolist() == [1, 0]
    assert mask[1].sum() == 0


def test_the_best_of_more_pages_is_never_read_worse() -> None:
    best = best_of(Scripted(0.0, 1.0, 0.0), [LAYOUTS] * 3, Bright(), 0)
    scores = np.stack([own.scores for own in best])
    assert (np.diff(scores, axis=0) >= 0).all()
    np.testing.assert_array_equal(best[2].pages, best[1].pages)
    assert best[1].pages[0].mean() == 1


def test_dropped_words_get_boxes_of_natural_shape_and_the_others_stay() -> None:
    lacking = layouts_of(WORDS, [np.array([LEFT]), np.zeros((0, 4))], 3)
    whole = with_all_words(lacking, PAGE, 0.5, 0)
    assert whole.there.tolist() == [[True, True, False], [True, False, False]]
    np.testing.assert_array_equal(whole.boxes[0, 0], LEFT)
    ratios = ratios_of(whole, PAGE, 0.5)
    assert whole.boxes[0, 1, 2] / whole.boxes[0, 1, 3] == pytest.approx(ratios[0, 1])
    assert pairwise_iou(LAYOUTS) == 0
    assert layouts_of([["1"]], [np.ones((4, 4))], 2).there.tolist() == [[True, False]]  # one box a word


@pytest.mark.slow
def test_a_network_paints_what_is_masked_in_batches_of_one_size() -> None:
    config = GlyphDiT(DiT(channels=3, patch=4, embed=16, layers=1, heads=1, mlp=16, text=16))
    net = Frozen(config, nnx.split(config.build(nnx.Rngs(0)))[1], nnx.State({}))
    hand = Draughtsman(net, PAGE, np.ones((10, 20, 12), np.float32), 0.0, 0.0, 2, 6, batch=2)
    words = [*WORDS, ["4"]]
    layouts = layouts_of(words, [np.array([LEFT, RIGHT])] + [np.array([LEFT])] * 2, 3)
    glyphs, known = hand.maps(layouts, np.random.default_rng(0)), np.random.default_rng(1).random((3, *PAGE.shape))
    mask = np.stack([PAGE.covered(np.array([LEFT]))] * 3)
    made = hand.draw(layouts, glyphs, np.random.default_rng(2), known, mask)
    np.testing.assert_allclose(made[:, 4:], known[:, 4:], atol=1e-5)
    assert (np.abs(made - known)[:, :4, :4] > 1e-3).any((1, 2)).all()
    assert hand.flops() > 0
    assert prompt_tokens(["12"], 3)[:, 0].tolist() == [2, 3, 0]
