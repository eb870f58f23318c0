"""Batches of several text tasks: who is in them, what a row holds, and that an evaluation counts every record once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagejax.data import CLS, PAD, SEP, Bytes, Portion, Stdlib
from stagejax.data.tasks.text_tasks import SynonymRows, TaskBatches, TaskText, fitting, synonym_tasks

TASKS = synonym_tasks(60)
DATA = TaskBatches(tasks=TASKS, tokenizer=Bytes(), learned_from=Stdlib(limit=100_000), rows=3, length=96)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=2), st.integers(2, 50))
def test_the_longer_text_is_cut_first(sizes: list[int], room: int) -> None:
    kept = fitting(sizes, room)
    assert all(0 < k <= size for k, size in zip(kept, sizes, strict=True))
    assert sum(kept) == min(sum(sizes), room)
    if len(sizes) == 2 and kept != sizes:
        long = sizes.index(max(sizes))
        assert kept[long] >= kept[1 - long] - 1  # it is not cut below the other


def test_every_part_of_a_batch_has_every_task() -> None:
    with DATA.batches({"step": 4}) as whole, DATA.batches({"step": 4}, (2, 3)) as third:
        batch, part = next(whole), next(third)
    np.testing.assert_array_equal(np.bincount(batch["task"]), [3, 3, 3, 3])
    np.testing.assert_array_equal(np.bincount(part["task"]), [1, 1, 1, 1])
    np.testing.assert_array_equal(part["tokens"], batch["tokens"][8:])


def test_a_row_is_its_record() -> None:
    data = replace(DATA, tasks=(TASKS[3], TASKS[0]))
    batch, source = data.take(np.arange(120)), TASKS[0].source
    told = {}
    for row in range(120):
        ids = batch["tokens"][row]
        ends = np.flatnonzero(ids == SEP)
        assert ids[0] == CLS
        assert (ids[ends[-1] + 1 :] == PAD).all()
        texts = tuple(Bytes().decode(part) for part in np.split(ids[1 : ends[-1]], ends[:-1] - 1))
        told[(int(batch["task"][row]), texts)] = batch["label"][row]
    for index in range(60):
        record = source[index]
        assert told[0, (record["s1"], record["s2"])] == np.float32(record["score"] / 5)
        assert told[1, (record["s1"],)] == record["who"]
    assert len(told) <= 120
    assert set(batch["classes"]) == {1, 5}


def test_an_evaluation_counts_every_record_once() -> None:
    few = replace(TASKS[2], source=SynonymRows(size=10))
    held = replace(DATA, tasks=(few, *TASKS[:2]), rows=20).held_out(3)
    with held.batches() as batches:
        found = list(batches)
    for number, size in enumerate((10, 60, 60)):
        counted = [batch["weight"][batch["task"] == number] for batch in found]
        assert np.concatenate(counted).sum() == size
    training = replace(DATA, tasks=(few, *TASKS[:2]))
    assert training.take(np.arange(90))["weight"].all()  # a small task begins again


def test_text_for_pretraining_has_no_label_and_is_of_the_same_records() -> None:
    task = replace(TASKS[2], source=Portion(SynonymRows(size=60), stop=7))
    text = TaskText(task)
    assert len(text) == 7
    assert set(text[0]) == {"text"}
    assert text[3]["text"].split("\n") == [task.source[3]["s1"], task.source[3]["s2"]]
    assert text.of_split("test").task.source.split == "test"


def test_labels_are_what_the_sentences_say() -> None:
    rows = [SynonymRows()[i] for i in range(300)]
    assert all((row["same"] == 1) == (row["score"] > 2.5) for row in rows)
    for row in rows:
        assert ("dog" in row["s1"] or "hound" in row["s1"]) == (row["who"] == 2)
        assert ("paints" in row["s1"] or "colours" in row["s1"]) == (row["does"] == 2)


def test_no_task_is_refused() -> None:
    with pytest.raises(ValueError, match="at least"):
        replace(DATA, tasks=())
