"""Random tasks: a sample is a function of its number, a task of its own, and no held-out task is one of training."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from stagejax.data import Mixture
from stagejax.data.pictures.random_tasks import ENDLESS, UNSEEN, RandomTasks
from stagejax.data.sources import Record, Source

SIZES = (3, 5, 7, 9)


@dataclass(frozen=True)
class Numbered(Source):
    """A few images of four classes, whose first pixel is their number."""

    split: str = "train"

    def __len__(self) -> int:
        return sum(SIZES)

    def __getitem__(self, index: int) -> Record:
        label = int(np.repeat(np.arange(4), SIZES)[index * 5 % 24])  # in no order of classes
        image = np.full((1, 2, 1), index, np.float32)
        return {"image": image, "label": label}

    def digest(self) -> str:
        return "numbered"


DATA = RandomTasks(source=Numbered(), batch=4, length=6, shape=(1, 2, 1), classes=4, ways=2, tasks=5)
NUMBERS = np.arange(3000)


def classes_of(images: np.ndarray) -> np.ndarray:
    """The true classes of images, by their pixel."""
    values = np.arange(24.0)
    index = np.rint(images[..., 0] * values.std() + values.mean()).astype(int)
    return np.array([Numbered()[i]["label"] for i in range(24)])[index]


def test_a_sample_is_a_function_of_its_number() -> None:
    together = DATA.take(NUMBERS[:50])
    for number in (0, 7, 49):
        alone = DATA.take(np.array([number]))
        assert all((alone[name][0] == together[name][number]).all() for name in alone)
    with DATA.batches({"step": 3}) as batches:
        np.testing.assert_array_equal(next(batches)["image"], together["image"][12:16])


def test_a_task_keeps_its_labels_and_its_key() -> None:
    sample, tasks = DATA.take(NUMBERS), DATA.task_numbers(NUMBERS)
    assert set(tasks) == set(range(5))
    classes = classes_of(sample["image"])
    seen = set()
    for task in range(5):
        own = tasks == task
        assert len(np.unique(sample["task"][own], axis=0)) == 1
        meaning = {(int(label), int(c)) for label, c in zip(sample["label"][own].flat, classes[own].flat, strict=True)}
        assert sorted(label for label, _ in meaning) == [0, 1]  # each label stands for one class
        assert [c for _, c in sorted(meaning)] == DATA.chosen(np.array([task]))[0].tolist()
        seen.add(tuple(sorted(meaning)))
    assert len(seen) > 1
    assert len(np.unique(sample["task"], axis=0)) == 5


def test_images_of_a_task_are_drawn_alike() -> None:
    data = replace(DATA, ways=4, tasks=1)
    values, counts = np.unique(data.take(NUMBERS)["image"][..., 0], return_counts=True)
    assert len(values) == 24
    assert abs(counts / counts.sum() * 24 - 1).max() < 0.15
    np.testing.assert_allclose([values.mean(), values.std()], [0, 1], atol=1e-6)


def test_every_order_of_labels_comes_about_as_often() -> None:
    orders, counts = np.unique(replace(DATA, tasks=ENDLESS).chosen(NUMBERS), axis=0, return_counts=True)
    assert len(orders) == 12
    assert abs(counts / counts.sum() * 12 - 1).max() < 0.2


def test_without_permutation_a_label_is_its_class_and_maps_stay_those_of_the_tasks() -> None:
    fixed = replace(DATA, permuted=False)
    sample = fixed.take(NUMBERS[:200])
    np.testing.assert_array_equal(classes_of(sample["image"]), sample["label"])
    np.testing.assert_array_equal(sample["task"], DATA.take(NUMBERS[:200])["task"])


def test_held_out_tasks_are_none_of_training() -> None:
    training, held_out = replace(DATA, tasks=ENDLESS), replace(DATA, permuted=False).held_out(3)
    assert training.task_numbers(NUMBERS).max() < ENDLESS < UNSEEN <= held_out.task_numbers(NUMBERS).min()
    assert (held_out.permuted, held_out.source.split, held_out.count) == (True, "test", 3)
    ours, theirs = (set(map(tuple, data.take(NUMBERS)["task"].tolist())) for data in (training, held_out))
    assert not ours & theirs
    assert len(ours) == len(NUMBERS)  # none comes twice


def test_a_mixture_has_the_share_of_the_fixed_permutation_in_every_batch() -> None:
    fixed = replace(DATA, permuted=False, seed=1)
    mixed = Mixture(parts=(fixed, DATA), weights=(3, 1))
    sample, owners = mixed.take(NUMBERS[:400]), mixed.owners(NUMBERS[:400])
    assert (np.bincount(owners.reshape(-1, 20).sum(1)) > 0).sum() <= 2
    mine = owners == 0
    np.testing.assert_array_equal(classes_of(sample["image"])[mine], sample["label"][mine])


def test_grey_images_are_repeated_along_channels_and_others_refused() -> None:
    colour = replace(DATA, shape=(1, 2, 3)).take(NUMBERS[:5])["image"]
    np.testing.assert_array_equal(colour, np.repeat(DATA.take(NUMBERS[:5])["image"], 3, axis=-1))
    with pytest.raises(ValueError, match="Set `shape` to theirs"):
        replace(DATA, shape=(2, 2, 1)).take(NUMBERS[:1])
    with pytest.raises(ValueError, match="ways=5 of classes=4"):
        replace(DATA, ways=5)
