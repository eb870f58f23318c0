"""Coloured items: what is said, what is painted, who never meets whom, and what a parser makes of a caption."""

from __future__ import annotations

import numpy as np
import pytest

from stagejax.data.multimodal.bound_items import Group, Item, ItemWorld, captioned, digit_kinds, items_of, said_of
from stagejax.data.multimodal.composites import COLORS
from stagejax.data.sources import EmptySource
from stagejax.data.tokenizers import CLS, SEP

KINDS = digit_kinds()
HUES = ("red", "green", "blue", "yellow")
WORLD = ItemWorld(KINDS, HUES, cells=(1, 2), apart=0.3)


def test_prompts_differ_in_kinds_and_colours_and_are_seen_or_not() -> None:
    seen, unseen = WORLD.prompts(2, seen=True), WORLD.prompts(2, seen=False)
    assert len(WORLD.prompts(1)) == 16
    assert len(WORLD.prompts(2)) == 16 * 9 == len(seen) + len(unseen)
    assert not {frozenset(prompt) for prompt in unseen} & {frozenset(prompt) for prompt in seen}
    assert len(unseen) == 2 * round(0.3 * 72)  # both orders
    assert {item for prompt in seen for item in prompt} == set(WORLD.items)
    assert all(a.kind != b.kind and a.color != b.color for a, b in WORLD.prompts(2))
    three = WORLD.prompts(3, seen=True)[5]
    assert all((a, b) in seen for a, b in (three[:2], three[1:], three[::2]))


def test_pictures_hold_each_item_in_its_colour_and_cell() -> None:
    pool, rng = items_of(KINDS, WORLD.side), np.random.default_rng(0)
    for prompt in WORLD.prompts(2)[::7]:
        picture, cells = WORLD.painted(prompt, pool, rng)
        assert picture.shape == (12, 24, 3)
        assert sorted(cells) == [0, 1]
        for item, cell in zip(prompt, cells, strict=True):
            own = picture[:, 12 * cell : 12 * cell + 12]
            brightest = own.reshape(-1, 3)[own.max(-1).argmax()]
            np.testing.assert_allclose(brightest, COLORS[item.color], atol=1e-6)


def test_items_stay_in_their_cells_when_they_are_shifted() -> None:
    world = ItemWorld(KINDS, HUES, cells=(2, 2), jitter=1)
    pool, rng = items_of(KINDS, world.side), np.random.default_rng(0)
    picture, cells = world.painted(world.prompts(3)[5], pool, rng)
    lit = picture.max(-1).reshape(2, 12, 2, 12).max((1, 3)).ravel() > 0
    assert sorted(cells) == np.flatnonzero(lit).tolist()


def test_captions_of_pictures_are_of_seen_prompts_only() -> None:
    _, tokens = captioned(WORLD, items_of(KINDS, WORLD.side), 200, seed=0, alone=0.5, bare=0.25)
    texts = {WORLD.words.decode([i for i in row if i > SEP]) for row in tokens}
    known = {WORLD.caption(p, colors=c) for n in (1, 2) for p in WORLD.prompts(n, seen=True) for c in (True, False)}
    assert texts <= known
    assert (tokens[:, 0] == CLS).all()
    assert (tokens[:, -1] == SEP).all()
    bare = [text for text in texts if not any(color in text for color in HUES)]
    assert bare
    assert len(bare) < len(texts)


def test_groups_take_runs_of_colours_in_front_of_nouns() -> None:
    text = "a red green one and a zero and a blue four"
    assert WORLD.groups(text) == (Group(4, (2, 3)), Group(7, ()), Group(11, (10,)))


def test_what_is_said_is_parsed() -> None:
    prompts = [(Item("red", "one"), Item("blue", "four")), (Item("green", "four"), Item("red", "zero"))]
    tokens, stripped, nouns, whose = said_of(WORLD, prompts)
    assert nouns.tolist() == [[3, 7], [3, 7]]
    assert whose.nonzero()[2].tolist() == [2, 6, 2, 6]
    assert (tokens == SEP).argmax(1).tolist() == [8, 8]
    assert (stripped == SEP).argmax(1).tolist() == [6, 6]
    assert WORLD.words.decode(stripped[0]) == "a one and a four"


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(ValueError, match="unknown"):
        ItemWorld(KINDS, ("mauve",))
    with pytest.raises(ValueError, match="does not fit"):
        ItemWorld(KINDS, HUES, jitter=2)
    with pytest.raises(ValueError, match="raise length"):
        WORLD.tokens("a red one and a blue zero and a green four")
    with pytest.raises(ValueError, match="one each"):
        WORLD.painted(WORLD.prompts(3)[0], items_of(KINDS, 10), np.random.default_rng(0))
    with pytest.raises(EmptySource, match="no records"):
        items_of(KINDS, 10, 10_000)
