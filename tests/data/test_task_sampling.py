"""Tasks sampled by their sizes: exact shares, every record once, the same rows wherever one begins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stagejax.data import Bytes, Digits, Stdlib
from stagejax.data.selection.of_labels import OfLabels
from stagejax.data.selection.task_sampling import (
    NumberedTasks,
    SampledTasks,
    annealed,
    proportional,
    temperature,
    uniform,
)
from stagejax.data.tasks.text_tasks import TaskBatches, constant_scores, synonym_tasks

WHO, DOES, SAME, SCORE = synonym_tasks(200)
TEXT = {"tokenizer": Bytes(), "learned_from": Stdlib(), "length": 40}
TASKS = (WHO, DOES.few(60, 0), SCORE.few(20, 0))
DATA = SampledTasks(tasks=TASKS, sampling=annealed(), batch=7, epoch=70, epochs=3, seed=1, **TEXT)


@pytest.mark.parametrize(
    ("sampling", "exponents"),
    [(proportional(), (1, 1, 1)), (uniform(), (0, 0, 0)), (temperature(2.0), (0.5,) * 3), (annealed(), (1, 0.6, 0.2))],
)
def test_shares_are_powers_of_sizes(sampling: object, exponents: tuple[float, ...]) -> None:
    sizes = np.array([6000.0, 1000.0, 500.0])
    for epoch, exponent in enumerate((*exponents, exponents[-1]), start=1):  # and behind the last epoch
        wanted = sizes**exponent / (sizes**exponent).sum()
        np.testing.assert_allclose(sampling.shares((6000, 1000, 500), epoch, 3), wanted)  # type: ignore[attr-defined]


def test_every_epoch_has_exact_shares_spread_evenly() -> None:
    owners, _ = DATA.drawn(np.arange(5 * 70))
    for epoch in range(5):
        own = owners[70 * epoch : 70 * (epoch + 1)]
        counts, shares = np.bincount(own, minlength=3), annealed().shares(DATA.sizes, epoch + 1, 3)
        assert np.abs(counts - 70 * shares).max() < 1
        halves = np.bincount(own[:35], minlength=3)
        assert np.abs(halves - counts / 2).max() <= 1


def test_a_task_goes_through_all_its_records_before_one_comes_again() -> None:
    owners, records = DATA.drawn(np.arange(400))
    for task, size in enumerate(DATA.sizes):
        own = records[owners == task]
        for start in range(0, len(own) - size + 1, size):
            assert sorted(own[start : start + size]) == list(range(size))
    last = records[owners == 2]
    assert len(last) >= 40  # the smallest one twice at least, in two orders
    assert last[:20].tolist() != last[20:40].tolist()


def test_samples_do_not_depend_on_where_one_begins() -> None:
    whole, later = DATA.take(np.arange(300)), DATA.take(np.arange(200, 300))
    for name, leaf in later.items():
        np.testing.assert_array_equal(whole[name][200:], leaf)


def test_rows_are_those_of_the_tasks_and_records_are_numbered_through_all() -> None:
    numbers = np.arange(90)
    rows, records = DATA.take(numbers), DATA.records(numbers)
    again = DATA.take_records(records)
    for name, leaf in rows.items():
        np.testing.assert_array_equal(leaf, again[name])
    starts = np.cumsum([0, *DATA.sizes])
    for task, record, label in zip(rows["task"], records, rows["label"], strict=True):
        own = TASKS[task]
        assert label == np.float32(own.source[int(record - starts[task])][own.label] / own.unit)
    assert DATA.size() == sum(DATA.sizes) == 280
    np.testing.assert_array_equal(np.array([5, 5, 1])[rows["task"]], rows["classes"])


def test_tasks_may_be_called_by_other_numbers_in_training_and_test() -> None:
    one = replace(DATA, tasks=TASKS[:1], numbers=(3,))
    assert set(one.take(np.arange(20))["task"]) == {3}
    held = one.held_out(2)
    assert isinstance(held, NumberedTasks)
    assert held.numbers == (3,)
    plain = TaskBatches(tasks=held.tasks, rows=held.rows, once=True, **TEXT).take(np.arange(14))
    for name, leaf in held.take(np.arange(14)).items():
        np.testing.assert_array_equal(leaf, np.full(14, 3) if name == "task" else plain[name])
    with pytest.raises(ValueError, match="give one for each"):
        replace(one, numbers=(3, 4))
    with pytest.raises(ValueError, match="at least 1"):
        replace(one, epoch=0)


def test_test_rows_have_weight_once() -> None:
    held = DATA.held_out(1)
    rows = held.take(np.arange(3 * 250))
    assert [rows["weight"][rows["task"] == t].sum() for t in range(3)] == [
        len(t.of_split("test").source) for t in TASKS
    ]


def test_records_of_some_labels_only() -> None:
    few = OfLabels(Digits(), (3, 7))
    assert {few[i]["label"] for i in range(len(few))} == {3, 7}
    assert {few.of_split("test")[i]["label"] for i in range(20)} == {3, 7}
    assert len(few) + len(OfLabels(Digits(), (0, 1, 2, 4, 5, 6, 8, 9))) == len(Digits())
    assert few.digest() != OfLabels(Digits(), (3, 8)).digest()
    with pytest.raises(ValueError, match="among"):
        len(OfLabels(Digits(), (11,)))


def test_a_constant_answer_has_the_share_of_the_largest_class_and_no_correlation() -> None:
    found = constant_scores(("same",), WHO, SAME, SCORE)
    labels = [WHO.source[i]["who"] for i in range(200)]
    assert found == {"who": max(map(labels.count, range(5))) / 200, "same": 0.0, "score": 0.0}
