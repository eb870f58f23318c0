"""Labels of texts and of words in one form of batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stagejax.data import CLS, PAD, SEP, Bytes, Source
from stagejax.data.tasks.word_or_text import WordOrText
from stagejax.data.tokenizers import SPECIAL


@dataclass(frozen=True)
class Records(Source):
    """Records that a test gives."""

    own: tuple[tuple[Any, Any], ...]
    split: str = "train"

    def __len__(self) -> int:
        return len(self.own)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"text": self.own[index][0], "label": self.own[index][1]}

    def digest(self) -> str:
        return str(self.own)


HOW = {"tokenizer": Bytes(), "batch": 2, "length": 8, "fields": ("text", "label")}
TEXTS = WordOrText(sources=(Records((("abc", 2), ("abcdefghij", 1))), Records((("x", 0),), "test")), **HOW)
WORDS = WordOrText(sources=(Records(((("ab", "c"), ("N", "V")), (("abc", "de", "f"), ("V", "V", "N")))),),
                   names=("N", "V"), **HOW)  # fmt: skip


def ids(text: str) -> list[int]:
    return [SPECIAL + ord(letter) for letter in text]


def test_a_label_is_asked_for_behind_all_places_and_long_texts_are_cut() -> None:
    rows = TEXTS.rows()
    assert rows.tokens[0].tolist() == [CLS, *ids("abc"), SEP, PAD, PAD, PAD]
    assert rows.tokens[1].tolist() == [CLS, *ids("abcdef"), SEP]
    assert rows.targets[:, 8].tolist() == [2, 1, 0]
    assert rows.weights.sum(1).tolist() == [1, 1, 1] == rows.weights[:, 8].tolist()
    assert rows.source.tolist() == [0, 0, 1]


def test_a_tag_is_asked_for_at_the_last_token_of_its_word_and_words_that_do_not_fit_are_left_out() -> None:
    rows = WORDS.rows()
    assert rows.tokens[0].tolist() == [CLS, *ids(" ab c"), SEP, PAD]
    assert np.flatnonzero(rows.weights[0]).tolist() == [3, 5]
    assert rows.targets[0, [3, 5]].tolist() == [0, 1]
    assert rows.tokens[1].tolist() == [CLS, *ids(" abc"), SEP, PAD, PAD]  # " de" would leave no place for SEP
    assert np.flatnonzero(rows.weights[1]).tolist() == [4]


def test_prefix_is_what_may_be_seen_and_never_padding() -> None:
    both, left = TEXTS.take(np.arange(3)), replace(TEXTS, both=False).take(np.arange(3))
    np.testing.assert_array_equal(both["prefix"], both["tokens"] != PAD)
    assert not left["prefix"].any()
    np.testing.assert_array_equal(both["tokens"], left["tokens"])


def test_rows_behind_the_last_record_have_no_weight_in_evaluation_and_begin_again_in_training() -> None:
    held = replace(TEXTS, once=True).take(np.arange(6))["weights"].sum(1)
    assert held.tolist() == [1, 1, 1, 0, 0, 0]
    assert TEXTS.take(np.arange(6))["weights"].sum() == 6
