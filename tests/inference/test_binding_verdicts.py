"""Verdicts: of what was read against a prompt, of patches of light, and of the best of several pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from stagejax.data.multimodal.bound_items import Item, ItemWorld, digit_kinds, items_of
from stagejax.inference.pictures.binding_verdicts import PatchDetector, best_so_far, crops_of, verdict_of

BAG, BOOT = Item("red", "bag"), Item("blue", "boot")
WORLD = ItemWorld(digit_kinds(), cells=(2, 2))


def test_verdicts_tell_swaps_from_losses() -> None:
    prompt = BAG, BOOT
    assert verdict_of(prompt, [BAG]) == {"bound": 0.5, "present": 0.0, "swapped": 0.0, "all": 0.0}
    half = verdict_of(prompt, [BAG, Item("red", "boot")])
    assert half == {"bound": 0.5, "present": 1.0, "swapped": 1.0, "all": 0.0}
    other = verdict_of(prompt, [BAG, Item("green", "boot")])  # wrong, but nobody's
    assert other == {"bound": 0.5, "present": 1.0, "swapped": 0.0, "all": 0.0}
    more = verdict_of(prompt, [BAG, BOOT, Item("green", "boot")])
    assert more == {"bound": 1.0, "present": 1.0, "swapped": 0.0, "all": 0.0}
    both = verdict_of(prompt, [BAG, BOOT, Item("red", "boot")])  # its own colour is there too
    assert both["swapped"] == 0.0
    assert verdict_of(prompt, [])["bound"] == 0.0


def test_a_patch_of_two_is_parted_where_it_is_thin() -> None:
    picture = np.zeros((12, 24, 3))
    picture[2:10, 1:11, 0] = picture[2:10, 13:23, 2] = 1.0
    picture[5, 11:13, 0] = 1.0  # a bridge
    found = PatchDetector()(picture)
    assert len(found) == 2
    assert [int(patch.image.sum((0, 1)).argmax()) for patch in found] == [0, 2]
    assert len(PatchDetector()(picture.swapaxes(0, 1))) == 2


def test_specks_and_the_dark_are_nothing() -> None:
    picture = np.zeros((12, 24, 3))
    picture[3:5, 3:6] = 1.0
    picture[:, 14:20] = 0.3
    assert PatchDetector()(picture) == []


def test_readers_learn_from_crops_with_their_names() -> None:
    made = crops_of(WORLD, PatchDetector(), items_of(WORLD.kinds, WORLD.side), 24, seed=0)
    assert made["image"].shape == (24, 12, 12, 3)
    lit = made["image"].max((1, 2)) > 0.5
    for channels, label in zip(lit, made["label"], strict=True):
        color = WORLD.items[label].color
        assert (channels == {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "yellow": (1, 1, 0)}[color]).all()


def test_the_first_of_the_best_is_kept() -> None:
    worths = iter(([[0.5, 0.5]], [[0.5, 1.0]], [[1.0, 0.5]]))

    def scores(pictures: Any, prompts: Any) -> dict[str, np.ndarray]:
        bound = np.array(next(worths))
        return {"bound": bound, "all": (bound == 1).astype(float)}

    rows = [np.full((1, 2, 1, 1, 3), number, float) for number in range(3)]
    kept = [*best_so_far(scores, rows, ((BAG,), (BOOT,)))]
    assert [own[0, :, 0, 0, 0].tolist() for own in kept] == [[0, 0], [0, 1], [2, 1]]
