"""Scenes: labels are those of the source by a table, images are reduced by area, the night is the day in the dark."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from stagejax.data.pictures.segmentation import VOID, MiddleSquare, Night, Segmentation, Shapes
from stagejax.data.sources import Source

RNG = np.random.RandomState(0)
IMAGES, LABELS = RNG.randint(0, 256, (6, 4, 8, 3)).astype(np.uint8), RNG.randint(0, 9, (6, 4, 8)).astype(np.uint8)


@dataclass(frozen=True)
class Streets(Source):
    split: str = "train"

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Any:
        return {"x": IMAGES[index], "y": LABELS[index, ..., None]}

    def digest(self) -> str:
        return "streets"


STREETS = Segmentation(source=Streets(), classes=(7, 3), batch=3, shape=(2, 4, 3))


def test_labels_by_a_table_and_images_by_area() -> None:
    batch = STREETS.take_records(np.arange(6))
    wanted = LABELS[:, ::2, ::2]
    np.testing.assert_array_equal(batch["label"] == 0, wanted == 7)
    np.testing.assert_array_equal(batch["label"] == 1, wanted == 3)
    np.testing.assert_array_equal(batch["label"] == VOID, ~np.isin(wanted, (7, 3)))
    np.testing.assert_allclose(batch["image"][2, 1, 3], IMAGES[2, 2:, 6:].reshape(4, 3).mean(0) / 255, rtol=1e-6)
    assert {name: (x.shape[1:], x.dtype) for name, x in batch.items()} == {
        name: (x.shape, x.dtype) for name, x in STREETS.sample_spec().items()
    }


@pytest.mark.parametrize("shape", [(3, 4, 3), (2, 8, 3), (4, 8, 1), (8, 16, 3)])
def test_sizes_that_do_not_fit_are_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="Set `shape`"):
        replace(STREETS, shape=shape).size()


def test_scenes_are_a_function_of_seed_split_and_number() -> None:
    one, two = Shapes(4, seed=1), Shapes(9, seed=1)
    np.testing.assert_array_equal(one[3]["x"], two[3]["x"])
    assert not np.array_equal(one[3]["y"], one.of_split("test")[3]["y"])
    assert not np.array_equal(one[3]["x"], replace(one, seed=2)[3]["x"])
    assert one.digest() != one.of_split("test").digest()


def test_the_night_is_darker_bluer_and_labelled_alike() -> None:
    day, night = Shapes(4), Night(Shapes(4))
    for i in range(4):
        np.testing.assert_array_equal(day[i]["y"], night[i]["y"])
        a, b = (x[i]["x"].mean((0, 1)) for x in (day, night))
        assert (b < a).all()
        assert b[2] / b[0] > a[2] / a[0]
    np.testing.assert_array_equal(night[1]["x"], night[1]["x"])
    assert night.of_split("test").source == day.of_split("test")


def test_the_middle_square_is_cut_from_image_and_labels_alike() -> None:
    scenes = Shapes(4, size=(24, 33))
    square = MiddleSquare(scenes)
    for name in ("x", "y"):
        np.testing.assert_array_equal(square[2][name], scenes[2][name][:, 4:28])
    assert square.digest() != scenes.digest()
    with pytest.raises(ValueError, match="not as high"):
        MiddleSquare(Shapes(4, size=(32, 24)))[0]
