"""Rows hold question and context, places are tokens of the answer's words, and what is cut off is said to be."""

from __future__ import annotations

import numpy as np
from test_wh_questions import Given

from stagejax.data import Bytes
from stagejax.data.prompts.span_questions import NOT_THERE, SpanQuestions, words_of
from stagejax.data.tokenizers import CLS, PAD, SEP


def row(start: int, end: int) -> tuple[tuple[str, object], ...]:
    return ("question", "who?"), ("context", "a big cat, one."), ("start", start), ("end", end)


ROWS = SpanQuestions(
    source=Given((row(2, 9), row(11, 14), row(-1, -1))), tokenizer=Bytes(), batch=2, length=20, asked=3
)


def test_a_row_is_question_and_context() -> None:
    found = ROWS.take_records(np.array([0]))
    tokens, types, words = (found[name][0] for name in ("tokens", "types", "words"))
    assert tokens[0] == CLS
    assert tokens[4] == SEP
    assert tokens[-1] == SEP
    assert PAD not in tokens
    assert Bytes().decode(tokens[1:4]) == " wh"
    assert Bytes().decode(tokens[5:-1]) == " a big cat, on"
    assert types.tolist() == [0] * 5 + [1] * 15
    assert words.tolist() == [-1] * 5 + [0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 4, 4, 4] + [-1]


def test_places_are_the_first_and_the_last_token_of_whole_words() -> None:
    found = ROWS.take_records(np.arange(3))
    assert (found["start"][0], found["end"][0]) == (7, 14)  # " big cat"
    assert (found["start"][1], found["end"][1]) == (NOT_THERE, NOT_THERE)  # " one" is cut
    assert (found["start"][2], found["end"][2]) == (0, 0)  # there is none: CLS


def test_a_short_context_is_padded() -> None:
    source = Given(((("question", "who"), ("context", "a cat"), ("start", 2), ("end", 5)),))
    wide = SpanQuestions(source=source, tokenizer=Bytes(), batch=1, length=20, asked=9)
    found = wide.take_records(np.array([0]))
    assert (found["tokens"][0] == PAD).sum() == 20 - 1 - 4 - 1 - 6 - 1
    assert (found["types"][0] == 1).sum() == 7
    assert (found["words"][0] >= 0).sum() == 6


def test_words_and_marks_stand_where_they_are() -> None:
    text = "f(x) is  'ok'"
    assert [text[a:b] for a, b in words_of(text)] == ["f", "(", "x", ")", "is", "'", "ok", "'"]
