"""Sentences about people: parts are apart, every fact can be learned, it is asked for in other words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data import BPE, Stdlib
from stagejax.data.knowledge.biographies import PARTS, Cloze, Sentences
from stagejax.data.knowledge.facts import RELATIONS, People
from stagejax.data.prompts.answers import Answers
from stagejax.data.selection.repeated import Repeated
from stagejax.data.vocabulary.learned import LearnedFrom

PEOPLE = People(80)


def texts(source: Sentences | Cloze, field: str = "text") -> list[str]:
    return [source[i][field] for i in range(len(source))]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 30), st.integers(1, 20), st.sampled_from([0.0, 0.1, 0.3, 0.5]))
def test_parts_share_no_sentence_and_hold_all(first: int, count: int, held: float) -> None:
    told = Sentences(PEOPLE, first, first + count, ways=(0, 1, 2), held=held)
    parts = {part: texts(told.of_split(part)) for part in PARTS}
    together = [text for own in parts.values() for text in own]
    facts = count * len(RELATIONS)
    assert len(together) == len(set(together)) == 3 * facts
    assert len(parts["tracking"]) == len(parts["test"]) == min(round(held * facts), facts // 2) or held == 0.5


def test_every_fact_is_in_the_train_part() -> None:
    train = texts(Sentences(PEOPLE, 10, 40, ways=(0, 1), held=0.5))
    for person in range(80):
        for relation in range(len(RELATIONS)):
            said = [t for t in train if PEOPLE.name(person) in t and PEOPLE.object(person, relation) in t]
            assert bool(said) == (10 <= person < 40)


def test_questions_are_sentences_without_their_ends() -> None:
    asked, told = Cloze(PEOPLE, 10, 40, ways=(3,), mark=2), Sentences(PEOPLE, 10, 40, ways=(3,))
    assert [q + a for q, a in zip(texts(asked, "question"), texts(asked, "solution"), strict=True)] == texts(told)
    assert {asked[i]["mark"] for i in range(len(asked))} == {2}
    others = " ".join(texts(Sentences(PEOPLE, 10, 40, ways=(0, 1, 2))))
    assert not any(question in others for question in texts(asked, "question"))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="name people"):
        Sentences(PEOPLE, 70, 90, ways=(0,))
    with pytest.raises(ValueError, match="two wordings"):
        Sentences(PEOPLE, 0, 9, ways=(0,), held=0.1)
    with pytest.raises(ValueError, match="does not end"):
        Cloze(PEOPLE, 0, 9, ways=(1,))


def test_a_repeated_batch_is_that_of_the_part_named() -> None:
    told = Sentences(PEOPLE, 0, 40, ways=(0, 1, 2), held=0.2)
    tokenizer = LearnedFrom(BPE(300), Stdlib(limit=100_000))
    source = told.of_split("tracking")
    data = Answers(source=source, tokenizer=tokenizer, batch=6, length=80, fields=("title", "text"), prompts=True)
    repeated = Repeated(data=data)
    batches = [next(repeated.batches({"step": step}))["tokens"] for step in (0, 1, 7)]
    assert all(np.array_equal(batches[0], batch) for batch in batches)
    np.testing.assert_array_equal(batches[0], data.take(np.arange(6))["tokens"])
    assert repeated.spec() == data.spec()
    assert repeated.digest() == data.digest()
