"""Tasks as instructions and the stream that a model meets: parts that share no record, and scores in one order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from stagejax.data import Bytes, Stdlib
from stagejax.data.language.language_stream import LanguageStream
from stagejax.data.prompts.instructed import SpokenIn, drawn_instructions, names_of
from stagejax.data.sources import Record, Source
from stagejax.data.vocabulary.learned import LearnedFrom
from stagejax.data.vocabulary.whole_words import WholeWords

TASKS, TEXT = drawn_instructions(60), Stdlib(limit=100_000)
WORDS = LearnedFrom(WholeWords(Bytes(), names_of(TASKS)), TEXT)
STREAM = LanguageStream(WORDS, (TEXT, TEXT), TASKS, longest=30, length=56, batch=4)


@dataclass(frozen=True)
class Greetings(Source):
    """Two records in two languages."""

    split: str = "train"

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Record:
        return ({"en": "good day", "de": "guten Tag"}, {"en": "thanks", "de": "danke"})[index]

    def digest(self) -> str:
        return self.split


def test_texts_are_in_their_languages_by_turns() -> None:
    spoken = SpokenIn(Greetings(), ("en", "de"))
    assert [spoken[i] for i in range(2)] == [{"text": "good day", "label": 0}, {"text": "danke", "label": 1}]
    assert spoken.of_split("test").source.split == "test"
    assert spoken.digest() != SpokenIn(Greetings(), ("de", "en")).digest()


@pytest.mark.parametrize("task", range(3))
def test_training_and_validation_share_no_record_and_tests_are_another_split(task: int) -> None:
    parts = {part: TASKS[task].questions(part, longest=60) for part in ("train", "valid", "test")}
    assert [len(parts[part].source) for part in ("train", "valid")] == [54, 6]
    assert len(parts["test"]) == 60
    own = TASKS[task].task.source
    picked = [parts[part].source.source.task.source for part in ("train", "valid")]
    texts = [[tuple(part[i].items()) for i in range(len(part))] for part in picked]
    assert sorted(texts[0] + texts[1]) == sorted(tuple(own[i].items()) for i in range(len(own)))
    assert parts["test"].split == "test"


@pytest.mark.parametrize("longest", [12, 60])
@pytest.mark.parametrize("task", range(3))
def test_no_question_is_in_two_parts_cut_as_it_is(task: int, longest: int) -> None:
    parts = [TASKS[task].questions(part, longest) for part in ("train", "valid", "test")]
    asked = [{part[i]["question"].lower() for i in range(len(part))} for part in parts]
    whole = TASKS[task].task.part("train", 0.1)
    assert not asked[0] & (asked[1] | asked[2])
    assert not asked[1] & asked[2]
    assert len(parts[0]) < len(whole.source) or longest > 12  # short ones are often the same


def test_the_end_of_a_text_is_kept_where_a_task_says_so() -> None:
    last = replace(TASKS[0], ending=13).questions("test", longest=60)
    whole = TASKS[0].questions("test", longest=1000)
    for i in range(20):
        said = last[i]["question"].removeprefix("who ? ").removesuffix(" =>")
        assert len(said) <= 13
        assert whole[i]["question"].removesuffix(" =>").endswith(said)


def test_names_are_a_token_each_and_answers_begin_with_them() -> None:
    for task, names in enumerate(STREAM.names):
        batch = STREAM.rows(task, "train").take(np.arange(20))
        at = (batch["weights"] > 0).argmax(1)
        first = batch["targets"][np.arange(20), at]
        assert set(first.tolist()) <= set(names)
        assert (batch["weights"].sum(1) == 2).all()  # the name and the end


def test_the_suite_has_tasks_in_their_own_order_and_then_the_corpora() -> None:
    suite = STREAM.suite("test", each=2)
    batch = suite.take(np.arange(suite.batch))
    assert batch["task"].tolist() == [0, 1, 2, 3, 4] * 2
    learned = batch["weights"].sum(1).reshape(2, 5)
    assert (learned[:, :3] == 2).all()
    assert (learned[:, 3:] == 56).all()


def test_a_stream_has_its_tasks_in_the_order_that_is_asked_for() -> None:
    data = STREAM.tasks_in((2, 0), seed=3)
    first = data.take_of(np.zeros(5, int), np.arange(5))
    starts = (first["weights"] > 0).argmax(1)
    assert set(first["targets"][np.arange(5), starts].tolist()) <= set(STREAM.names[2])
    assert STREAM.corpora_in(range(2), seed=0).tasks == 2
