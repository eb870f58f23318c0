"""Packed answers: what is learned, what attention parts, and that nothing is lost."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from stagejax.data import CLS, SEP, Bytes, EmptySource
from stagejax.data.language.field_text import FieldText
from stagejax.data.language.packed_answers import PackedAnswers
from stagejax.data.language.packing import best_fit, next_fit
from stagejax.data.language.parallel import DrawnTranslations, Instructed, Interlinear, Short
from stagejax.data.portion import Portion

DRAWN = DrawnTranslations(30)
SAID = {"tokenizer": Bytes(), "batch": 2}


def documents(batch: dict[str, np.ndarray]) -> list[tuple[str, str, bool]]:
    """(all of it, what is learned, whether it is closed) of each document."""
    found = []
    for row in range(len(batch["tokens"])):
        for segment in range(1, batch["segments"][row].max() + 1):
            here = batch["segments"][row] == segment
            tokens, targets, weights = (batch[name][row][here] for name in ("tokens", "targets", "weights"))
            np.testing.assert_array_equal(batch["positions"][row][here], np.arange(here.sum()))
            np.testing.assert_array_equal(tokens[1:], targets[:-1])
            assert tokens[0] == CLS
            found.append((Bytes().decode(tokens), Bytes().decode(targets[weights > 0]), targets[-1] == SEP))
    assert not batch["weights"][batch["segments"] == 0].any()
    return found


def test_answers_alone_are_learned_and_all_are_there() -> None:
    pairs = Instructed(DRAWN, ("de", "en"), ("In English: {}\n",))
    data = PackedAnswers(source=pairs, **SAID, length=96)
    found = documents(data.take(np.arange(data.size())))
    wanted = [(own["question"] + own["solution"], own["solution"], True) for own in map(pairs.__getitem__, range(30))]
    assert sorted(found) == sorted(wanted)


def test_a_document_of_pairs_fills_its_row_and_learns_both_sides() -> None:
    lines = Interlinear(DRAWN, ("en", "de"))
    data = PackedAnswers(source=lines, **SAID, fields=("text",), joined=True, length=120)
    batch = data.take(np.arange(data.size()))
    found = documents(batch)
    assert len(found) == data.size()  # one a row
    assert all(text == learned and closed for text, learned, closed in found)  # no side is masked
    assert batch["segments"].max() == 1
    said = [line for text, _, _ in found for line in text.splitlines()]
    assert sorted(said) == sorted(line for i in range(30) for line in lines[i]["text"].splitlines())
    assert all(line[0] == "ed"[at % 2] for text, _, _ in found for at, line in enumerate(text.splitlines()))
    assert (batch["weights"] > 0).mean() > 0.7


def test_long_texts_are_cut_and_long_answers_refused() -> None:
    texts = FieldText(DRAWN, "en")
    data = PackedAnswers(source=texts, **SAID, fields=("text",), length=6)
    found = documents(data.take(np.arange(data.size())))
    assert all(len(text) <= 5 for text, _, _ in found)
    assert sum(len(text) for text, _, _ in found) == sum(len(texts[i]["text"]) for i in range(30))
    with pytest.raises(ValueError, match="but a row holds 8: raise `length`"):
        PackedAnswers(source=Instructed(DRAWN, ("de", "en"), ("{}\n",)), **SAID, length=8).size()
    with pytest.raises(ValueError, match="only texts without prompts"):
        PackedAnswers(source=texts, **SAID, joined=True, length=8)
    with pytest.raises(EmptySource, match="gives no text"):
        PackedAnswers(source=FieldText(Short(DRAWN, ("en",), 1), "en"), **SAID, fields=("text",), length=8).size()


def test_the_order_is_anew_in_every_epoch_and_by_seed() -> None:
    data = PackedAnswers(source=FieldText(Portion(DRAWN, stop=20), "en"), **SAID, fields=("text",), length=24, seed=1)
    size = data.size()
    one, other = (data.take(np.arange(epoch * size, (epoch + 1) * size))["tokens"] for epoch in (0, 1))
    assert not np.array_equal(one, other)
    assert sorted(map(tuple, one.tolist())) == sorted(map(tuple, other.tolist()))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 9), max_size=30), st.integers(9, 14))
def test_best_fit_overlaps_nothing_and_needs_no_more_rows_than_next_fit(sizes: list[int], length: int) -> None:
    rows, places = best_fit(sizes, length)
    used = np.zeros((len(sizes) + 1, length), int)
    for size, row, place in zip(sizes, rows, places, strict=True):
        used[row, place : place + size] += 1
    assert used.max(initial=0) <= 1
    assert used.sum() == sum(sizes)
    assert rows.max(initial=-1) <= next_fit(sizes, length)[0].max(initial=-1)
    with pytest.raises(ValueError, match="document 0 predicts"):
        best_fit([length + 1], length)
