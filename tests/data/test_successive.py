"""Data as tasks in sequence: who is asked when, and that rehearsal remembers as little as it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stagejax.data.prompts.answers import Answers
from stagejax.data.reasoning.problems import Problems
from stagejax.data.selection.rehearsal import mixed_in
from stagejax.data.selection.successive import Successive, most_frequent

EASY = Problems(size=40, steps=(1,))
ROWS = Answers(source=EASY, tokenizer=EASY.tokenizer(), batch=4, length=60)
THREE = Successive(data=tuple(replace(ROWS, source=Problems(size=40, steps=(n,))) for n in (1, 2, 3)), tasks=3)


def test_a_task_has_each_of_its_own_rows_once_an_epoch() -> None:
    batch = THREE.take(np.arange(3 * 40))
    learned = batch["weights"].sum(1)
    for task in range(3):
        own = batch["task"] == task
        assert learned[own].tolist() == [3 + 6 * (task + 1)] * 40
        alone = THREE.data[task].take(np.arange(40))["tokens"]
        assert sorted(map(tuple, batch["tokens"][own].tolist())) == sorted(map(tuple, alone.tolist()))


def test_rehearsal_has_a_quarter_of_old_rows_and_no_others_than_the_kept_ones() -> None:
    data = mixed_in(THREE, rows=40, share=0.25, memory=2)
    phases = [data.take(np.arange(40 * k, 40 * (k + 1))) for k in range(3)]
    assert [np.bincount(phase["task"], minlength=3).tolist() for phase in phases] == [
        [40, 0, 0],
        [10, 30, 0],
        [5, 5, 30],
    ]
    for k, task in ((1, 0), (2, 0), (2, 1)):
        rows = phases[k]["tokens"][phases[k]["task"] == task]
        assert len(np.unique(rows, axis=0)) == 2


def test_a_memory_may_be_a_share_of_the_records_of_each_task() -> None:
    few = replace(ROWS, source=Problems(size=20, steps=(2,)))
    data = mixed_in(Successive(data=(ROWS, few, ROWS), tasks=3), rows=80, share=0.5, memory=0.1)
    last = data.take(np.arange(160, 240))
    assert [len(np.unique(last["tokens"][last["task"] == task], axis=0)) for task in range(2)] == [4, 2]
    assert replace(data, memory=0.001).kept(0) == 1


def test_held_out_it_is_the_held_out_rows_of_every_task() -> None:
    held = THREE.held_out(3)
    assert held.count == 3
    assert [own.source.split for own in held.data] == ["test"] * 3
    assert np.bincount(held.take(np.arange(12))["task"]).tolist() == [4, 4, 4]


def test_data_of_another_shape_are_an_error() -> None:
    with pytest.raises(ValueError, match="same fields"):
        Successive(data=(ROWS, replace(ROWS, length=61)), tasks=2)
    with pytest.raises(ValueError, match="1 data of 2"):
        Successive(data=(ROWS,), tasks=2)


def test_luck_is_the_share_of_the_most_frequent_first_word() -> None:
    batch = THREE.take(np.arange(3 * 20))
    first = batch["targets"][np.arange(60), (batch["weights"] > 0).argmax(1)]
    expected = [max(np.bincount(first[batch["task"] == task])) / 20 for task in range(2)]
    assert most_frequent(THREE, 2, 20)["share"].tolist() == expected
