"""Filters, the split by predicate in which no text is in two parts, and questions lent to other rows."""

from __future__ import annotations

import collections
from dataclasses import dataclass, replace

import pytest

from stagejax.data.knowledge.object_spans import PARTS, ObjectSpans, category, counted, is_kept, whole_word
from stagejax.data.sources import Record, Source

PREDICATES = "method", "place", "year", "hidden"


@dataclass(frozen=True)
class Graph(Source):
    """400 texts, each with four predicates; a fifth is rare, and of five texts alone."""

    split: str = "train"

    def __len__(self) -> int:
        return 1605

    def __getitem__(self, index: int) -> Record:
        if index >= 1600:
            return {"text": f"text {index - 1600} by word rare", "predicate": "rare", "object": "rare"}
        text, which = divmod(index, 4)
        said = f"{PREDICATES[which]}{text}"
        return {"text": self.text(text), "predicate": PREDICATES[which], "object": said if text % 7 else "absent"}

    @staticmethod
    def text(number: int) -> str:
        return f"Text {number} says " + " and ".join(f"{name.upper()}{number}" for name in PREDICATES)

    def digest(self) -> str:
        return "graph"


ROWS = ObjectSpans(Graph(), unseen=("hidden",), most=200)


def test_filters_are_those_of_the_paper() -> None:
    assert not is_kept("ab")
    assert not is_kept("500")
    assert is_kept("999")
    assert is_kept("abc")
    assert whole_word("cat", "Concat a CAT.") == (9, 12)
    assert whole_word("a.b", "a.b") == (0, 3)
    assert whole_word("dog", "cat") is None
    assert category("https://a.b") == "url"
    assert category("12.5") == "number"
    assert category("a b") == "phrase"


def test_parts_share_no_text_and_have_their_shares() -> None:
    parts = {part: ROWS.of_split(part).rows() for part in PARTS}
    texts = {part: {row["context"] for row in rows} for part, rows in parts.items()}
    assert not texts["train"] & texts["test"]
    assert not texts["dev"] & (texts["train"] | texts["test"])
    tuned = [row for part in PARTS for row in parts[part] if row["predicate"] == "method"]
    assert len(tuned) == 200  # the most that a predicate has
    assert 0.2 < sum(row["predicate"] == "method" for row in parts["test"]) / 200 < 0.32
    for rows in parts.values():
        assert all(row["context"][row["start"] : row["end"]].lower().startswith(row["predicate"]) for row in rows)
        assert not any("absent" in row["context"] for row in rows)


def test_rare_predicates_are_for_training_and_unseen_ones_for_the_test() -> None:
    parts = {part: counted(ROWS.of_split(part).rows(), "predicate") for part in PARTS}
    assert "hidden" in parts["test"]
    assert "hidden" not in parts["train"]
    assert "hidden" not in parts["dev"]
    assert "rare" not in parts["test"]
    assert "rare" not in parts["dev"]
    assert parts["train"]["rare"] <= 5


def test_a_share_is_the_first_rows_and_choices_keep_all_of_theirs() -> None:
    few = replace(ROWS, share=0.05)
    assert few.rows() == ROWS.rows()[: len(few)]
    assert len(few) == round(0.05 * len(ROWS))
    assert few.of_split("dev").rows() == ROWS.of_split("dev").rows()


def test_lent_questions_are_the_same_ones_on_other_rows() -> None:
    lent = replace(ROWS, lent=True)
    own, other = ([row["question"] for row in rows.rows()] for rows in (ROWS, lent))
    assert collections.Counter(own) == collections.Counter(other)
    assert 0.2 < sum(a != b for a, b in zip(own, other, strict=True)) / len(own) < 0.9
    assert [row["predicate"] for row in lent.rows()] == [row["predicate"] for row in ROWS.rows()]
    assert replace(ROWS, label="what")[0]["question"] == f"what {ROWS[0]['question']}"
    assert replace(ROWS, label="what").digest() != ROWS.digest() != lent.digest()


def test_an_unknown_part_or_share_is_an_error() -> None:
    with pytest.raises(ValueError, match="one of"):
        ROWS.of_split("validation")
    with pytest.raises(ValueError, match="shares"):
        replace(ROWS, share=0.0)
