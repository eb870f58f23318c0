"""Records that no other source has, and held-out ones as they are."""

import pytest
from told import Told

from stagejax.data.selection.apart import Apart
from stagejax.data.tasks.tagged import DrawnSentences
from stagejax.data.tasks.text_tasks import SynonymRows
from stagejax.data.together import Splits


def test_what_others_have_is_left_out_of_the_training_split_alone() -> None:
    known = DrawnSentences(4)
    own = Apart(Splits(DrawnSentences(9), known), (known,), "form")
    assert [own[i] for i in range(len(own))] == [DrawnSentences(9)[i] for i in range(4, 9)]
    assert len(own.of_split("test")) == 4
    assert own.of_split("train") is own
    assert own.digest() != Apart(own.source, (DrawnSentences(3),), "form").digest()


def test_case_counts_or_does_not() -> None:
    own, others = Told(("a b", "A b", "c")), (Told(("a B", "A b")),)
    cased, uncased = Apart(own, others, "text"), Apart(own, others, "text", cased=False)
    assert [cased[i]["text"] for i in range(len(cased))] == ["a b", "c"]
    assert [uncased[i]["text"] for i in range(len(uncased))] == ["c"]
    assert cased.digest() != uncased.digest()


@pytest.mark.slow
def test_texts_are_told_apart_by_one_field() -> None:
    whole, known = SynonymRows(size=60), SynonymRows(size=20)
    texts, seen = ({rows[i]["s1"] for i in range(len(rows))} for rows in (whole, known))
    own = Apart(whole, (known,), "s1")
    assert texts & seen
    assert {own[i]["s1"] for i in range(len(own))} == texts - seen
