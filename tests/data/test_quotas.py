"""Examples drawn task by task: uniform over tasks, none twice, none beyond a quota."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data.selection.quotas import drawn_by_task


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 4), min_size=5, max_size=60), st.integers(1, 9), st.integers(0, 99))
def test_nothing_is_drawn_twice_nor_beyond_the_quota(tasks: list[int], quota: int, seed: int) -> None:
    own = np.array(tasks)
    most = np.minimum(np.bincount(own), quota).sum()
    drawn = drawn_by_task(own, int(most), quota, seed)
    assert len(set(drawn.tolist())) == len(drawn) == most
    assert (np.bincount(own[drawn], minlength=5) == np.minimum(np.bincount(own, minlength=5), quota)).all()


def test_a_large_task_is_drawn_no_more_often_than_a_small_one() -> None:
    own = np.repeat([0, 1], [1000, 100_000])
    counts = np.bincount(own[drawn_by_task(own, 600, seed=2)])
    assert abs(counts[0] - counts[1]) < 4 * np.sqrt(600)  # 4 deviations of a fair coin, and more


def test_more_than_the_tasks_give_is_refused() -> None:
    with pytest.raises(ValueError, match="5 examples of 2 tasks that give 4 at most"):
        drawn_by_task(np.array([0, 0, 0, 1, 1]), 5, quota=2)
