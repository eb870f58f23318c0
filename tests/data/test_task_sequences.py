"""Sequences of tasks: permutations are of pixels alone and hold for both splits; splits share no class."""

from __future__ import annotations

import numpy as np
import pytest

from stagejax.data import Digits, Images, Portion
from stagejax.data.pictures.task_sequences import PermutedTasks, SplitTasks, permutations

IMAGES = Images(source=Portion(Digits(), stop=200), batch=10)


def test_permuted_tasks_are_the_same_images_in_other_orders_of_pixels() -> None:
    sequence = PermutedTasks(data=IMAGES, tasks=4, seed=7)
    orders = permutations(7, 4, 64)
    assert all(sorted(order) == list(range(64)) for order in orders.tolist())
    assert len({tuple(order) for order in orders.tolist()}) == 4
    places = np.array([3, 3, 8, 8])
    batch, plain = sequence.take_of(np.array([0, 1, 2, 3]), places), IMAGES.take_records(places)
    for task in range(4):
        expected = plain["image"][task].reshape(-1)[orders[task]]
        np.testing.assert_array_equal(batch["image"][task].reshape(-1), expected)
    np.testing.assert_array_equal(batch["label"], plain["label"])
    assert (orders != permutations(8, 4, 64)).any()


def test_held_out_images_have_the_permutations_of_their_task() -> None:
    sequence = PermutedTasks(data=IMAGES, tasks=3, seed=1)
    test = sequence.held_out(2)
    image = test.take_of(np.array([2]), np.array([5]))["image"].reshape(-1)
    plain = Digits("test")[5]["image"].astype(np.float32).reshape(-1)
    scale = plain.max() / image.max()
    np.testing.assert_allclose(image * scale, plain[permutations(1, 3, 64)[2]], rtol=1e-6)


def test_as_data_it_has_all_tasks_by_turns_each_record_once_an_epoch() -> None:
    sequence = PermutedTasks(data=IMAGES, tasks=4)
    batch = sequence.take(np.arange(800))
    assert np.bincount(batch["task"]).tolist() == [200] * 4
    assert len({image.tobytes() for image in batch["image"][batch["task"] == 1]}) == 200
    assert sequence.size() == 800
    assert [sequence.order(task, np.arange(200)).tolist() for task in (0, 1)] != [list(range(200))] * 2


def test_split_tasks_share_no_class_and_leave_no_record_out() -> None:
    sequence = SplitTasks(data=IMAGES, tasks=5, seed=2, classes=10)
    assert sorted(sequence.groups().ravel().tolist()) == list(range(10))
    assert sum(sequence.size_of(task) for task in range(5)) == 200
    for task in range(5):
        size = sequence.size_of(task)
        labels = sequence.take_of(np.full(size, task), np.arange(size))["label"]
        assert set(labels.tolist()) == set(sequence.groups()[task].tolist())
    with pytest.raises(ValueError, match="evenly"):
        SplitTasks(data=IMAGES, tasks=3, classes=10)
