"""Pictures made from instructions: what the judge is told, and what it says of copies and of the truth."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stagejax.data import Digits
from stagejax.data.multimodal.composites import DIGITS, Objects
from stagejax.data.multimodal.stickers import MOVE, OPERATIONS, PLACES, REFERENCE, RESIZE, Stickers
from stagejax.inference import Frozen
from stagejax.inference.pictures import sticker_editing as editing
from stagejax.inference.pictures.quarters import next_of_kind, real

SOURCE = Stickers((Objects(Digits(), DIGITS[:6]),), Digits(), None, 96, OPERATIONS[1:], size=16, sides=(7, 5))
DRAWN = Stickers((Objects(Digits(), DIGITS[:6]),), Digits(), None, 24, OPERATIONS[:1], "all", size=16, sides=(7, 5))
MADE, PICTURES = editing.composed(SOURCE, 4), editing.composed(DRAWN, 4)
JUDGE = Frozen(SimpleNamespace(classes=SOURCE.classes), {}, {})


def oracle(monkeypatch: pytest.MonkeyPatch, asked: np.ndarray) -> None:
    """A judge that says this, whatever it is shown; its two features are the mean and the largest value."""

    def said(_: Any, net: Any, images: np.ndarray, batch: int) -> np.ndarray:
        features = np.stack([images.mean((1, 2, 3)), images.max((1, 2, 3))], 1)
        return np.concatenate([features, np.eye(net.config.classes)[asked.reshape(-1)]], axis=1)

    monkeypatch.setattr(editing, "apply", said)


def test_the_truth_is_right_and_a_copy_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    oracle(monkeypatch, MADE["asked"])
    truth = editing.judged(real(MADE["target"]), MADE, JUDGE)
    assert truth["success"].all()
    assert truth["inside"].max() == truth["outside"].max() == 0
    assert truth["features"].shape == (96, 4, 2)
    copy = editing.judged(real(MADE["source"]), MADE, JUDGE)
    moved = np.isin(MADE["operation"], [OPERATIONS.index(MOVE), OPERATIONS.index(RESIZE)])
    assert not np.isnan(copy["overlap"][moved]).any()
    assert np.isnan(copy["overlap"][~moved]).all()
    assert not copy["place"][MADE["operation"] == OPERATIONS.index(MOVE)].any()
    edits = MADE["operation"] != OPERATIONS.index(REFERENCE)
    assert copy["kept"][edits].all()  # the copy keeps everything else
    assert (copy["inside"][edits] > 0).all()


def test_pixels_that_must_stay_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    oracle(monkeypatch, MADE["asked"])
    pictures = real(MADE["target"])
    pictures[~MADE["edited"]] = 1 - pictures[~MADE["edited"]]
    spoiled = editing.judged(pictures, MADE, JUDGE)
    elsewhere = ~MADE["edited"].all((1, 2))
    assert not spoiled["kept"][elsewhere].any()
    assert not spoiled["success"][elsewhere].any()
    assert spoiled["inside"][elsewhere].max() == 0


def test_only_quarters_that_the_instruction_is_about_must_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = (MADE["asked"] + 1) % SOURCE.classes
    oracle(monkeypatch, np.where(MADE["focus"], MADE["asked"], wrong))
    assert editing.judged(real(MADE["target"]), MADE, JUDGE)["content"].all()
    oracle(monkeypatch, wrong)
    assert not editing.judged(real(MADE["target"]), MADE, JUDGE)["content"].any()


def test_a_letter_is_told_from_others() -> None:
    letters = {name: x[MADE["operation"] == OPERATIONS.index(REFERENCE)] for name, x in MADE.items()}
    truth = real(letters["target"])
    assert editing.recognised(truth, letters).all()
    assert not editing.recognised(real(letters["under"]), letters).any()  # nothing is no letter
    assert editing.recognised(truth[:0], {name: x[:0] for name, x in letters.items()}).shape == (0,)


def test_orders_of_others_are_of_the_same_operation() -> None:
    other = next_of_kind(MADE, "operation")
    np.testing.assert_array_equal(other["operation"], MADE["operation"])
    assert (other["tokens"] != MADE["tokens"]).any(1).mean() > 0.8
    assert sorted(map(tuple, other["tokens"])) == sorted(map(tuple, MADE["tokens"]))


def test_rows_have_places_for_an_image_where_there_is_one() -> None:
    assert (MADE["tokens"][:, :4] == 4).all()
    assert (PICTURES["tokens"][:, :4] == 1).all()
    assert SOURCE.words.decode(MADE["tokens"][0]).startswith("<image> <image> <image> <image>")
    assert not PICTURES["source"].any()


def test_captions_are_learned_with_their_picture_and_alone() -> None:
    made = editing.captioned(16, 4, PICTURES, MADE)
    assert made["image"].shape == (32, 16, 16, 3)
    assert (made["tokens"][:16:2, :4] == 4).all()
    assert (made["tokens"][1:16:2, :4] == 1).all()
    np.testing.assert_allclose(made["image"][:16], real(PICTURES["target"][:16]))
    np.testing.assert_allclose(made["image"][16:], real(MADE["source"][:16]))
    learned = made["targets"][made["weights"] > 0]
    assert (learned > 4).all()
    both = [{name: x[:16] for name, x in own.items()} for own in (PICTURES, MADE)]
    words = sum((own["tokens"] > 4).sum() for own in both)
    answers = sum((own["answer"][:, 1:] > 4).sum() for own in both)  # the place is asked about, not learned
    assert len(learned) == words + answers


def test_an_answer_is_what_the_picture_after_shows_at_that_place() -> None:
    for made, source in ((MADE, SOURCE), (PICTURES, DRAWN)):
        for answer, asked in zip(made["answer"], made["asked"], strict=True):
            place, color, kind = source.words.decode(answer).split() if answer.any() else ("", "", "")
            if place:
                concept = source.names.index(kind), source.colors.index(color)
                assert asked[PLACES.index(place)] == source.class_of(concept)
            else:
                assert asked.max() == 0 or asked.max() > len(source.names) * len(source.colors)  # letters alone


def test_whitened_states_vary_as_much_in_every_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    spread = np.array([10.0, 1.0, 0.5, 0.0])
    own = (5 + rng.normal(size=(*MADE["tokens"].shape, 4)) * spread).astype(np.float32)
    monkeypatch.setattr(editing, "_states", lambda *_: own)
    white = editing.whitening(None, MADE)
    given = editing.conditioned(MADE, 8, None, white)
    there = given["there"] > 0
    assert (there == (MADE["tokens"] > 0)).all()  # edits: also the places of the picture
    variances = np.sort(np.linalg.eigvalsh(np.cov(given["prompt"][there].T)))
    np.testing.assert_allclose(variances[2:], 1, rtol=1e-2)
    assert variances[0] < 1e-6  # what never differs is not enlarged
    assert given["image"].shape == (96, 8, 8, 3)
    assert given["image"].min() >= -1
    np.testing.assert_allclose(given["source"], 2 * editing.at(real(MADE["source"]), 8) - 1)


def test_a_judge_learns_from_quarters_with_and_without_noise() -> None:
    made = editing.labelled(MADE)
    clean, noisy = np.split(made["image"], 2)
    labels = made["label"][: len(clean)]
    assert (labels > 0).mean() == pytest.approx(0.5)
    assert 0 < np.abs(noisy - clean).mean() < 0.1
    shown = np.ptp(clean, axis=(1, 2)).max(1) > 0
    np.testing.assert_array_equal(shown, labels > 0)  # grounds are of one colour here
