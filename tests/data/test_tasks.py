"""Image tasks: which records, at which size, in which colour; and orders of members."""

from __future__ import annotations

import numpy as np
import pytest

from stagejax.data import Digits, Images
from stagejax.data.orders import Orders
from stagejax.data.pictures.tasks import PALETTE, Coloured, ImageTask, Part, all_of, parts_for_probing, resized

TASK = ImageTask((Part(Digits(), (5, 7)), Part(Digits(), (1,))), 8)


def test_labels_count_on_from_part_to_part() -> None:
    found = all_of(TASK)
    digits = all_of(ImageTask((Part(Digits()),), 8))
    for label, digit in enumerate((5, 7, 1)):
        own = found["image"][found["label"] == label]
        assert sorted(map(bytes, own)) == sorted(map(bytes, digits["image"][digits["label"] == digit]))


def test_parts_for_probing_do_not_overlap() -> None:
    fit, validate, test = parts_for_probing(TASK, 50, 40, 20)
    assert [len(part["label"]) for part in (fit, validate, test)] == [100, 80, 40]
    held_out = set(map(bytes, all_of(TASK.of_split("test"))["image"]))
    assert set(map(bytes, test["image"])) <= held_out
    first, second = (set(map(bytes, part["image"])) for part in (fit, validate))
    assert not first & second


@pytest.mark.parametrize("size", [3, 4, 6, 8])
def test_resizing_keeps_the_mean(size: int) -> None:
    image = np.random.default_rng(0).uniform(size=(6, 6, 2)).astype(np.float32)
    np.testing.assert_allclose(resized(image, size).mean((0, 1)), image.mean((0, 1)), rtol=1e-5)


def test_colour_agrees_as_often_as_its_environment_says() -> None:
    task = ImageTask((Part(Digits()),), 8)
    train, held_out = all_of(Coloured(task)), all_of(Coloured(task).of_split("test"))

    def agreement(part: dict[str, np.ndarray]) -> np.ndarray:
        ink = part["image"].reshape(len(part["label"]), -1, 3).max(1)
        said = np.linalg.norm(ink[:, None] / ink.max(-1)[:, None, None] - PALETTE / PALETTE.max(-1)[:, None], axis=-1)
        return said.argmin(1) == part["label"]

    for environment, rate in ((0, 0.98), (1, 0.92)):
        assert agreement(train)[train["environment"] == environment].mean() == pytest.approx(rate, abs=0.03)
    assert agreement(held_out).mean() == pytest.approx(0.1, abs=0.06)


def test_members_read_the_same_data_each_in_an_order_of_its_own() -> None:
    one = Images(source=TASK, batch=4, seed=3)
    both = Orders(data=one, members=2).take(np.arange(one.size()))
    np.testing.assert_array_equal(both["image"][:, 0], one.take(np.arange(one.size()))["image"])
    assert not np.array_equal(both["label"][:, 0], both["label"][:, 1])
    np.testing.assert_array_equal(np.sort(both["label"][:, 0]), np.sort(both["label"][:, 1]))
