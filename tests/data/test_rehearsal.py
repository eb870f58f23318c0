"""Rehearsal by age: how many of which task a phase holds, which ones, and that sample n depends on n alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data import Digits, Images, Portion
from stagejax.data.pictures.task_sequences import PermutedTasks
from stagejax.data.selection.rehearsal import (
    DrawnBudget,
    Equal,
    Exponential,
    FixedBudget,
    FixedScale,
    LastOnly,
    PowerLaw,
    Rehearsal,
    largest_remainders,
)

T, N, R = 5, 60, 23
TASKS = PermutedTasks(data=Images(source=Portion(Digits(), stop=N), batch=8), tasks=T, seed=3)
DATA = Rehearsal(data=TASKS, rows=N, rehearsed=R, budget=FixedBudget(PowerLaw(1.0)), seed=3)


def drawn(data: Rehearsal, phase: int) -> list[tuple[int, bytes]]:
    """The task of every sample of a phase, and its image with the pixels in their own order."""
    batch = data.take(phase * data.phase + np.arange(data.phase))
    return [(int(task), image.tobytes()) for task, image in zip(batch["task"], batch["image"], strict=True)]


@settings(max_examples=60, deadline=None)
@given(weights=st.lists(st.floats(0.01, 10), min_size=1, max_size=12), total=st.integers(0, 500))
def test_whole_numbers_are_shares_rounded_and_sum_to_the_total(weights: list[float], total: int) -> None:
    shares = np.array(weights) / sum(weights) * total
    counts = largest_remainders(np.array(weights), total)
    assert counts.sum() == total
    assert (np.abs(counts - shares) < 1 + 1e-6).all()
    up = counts > np.floor(shares + 1e-9)
    if up.any() and not up.all():  # what is rounded up has the larger remainders
        rest = shares - np.floor(shares + 1e-9)
        assert rest[up].min() >= rest[~up].max() - 1e-9


def test_weights_follow_their_formulas_from_the_youngest_task_on() -> None:
    ages = np.arange(1.0, 6.0)
    for weights, expected in (
        (PowerLaw(0.5), 1 / np.sqrt(ages)),
        (Exponential(0.7), np.exp(-0.7 * ages)),
        (Equal(), np.ones(5)),
        (LastOnly(), np.eye(5)[0]),
    ):
        np.testing.assert_allclose(weights(ages), expected)
        counts = FixedBudget(weights).counts(5, 1000)  # of tasks 0 to 4, ages 5 to 1
        np.testing.assert_allclose(counts[::-1], 1000 * expected / expected.sum(), atol=1)


def test_a_fixed_scale_rehearses_as_much_of_an_age_in_every_phase() -> None:
    scale = FixedScale(PowerLaw(1.0), 10.0)
    assert scale.counts(4, 25).tolist() == [2, 3, 5, 10]
    assert scale.counts(2, 25).tolist() == [5, 10]
    with pytest.raises(ValueError, match="phase 5"):
        scale.counts(5, 20)


def test_drawn_budgets_are_the_fixed_one_in_the_mean() -> None:
    counts = np.array([DrawnBudget(PowerLaw(1.0), seed).counts(4, 100) for seed in range(300)])
    assert (counts.sum(1) == 100).all()
    assert counts.std(0).min() > 1
    np.testing.assert_allclose(counts.mean(0), 100 * np.array([3, 4, 6, 12]) / 25, atol=1)


def test_a_phase_holds_its_task_once_and_the_counts_of_the_old_ones() -> None:
    for k in range(T):
        own = drawn(DATA, k)
        counts = np.bincount([task for task, _ in own], minlength=T)
        expected = [*DATA.budget.counts(k, R), N if k else N + R] + [0] * (T - k - 1)
        assert counts.tolist() == expected
        assert len({image for task, image in own if task == k}) == N
        for task in range(k):  # no old example twice
            assert len({image for t, image in own if t == task}) == counts[task]
    tasks = [task for task, _ in drawn(DATA, 4)]
    assert 0.1 < np.mean([task < 4 for task in tasks[: len(tasks) // 2]]) < 0.45  # all shuffled together


def test_the_world_shows_new_examples_and_a_memory_the_same() -> None:
    kept = replace(DATA, memory=5)
    for data, most in ((DATA, N), (kept, 5)):
        seen = [{image for task, image in drawn(data, k) if task == 0} for k in range(1, T)]
        assert len(set.union(*seen)) <= most
    fresh = [{image for task, image in drawn(DATA, k) if task == 0} for k in (1, 2)]
    assert not fresh[1] <= fresh[0]
    counts = [image for task, image in drawn(kept, 1) if task == 0]
    assert sorted(counts.count(image) for image in set(counts)) == [4, 4, 5, 5, 5]  # 23 of 5: each 4 or 5 times


@settings(max_examples=20, deadline=None)
@given(start=st.integers(0, 10**6), picked=st.lists(st.integers(0, 49), min_size=1, max_size=8))
def test_sample_n_depends_on_n_alone(start: int, picked: list[int]) -> None:
    numbers = start + np.arange(50)
    whole = DATA.take(numbers)
    for name, leaf in DATA.take(numbers[picked]).items():
        np.testing.assert_array_equal(leaf, whole[name][picked])


def test_a_sequence_can_be_entered_at_any_phase() -> None:
    later = replace(DATA, first=2)
    numbers = np.arange(2 * DATA.phase)
    for name, leaf in later.take(numbers).items():
        np.testing.assert_array_equal(leaf, DATA.take(2 * DATA.phase + numbers)[name])
    assert later.size() == 3 * DATA.phase
    alone = replace(DATA, budget=None, first=3).take(np.arange(DATA.phase))
    assert set(alone["task"].tolist()) == {3}
