"""Questions about scenes: rationales follow from scenes, options hold one right answer, splits share no image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stagejax.data import Digits
from stagejax.data.multimodal.composites import Objects, pools
from stagejax.data.multimodal.scene_questions import (
    CELLS,
    CONTEXTS,
    EMPTY,
    LARGEST,
    NOTHING,
    NUMERALS,
    PICTURE,
    SIDE,
    SIDES,
    SUBJECTS,
    SUM,
    TEXT,
    SceneCells,
    SceneQuestions,
    facts_of,
)

NAMES = ("ring", "1", "2", "3", "4", "5", "hook", "7", "8", "9")
SOURCE = SceneQuestions((Objects(Digits(), NAMES),), ("ring", "hook"), count=600, glyph=8, noise=0.0)
RECORDS = [SOURCE[i] for i in range(len(SOURCE))]


def scene_of(rationale: str) -> dict[str, tuple[str, str]]:
    """What a rationale says of each cell."""
    words = [fact.split() for fact in facts_of(rationale)[:-1]]
    return {cell: (colour, name) for cell, colour, name in words}


def test_the_conclusion_follows_from_the_facts_and_is_the_only_right_option() -> None:
    for record in RECORDS:
        question, rest = record["asked"].split("context:")[0], record["asked"].split("options: ")[1]
        words = rest.removesuffix(" solution:").split()
        size = len(words) // 4
        options = [" ".join(words[i : i + size]) for i in range(0, len(words), size)]
        assert len(set(options)) == 4
        answer = record["answer"].removeprefix("the answer is ")
        assert options[record["label"]] == answer
        scene = scene_of(record["rationale"])
        digits = [own for own in scene.values() if own[1] in NUMERALS]
        subject, conclusion = SUBJECTS[record["subject"]], facts_of(record["rationale"])[-1]
        if subject == SUM and scene:
            colour = question.split()[2]
            meant = [name for own, name in digits if own == colour]
            assert len(meant) == 2
            assert conclusion == f"so {meant[0]} plus {meant[1]} is {answer}"
            assert int(answer) == sum(map(int, meant))
        elif subject == SIDE:
            side, _, colour, name = question.split()
            (cell,) = [at for at, own in scene.items() if own == (colour, name)]
            beside = CELLS[SIDES[side][CELLS.index(cell)]]
            assert scene[beside] == tuple(answer.split())
            assert conclusion == f"so {side} of {cell} is {answer}"
        elif subject == LARGEST:
            numbers = sorted((int(name), colour) for colour, name in digits)
            assert len({number for number, _ in numbers}) == len(numbers) == 3
            assert numbers[-1][1] == answer


def test_contexts_take_turns_and_only_a_text_tells_the_scene() -> None:
    shares = np.bincount([record["context"] for record in RECORDS]) / len(RECORDS)
    np.testing.assert_allclose(shares, [0.6, 0.2, 0.2])
    for record in RECORDS:
        context, described = CONTEXTS[record["context"]], " ".join(facts_of(record["rationale"])[:-1])
        if context == TEXT:
            assert described in record["asked"]
        elif context == PICTURE:
            assert record["asked"].count("picture") == 2 * len(CELLS)
            assert described not in record["asked"]
        else:
            assert described == ""
            assert "context:" not in record["asked"]
    within = [r["subject"] for r in RECORDS if CONTEXTS[r["context"]] == PICTURE]
    assert np.ptp(np.bincount(within)) <= 3


def test_pictures_show_the_cells_that_rationales_speak_of() -> None:
    for at in range(40):
        shown, context = SOURCE.cells(at).max((1, 2, 3)) > 0, CONTEXTS[RECORDS[at]["context"]]
        said = [" ".join(own) != EMPTY for own in scene_of(RECORDS[at]["rationale"]).values()]
        assert shown.tolist() == (said if context == PICTURE else [False] * len(CELLS))
    np.testing.assert_array_equal(SOURCE.cells(3), SOURCE.cells(3))


def test_an_object_is_painted_in_its_colour_from_images_of_its_split() -> None:
    rng = np.random.default_rng(0)
    red = SOURCE.painted(("red", "3"), rng)
    assert red[..., 0].max() > 4 * red[..., 1].max()
    own, other = (pools(SOURCE.objects, split, 8)["3"] for split in ("train", "test"))
    assert not {image.tobytes() for image in own} & {image.tobytes() for image in other}


def test_one_in_ten_training_rationales_has_one_wrong_word_and_no_other_split_has() -> None:
    noisy = replace(SOURCE, noise=0.1)
    wrong = [(a["rationale"].split(), noisy[i]["rationale"].split()) for i, a in enumerate(RECORDS)]
    changed = [sum(x != y for x, y in zip(*pair, strict=True)) for pair in wrong]
    assert set(changed) == {0, 1}
    assert 0.07 < np.mean(changed) < 0.13
    for at in range(len(SOURCE)):
        assert all(noisy[at][name] == RECORDS[at][name] for name in ("asked", "answer", "direct", "label"))
    held = replace(SOURCE, noise=1.0, split="test")
    assert [held[i] for i in range(50)] == [replace(held, noise=0.0)[i] for i in range(50)]


def test_the_vocabulary_is_one_for_all_and_knows_every_word() -> None:
    words = SOURCE.words()
    for other in (replace(SOURCE, turns=(TEXT, NOTHING), seed=4), replace(SOURCE, split="test", noise=1.0)):
        assert other.words() == words
        words.encode([other[i][name] for i in range(100) for name in ("told", "direct", "answer")])


def test_cells_are_labelled_by_what_is_in_them() -> None:
    cells = SceneCells(SOURCE, 200)
    counts = np.bincount([cells[i]["label"] for i in range(cells.classes * 7)])
    assert counts.tolist() == [7] * cells.classes
    at = SOURCE.kinds.index(("green", "ring"))
    image = cells[at]["image"]
    assert image[..., 1].max() > 3 * image[..., 0].max()
    assert cells.of_split("valid").digest() != cells.digest()


def test_bad_options_are_refused() -> None:
    for bad, match in (
        ({"split": "dev"}, "split 'dev'"), ({"turns": ("sound",)}, "context 'sound'"),
        ({"things": ("hat",)}, "thing 'hat'"), ({"objects": (Objects(Digits(), ("ring", "hook")),)}, "digit '1'"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=match):
            replace(SOURCE, **bad)
