"""Scenes: boxes are around the ink, record n is a function of n, labels of clients are in no batch."""

import numpy as np
import pytest

from stagejax.data import Digits
from stagejax.data.pictures.scenes import NO_BOX, WEATHERS, Detection, Scenes, Sites


def test_boxes_are_around_the_ink_and_apart() -> None:
    for i in range(30):
        scene = Scenes(Digits(), 30)[i]
        ink = scene["image"][..., 0] > 0.5
        inside = np.zeros_like(ink)
        for box, label in zip(np.rint(scene["boxes"] * 48).astype(int), scene["labels"], strict=True):
            top, left, bottom, right = box
            if label == NO_BOX:
                assert not box.any()
                continue
            assert not inside[top:bottom, left:right].any()
            inside[top:bottom, left:right] = True
            assert ink[top:bottom, left:right].any()
            assert max(bottom - top, right - left) <= 18
        assert not (ink & ~inside).any()


def test_scenes_differ_by_number_seed_split_and_weather() -> None:
    first = Scenes(Digits(), 4)
    others = [Scenes(Digits(), 4, seed=1), Scenes(Digits(), 4).of_split("test"), Scenes(Digits(), 4, ("snowy",))]
    assert all(not np.array_equal(first[0]["image"], other[0]["image"]) for other in (*others, [first[1]]))
    np.testing.assert_array_equal(first[2]["image"], Scenes(Digits(), 99)[2]["image"])
    assert len({source.digest() for source in (first, *others)}) == 4


@pytest.mark.parametrize("weather", WEATHERS)
def test_weathers(weather: str) -> None:
    image = np.random.default_rng(0).uniform(0.2, 0.8, (48, 48))
    seen = WEATHERS[weather](image.copy(), np.random.default_rng(1))
    if weather == "cloudy":
        np.testing.assert_array_equal(seen, image)
    elif weather == "overcast":
        assert seen.std() < 0.2 * image.std()
    else:
        assert seen.max() > 0.9 or seen.std() > image.std()


def test_labels_of_clients_are_in_no_batch() -> None:
    data = [Detection(source=Scenes(Digits(), 12, (w,)), batch=4, seed=i) for i, w in enumerate(WEATHERS)]
    sites = Sites(server=data[0], clients=tuple(data[1:]))
    with sites.batches() as batches:
        batch = next(batches)
    assert set(batch) == {"image", "boxes", "labels", "clients"} == set(sites.spec())
    for name in ("image", "boxes", "labels"):
        np.testing.assert_array_equal(batch[name], data[0].take(np.arange(4))[name])
    for k in range(3):
        np.testing.assert_array_equal(batch["clients"][:, k], data[k + 1].take(np.arange(4))["image"])
    with pytest.raises(ValueError, match="same batch"):
        Sites(server=data[0], clients=(Detection(source=data[1].source, batch=8),))
