"""Rows of tagged words, and batches that are each from one of several data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stagejax.data import CLS, PAD, SEP, Bytes, MaskedText
from stagejax.data.language.field_text import FieldText
from stagejax.data.one_of import OneOf
from stagejax.data.tasks.tagged import DrawnSentences
from stagejax.data.tasks.tagged_rows import TaggedRecords, TaggedRows

TAGS = tuple(f"T{i}" for i in range(8))
FIRST, SECOND = DrawnSentences(9), DrawnSentences(5, seed=1)
ROWS = TaggedRows(sources=(FIRST, SECOND), tags=TAGS, tokenizer=Bytes(), batch=4, length=24)


def test_every_word_that_fits_has_its_tag_at_its_first_token() -> None:
    batch = ROWS.take(np.arange(18))
    told = set()
    for tokens, targets, weights, source in zip(
        *(batch[k] for k in ("tokens", "targets", "weights", "source")), strict=True
    ):
        ends = int(np.flatnonzero(tokens == SEP)[0])
        assert tokens[0] == CLS
        assert (tokens[ends + 1 :] == PAD).all()
        words = Bytes().decode(tokens).split(" ")[1:]
        tags = [TAGS[target] for target in targets[weights > 0]]
        assert len(words) == len(tags) == int(weights.sum())
        starts = [int(np.sum([len(word) + 1 for word in words[:i]])) + 1 for i in range(len(words))]
        np.testing.assert_array_equal(np.flatnonzero(weights), starts)
        own = (FIRST, SECOND)[source]
        match = [own[i] for i in range(len(own)) if own[i]["form"][: len(words)] == words]
        assert any(record["upos"][: len(tags)] == tags for record in match)
        told.add((int(source), *words))
    assert len(told) == 14  # all records of both sources, those of the smaller one again


def test_once_counts_every_record_once() -> None:
    held = ROWS.held_out(6)
    with held.batches() as batches:
        weights = sum(batch["weights"].sum() for batch in batches)
    one = [replace(ROWS, sources=(own,), batch=1).take(np.arange(len(own)))["weights"].sum() for own in (FIRST, SECOND)]
    assert weights == sum(one)


def test_a_source_is_needed() -> None:
    with pytest.raises(ValueError, match="0 sources"):
        replace(ROWS, sources=())
    with pytest.raises(ValueError, match="2 sources: records are those of one"):
        TaggedRecords(sources=(FIRST, SECOND), tags=TAGS, tokenizer=Bytes(), batch=4, length=24)


def text(seed: int) -> MaskedText:
    return MaskedText(source=FieldText(DrawnSentences(60, seed=seed), "form"), tokenizer=Bytes(), batch=4, length=16)


def test_a_batch_is_the_same_batch_of_one_part() -> None:
    data = OneOf(parts=(text(0), text(1)), seed=3)
    batch = data.take(np.arange(160))
    owners = data.owners(np.arange(40))
    assert 8 < owners.sum() < 32
    for step, owner in enumerate(owners):
        numbers = np.arange(4 * step, 4 * step + 4)
        assert (batch["part"][numbers] == owner).all()
        np.testing.assert_array_equal(batch["tokens"][numbers], data.parts[owner].take(numbers)["tokens"])
    half = data.take(np.arange(2, 4))
    np.testing.assert_array_equal(half["tokens"], batch["tokens"][2:4])  # whatever part of a batch a process takes


def test_parts_give_the_same() -> None:
    with pytest.raises(ValueError, match="same specification"):
        OneOf(parts=(text(0), replace(text(1), length=17)))


def test_records_are_the_samples_by_number() -> None:
    data = TaggedRecords(sources=(FIRST,), tags=TAGS, tokenizer=Bytes(), batch=4, length=24, seed=3)
    numbers = np.arange(12)
    for name, leaf in data.take(numbers).items():
        np.testing.assert_array_equal(leaf, data.take_records(data.records(numbers))[name])
    with pytest.raises(ValueError, match="2 sources"):
        replace(data, sources=(FIRST, SECOND))
