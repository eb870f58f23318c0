"""Instructions have one answer by the verifier, splits share nothing, and new ones are like their parents."""

from __future__ import annotations

import numpy as np
import pytest

from stagejax.data import Digits
from stagejax.data.multimodal.composites import Objects
from stagejax.data.multimodal.scene_instructions import (
    CAPTION,
    MATCH,
    SIDE,
    TYPES,
    Augmentor,
    Instruction,
    Pictures,
    askable,
    drawn,
    fingerprint,
    near,
    questions,
    truth,
)
from stagejax.data.multimodal.scene_questions import SceneQuestions

NAMES = ("ring", "1", "2", "3", "4", "5", "hook", "7", "8", "9")
WORLD = SceneQuestions((Objects(Digits(), NAMES),), ("ring", "hook"), glyph=8)
PICTURES = Pictures(WORLD, 200)
SCENE = (("red", "3"), ("blue", "hook"), None, ("red", "1"))


def test_scenes_have_two_to_four_objects_of_different_names() -> None:
    sizes = set()
    for scene in PICTURES.scenes:
        names = [own[1] for own in scene if own is not None]
        assert len(names) == len(set(names))
        sizes.add(len(names))
    assert sizes == {2, 3, 4}


def test_splits_share_no_scene_and_pictures_show_what_captions_say() -> None:
    parts = {part: {record["text"] for record in map(Pictures(WORLD, 150, split=part).__getitem__, range(150))}
             for part in ("train", "valid", "test")}  # fmt: skip
    assert not parts["train"] & parts["test"]
    assert not parts["train"] & parts["valid"]
    assert not parts["valid"] & parts["test"]
    for index in range(20):
        shown = PICTURES.cells(index).max((1, 2, 3)) > 0
        assert shown.tolist() == [own is not None for own in PICTURES.scenes[index]]
    assert (PICTURES.cells(3) == Pictures(WORLD, 5).cells(3)).all()


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("describe", "northwest red 3 northeast blue hook southeast red 1"),
        ("what is southeast", "red 1"),
        ("what is southwest", None),
        ("colour of hook", "blue"),
        ("colour of 5", None),
        ("how many red", "2"),
        ("how many digits", "2"),
        ("how many things", "1"),
        ("how many green", None),
        ("west of hook", "red 3"),
        ("south of 3", None),
        ("north of 3", None),
        ("same colour as 1", "3"),
        ("same colour as hook", None),
    ],
)
def test_the_verifier(question: str, answer: str | None) -> None:
    assert truth(question, SCENE) == answer


def test_a_colour_that_three_objects_have_is_no_match() -> None:
    scene = (("red", "3"), ("red", "hook"), ("red", "1"), None)
    assert askable(MATCH, scene, PICTURES.names) == []


def test_every_question_is_of_its_type_and_in_the_vocabulary() -> None:
    words = PICTURES.words()
    texts = [text for type in TYPES for text in questions(type, PICTURES.names)]
    assert len(set(texts)) == len(texts)
    words.encode(texts)
    words.encode([str(truth(text, scene)) for scene in PICTURES.scenes[:50] for text in texts if truth(text, scene)])
    with pytest.raises(ValueError, match="none of caption"):
        questions("sum", ())


def test_drawn_instructions_differ_and_can_be_asked() -> None:
    found = drawn(PICTURES, TYPES * 20, seed=3)
    assert [own.type for own in found] == [*TYPES] * 20
    assert len(set(found)) == len(found)
    assert all(truth(own.text, PICTURES.scenes[own.picture]) for own in found)
    assert found != drawn(PICTURES, TYPES * 20, seed=4)
    with pytest.raises(ValueError, match="raise their `count`"):
        drawn(Pictures(WORLD, 3), (CAPTION,) * 4, seed=0)


def test_new_instructions_are_of_the_type_of_their_parent_with_other_content() -> None:
    old = drawn(PICTURES, (SIDE, MATCH) * 10, seed=0)
    new, parents, rejected = Augmentor(same=0.5)(PICTURES, old, old, 40, np.random.default_rng(1))
    sizes = [sum(own is not None for own in scene) for scene in PICTURES.scenes]
    assert len(new) == len(set(new)) == 40
    assert not set(new) & set(old)
    assert rejected > 0
    for own, at in zip(new, parents, strict=True):
        assert own.type == old[at].type
        assert sizes[own.picture] >= sizes[old[at].picture]
    same = [own.picture == old[at].picture for own, at in zip(new, parents, strict=True)]
    assert 0 < np.mean(same) < 1
    assert np.bincount(parents).max() <= 8  # parents take turns


def test_near_duplicates_are_measured_by_words_and_cells() -> None:
    one = Instruction(0, CAPTION, "describe")
    bags = [fingerprint(own, PICTURES) for own in (one, Instruction(1, CAPTION, "describe"))]
    assert near(bags[0], np.array(bags[:1]), 0.9)
    assert not near(bags[0], np.array(bags[1:]), 0.9)
    pool = drawn(PICTURES, TYPES * 10, seed=5)
    new, _, _ = Augmentor(limit=0.8)(PICTURES, pool, pool, 30, np.random.default_rng(2))
    every = np.array([fingerprint(own, PICTURES) for own in (*pool, *new)])
    assert not any(near(every[at], every[:at], 0.8) for at in range(len(pool), len(every)))


@pytest.mark.slow
def test_what_cannot_be_written_is_an_error() -> None:
    few = Pictures(WORLD, 4)
    old = drawn(few, (CAPTION,), seed=0)
    with pytest.raises(ValueError, match="give more pictures"):
        Augmentor()(few, old, old, 10, np.random.default_rng(0))
    with pytest.raises(ValueError, match="at least one parent"):
        Augmentor()(few, [], old, 1, np.random.default_rng(0))


def test_unknown_splits_and_small_worlds() -> None:
    with pytest.raises(ValueError, match="split='dev'"):
        Pictures(WORLD, split="dev")
    assert PICTURES.of_split("test").digest() != PICTURES.digest()
