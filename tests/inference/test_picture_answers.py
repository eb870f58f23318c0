"""Rows weigh answers alone, language never shows a slot, and what is decoded is what rows call right."""

from __future__ import annotations

import numpy as np
import pytest
from pictured import ASKED, FORM, IMAGE, NET, PICTURES, WIDTH, made, network

from stagejax.data.multimodal.scene_instructions import TYPES, phrase
from stagejax.data.tokenizers import CLS, SEP
from stagejax.inference.pictures import picture_answers as answers
from stagejax.inference.pictures.picture_answers import SLOTS, Form

slow = pytest.mark.slow  # compiles models


def test_types_are_balanced_or_drawn_and_arrays_are_instructions_again() -> None:
    assert np.bincount(ASKED["type"]).tolist() == [4] * len(TYPES)
    own = answers.instructions(ASKED, FORM)
    again = answers.written(own, PICTURES, FORM)
    assert all((again[name] == ASKED[name]).all() for name in again)
    assert (ASKED["parent"] == -1).all()
    drawn = answers.opened(PICTURES, FORM, 60, seed=0)
    assert len(set(np.bincount(drawn["type"]).tolist())) > 1


def test_rows_weigh_the_answer_and_its_end_alone() -> None:
    rows = answers.rows_of(ASKED, None, IMAGE, FORM)
    for at in range(24):
        answer = ASKED["truth"][at]
        learned = rows["targets"][at][rows["weights"][at] > 0]
        assert learned.tolist() == answer[answer > 0].tolist()
        assert learned[-1] == SEP
        assert rows["tokens"][at, 0] == CLS
        assert (rows["tokens"][at, 1 : 1 + SLOTS] == FORM.marker).all()
        assert (rows["tokens"][at] == FORM.marker).sum() == SLOTS
        assert (rows["image"][at] == IMAGE[ASKED["picture"][at]]).all()
    said = np.zeros_like(ASKED["truth"])
    said[:, 0] = 9
    others = answers.rows_of(ASKED, said, IMAGE, FORM)
    assert (others["weights"].sum(1) == 1).all()  # an answer that the limit cut has no end to learn


def test_language_has_words_in_the_slots_and_never_a_marker() -> None:
    rows = answers.language(PICTURES, FORM, made(ASKED))
    assert set(rows) == {"tokens", "targets", "weights"}
    assert not (rows["tokens"] == FORM.marker).any()
    told = answers.rows_of(ASKED, None, None, FORM)
    for at, picture in enumerate(ASKED["picture"]):
        words = FORM.words.decode(rows["tokens"][at, 1 : 1 + SLOTS]).split()
        assert words == [phrase(own) for own in PICTURES.scenes[picture]]
        assert (rows["tokens"][at, 1 + SLOTS :] == told["tokens"][at, 1 + SLOTS :]).all()
    assert (rows["weights"] == told["weights"]).all()


@slow
def test_greedy_answers_are_those_that_rows_call_right() -> None:
    net = network(0)
    said = answers.replies(net, made({"image": IMAGE}), made(ASKED), FORM, 10)["answer"]
    rows = answers.rows_of(ASKED, said, IMAGE, FORM)
    whole = np.array([(row[: (row > 0).sum()] > 0).all() for row in said])  # without padding inside
    assert whole.mean() > 0.8
    assert answers.checked(net, made(rows), 10)["right"][whole].all()
    assert ((said == SEP).any(1) | (said > 0).all(1))[whole].all()
    other = said.copy()
    other[:, 0] = np.where(other[:, 0] == 9, 8, 9)
    assert not answers.checked(net, made(answers.rows_of(ASKED, other, IMAGE, FORM)), 10)["right"].any()


@slow
def test_costs_grow_with_the_answer() -> None:
    short = Form(FORM.words, answer=4)
    assert answers.reply_flops(NET, FORM, WIDTH) > answers.reply_flops(NET, short, WIDTH) > 0
    assert answers.score_flops(NET, FORM, WIDTH) > 0
