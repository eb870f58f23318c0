"""Layouts: every part of the energy by hand, moves that do what they say, boxes that annealing takes apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stagejax.search.annealing import Annealing
from stagejax.search.layouts import LayoutEnergy, LayoutMoves, disorder, outside, overlaps, repaired, same_line

NONE = {"overlap": 0.0, "outside": 0.0, "ratio": 0.0, "away": 0.0, "order": 0.0}
ALL = np.ones((1, 2), bool)


def energy(boxes: Any, start: Any = None, ratios: Any = ((1.0, 1.0),), **weights: float) -> float:
    boxes = np.array([boxes], float)
    start = boxes if start is None else np.array([start], float)
    return float(LayoutEnergy(**(NONE | weights))(boxes, start, np.array(ratios), ALL)[0])


def test_each_part_of_the_energy() -> None:
    half, right = [0.0, 0.0, 0.5, 1.0], [0.25, 0.0, 0.5, 1.0]
    assert energy([half, right], overlap=1.0) == pytest.approx(0.25 / 0.75)
    assert energy([[-0.5, 0.0, 1.0, 0.5], [0.5, 0.5, 0.25, 0.25]], outside=2.0) == pytest.approx(0.5)
    assert energy([half, right], ratios=[[0.25, 0.5]], ratio=0.3) == pytest.approx(0.3)  # twice as wide, and just right
    assert energy([half, right], [[0.3, 0.4, 0.5, 1.0], right], away=0.1) == pytest.approx(0.05)
    assert energy([right, half], order=0.3) == pytest.approx(0.3)
    assert energy([half, right], order=0.3) == 0


def test_boxes_that_are_not_there_cost_nothing() -> None:
    boxes = np.array([[[0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.5, 0.5]]])
    there = np.array([[True, False]])
    assert LayoutEnergy()(boxes, boxes, np.ones((1, 2)), there)[0] == 0
    assert overlaps(boxes, there).sum() == 0


def test_order_is_by_lines_and_then_from_left_to_right() -> None:
    line = np.array([[[0.5, 0.02, 0.2, 0.2], [0.0, 0.0, 0.2, 0.2]]])
    assert same_line(line)[0, 0, 1]
    assert disorder(line, ALL)[0] == 1  # on one line, though the second is higher
    assert disorder(line + np.array([[[0, 0.0, 0, 0], [0, 0.5, 0, 0]]]), ALL)[0] == 0


def test_outside_is_an_area() -> None:
    boxes = np.array([[[0.9, 0.9, 0.2, 0.2], [2.0, 0.0, 0.5, 0.5]]])
    np.testing.assert_allclose(outside(boxes)[0], [0.03, 0.25])


def random_boxes(pages: int, count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corners, sizes = rng.uniform(0, 0.7, (pages, count, 2)), rng.uniform((0.1, 0.3), (0.3, 0.3), (pages, count, 2))
    return np.concatenate([corners, sizes], -1)


def test_a_move_changes_one_box_or_two_of_a_line_and_none_that_is_not_there() -> None:
    boxes, rng = random_boxes(300, 4, 0), np.random.default_rng(1)
    there = np.tile(np.array([True, True, True, False]), (300, 1))
    made = LayoutMoves(least=0.3)(boxes, there, rng)
    changed = (made != boxes).any(-1)
    assert not changed[:, 3].any()
    two = changed.sum(1) == 2
    assert (changed.sum(1) <= 2).all()
    assert two.any()
    before, after = (x[two][changed[two]].reshape(-1, 2, 4) for x in (boxes, made))
    np.testing.assert_array_equal(before[..., 1:], after[..., 1:])  # two of a line change places, and nothing else
    middles = [(x[..., 0] + x[..., 2] / 2) for x in (before, after)]
    np.testing.assert_allclose(middles[0], middles[1][:, ::-1])
    assert (made[..., 3] >= 0.3 - 1e-9).all()


def test_a_box_is_sent_to_a_row_that_is_free() -> None:
    boxes = np.array([[[0.1, 0.0, 0.3, 0.3], [0.2, 0.0, 0.3, 0.3]]])
    tops = LayoutMoves()._free_row(boxes, ALL, np.array([0]), np.random.default_rng(0))
    assert tops[0] >= 0.3
    full = np.array([[[0.1, 0.0, 0.3, 0.3], [0.0, 0.0, 1.0, 1.0]]])
    assert LayoutMoves()._free_row(full, ALL, np.array([0]), np.random.default_rng(0))[0] == 0.0


@pytest.mark.slow
def test_annealing_takes_boxes_apart_and_stops_there_or_goes_on() -> None:
    boxes = random_boxes(6, 4, 3)
    there, ratios = np.ones((6, 4), bool), np.full((6, 4), 0.7)
    how = ratios, there, Annealing(800, each=8), LayoutEnergy(), LayoutMoves(least=0.25)
    soon, late = (repaired(boxes, *how, to_the_end=end) for end in (False, True))
    assert overlaps(boxes, there).sum() > 1
    assert overlaps(soon.states, there).sum() < 0.1 * overlaps(boxes, there).sum()
    assert soon.moves.sum() < late.moves.sum() == 6 * 800
    assert late.energies.mean() < soon.energies.mean()
