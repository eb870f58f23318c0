"""Scores of answers as the released code has them, by hand; an answer that ends before it begins is none."""

from __future__ import annotations

import numpy as np
import pytest

from stagejax.inference.prompts.span_answers import Scored, answer_at, scores


@pytest.mark.parametrize(
    ("said", "wanted", "right"),
    [
        ("Berlin.", "berlin", (True, True)),
        ("Berlin..", "berlin", (False, True)),
        ("in Berlin", "Berlin", (False, True)),
        ("Ber", "Berlin", (False, False)),
        ("", "Berlin", (False, False)),
        ("e.g.", "e.g.", (True, True)),
    ],
)
def test_strict_and_relaxed(said: str, wanted: str, right: tuple[bool, bool]) -> None:
    assert Scored.of(said, wanted)[:2] == right


def test_token_scores_count_right_objects_among_all_that_was_said() -> None:
    found = scores(["new york", "a long answer here", "x", ""], ["New York", "answer", "y z", "w"])
    assert found["strict"] == 0.25
    assert found["relaxed"] == 0.5
    assert found["empty"] == 0.25
    assert found["words"] == 7 / 4
    assert found["strict recall"] == 2 / 6
    assert found["strict precision"] == 2 / 7
    assert found["relaxed recall"] == 3 / 6
    assert found["relaxed precision"] == 3 / 7
    assert found["relaxed F1"] == pytest.approx(2 * (3 / 6) * (3 / 7) / (3 / 6 + 3 / 7))


def test_of_nothing_all_scores_are_zero() -> None:
    assert set(scores([], []).values()) == {0.0}


def test_answers_outside_of_the_context_are_none() -> None:
    words = np.array([-1, -1, 0, 1, 2, -1])
    said = [answer_at("one two, three", words, np.array(own)) for own in ((2, 3), (1, 3), (3, 5), (4, 4), (3, 2))]
    assert said == ["one two", "", "", ",", ""]
