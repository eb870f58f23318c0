"""Rows of searches: pairs are siblings, margins differences of Q, values stand at steps, controls change one thing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stagejax.inference.reasoning import tree_rows
from stagejax.result import Result

#: One problem [1 7]; steps 4 and 5 behind it; behind 4 the answers 8 2 (right) and 9 2 (wrong); behind 5 a mistake.
PATHS = [(), (4,), (4, 8, 2), (4, 9, 2), (5,), (5, 6)]
TREES = {
    "tree": np.zeros(6, int),
    "prompt": np.zeros(6, int),
    "parent": np.array([-1, 0, 1, 1, 0, 4]),
    "tokens": np.array([[1, 7, *path] + [0] * (6 - len(path)) for path in PATHS]),
    "first": np.full(6, 2),
    "start": np.array([2, 2, 3, 3, 2, 3]),
    "end": np.array([2 + len(path) for path in PATHS]),
    "visits": np.array([5, 3, 1, 1, 2, 1]),
    "value": np.array([0.1, 0.25, 1.0, -1.0, -0.75, -1.0]),
    "reward": np.array([0.0, 0.0, 1.0, -1.0, 0.0, -1.0]),
    "final": np.array([0.0, 0.0, 1.0, 1.0, 0.0, 0.0]),
    "drawn": np.array([7, 4]),
}
MADE = Result("trees", "make", "trees", 0, value=TREES)


def test_pairs_are_siblings_and_margins_their_difference_of_q() -> None:
    better, worse, gaps = tree_rows.step_pairs(TREES)
    assert (better, worse) == ([1, 2], [4, 3])
    assert gaps == pytest.approx([1.0, 0.3 * 2.0])
    assert all(TREES["parent"][i] == TREES["parent"][j] for i, j in zip(better, worse, strict=True))


def test_of_answers_the_best_and_the_worst_alone_are_a_pair() -> None:
    more = {"parent": np.array([-1, 0, 0, 0, 0]), "value": np.array([0, 1.0, 1.0, -1.0, -1.0]), "final": np.ones(5)}
    assert tree_rows.step_pairs(more) == ([1], [3], [pytest.approx(0.6)])
    assert tree_rows.step_pairs(more | {"final": np.zeros(5)})[:2] == ([1, 1, 2, 2], [3, 4, 3, 4])


def test_siblings_that_are_all_right_or_all_wrong_give_no_pair() -> None:
    for sign in (1, -1):
        same = {"parent": np.array([-1, 0, 0]), "value": sign * np.array([0.5, 1.0, 0.2]), "final": np.zeros(3)}
        assert tree_rows.step_pairs(same) == ([], [], [])


def test_right_paths_are_whole_and_no_more_than_asked() -> None:
    rows = tree_rows.right_paths(MADE, 4, 0)
    assert rows["tokens"].tolist() == [[1, 7, 4, 8, 2, 0, 0]]
    assert rows["targets"][0, rows["weights"][0] > 0].tolist() == [4, 8, 2]
    many = TREES | {"reward": np.where(TREES["reward"] != 0, 1.0, 0.0)}
    assert len(tree_rows.right_paths(replace(MADE, value=many), 2, 0)["tokens"]) == 2
    with pytest.raises(ValueError, match="holds no right answer"):
        tree_rows.right_paths(replace(MADE, value=TREES | {"reward": -TREES["final"]}), 4, 0)


def test_rejection_sampling_learns_the_same_way() -> None:
    drawn = {"tokens": TREES["tokens"][[2, 2, 3]], "starts": np.full(3, 2), "ends": np.full(3, 5)}
    drawn |= {"prompt": np.zeros(3, int), "right": np.array([1.0, 1.0, 0.0])}
    rows = tree_rows.right_answers(4, 0, replace(MADE, value=drawn))
    for name, own in tree_rows.right_paths(MADE, 4, 0).items():
        np.testing.assert_array_equal(rows[name], own)


def test_whole_answers_are_paired_within_a_problem() -> None:
    assert tree_rows.answer_pairs(TREES) == ([2], [3], [2.0])


def test_values_stand_behind_the_steps_of_every_path_to_an_end() -> None:
    rows = tree_rows.path_values(MADE)
    assert rows["weights"].sum(1).tolist() == [2, 2, 2]
    assert rows["values"][0].tolist() == [0, 0, 0.25, 0, 1.0, 0, 0, 0]
    assert rows["values"][2].tolist() == [0, 0, -0.75, -1.0, 0, 0, 0, 0]


def pairs() -> Result:
    sides = {side: np.arange(40).reshape(8, 5) + k for k, side in enumerate(("chosen", "rejected"))}
    more = {f"{side}_weights": sides[side] > 3 for side in sides} | {
        f"{side}_reference": sides[side][:, 0] for side in sides
    }
    return replace(MADE, value=sides | more | {"margin": np.linspace(0.5, 2.0, 8, dtype=np.float32)})


def test_controls_change_margins_or_sides_and_nothing_else() -> None:
    own = pairs().value
    plain = tree_rows.shifted(pairs(), 0.5, None, 0)
    np.testing.assert_allclose(plain["margin"], own["margin"] / 2)
    assert not tree_rows.shifted(pairs(), 0.0, None, 0)["margin"].any()
    mixed = tree_rows.shifted(pairs(), 1.0, "margins", 0)
    assert sorted(mixed["margin"]) == sorted(own["margin"])
    assert (mixed["margin"] != own["margin"]).any()
    np.testing.assert_array_equal(mixed["chosen"], own["chosen"])
    coin = tree_rows.shifted(pairs(), 1.0, "sides", 0)
    swapped = coin["chosen"][:, 0] == own["rejected"][:, 0]
    assert 0 < swapped.sum() < 8
    for name in ("", "_weights", "_reference"):
        both = {tuple(np.ravel(coin[f"{side}{name}"][k])) for side in ("chosen", "rejected") for k in (0,)}
        assert both == {tuple(np.ravel(own[f"{side}{name}"][k])) for side in ("chosen", "rejected") for k in (0,)}
    np.testing.assert_array_equal(coin["margin"], own["margin"])


def test_what_is_told_of_a_search() -> None:
    about = tree_rows.about_trees(MADE)
    assert about == {
        "nodes": 6, "trees": 1, "solved": 1.0, "yield": pytest.approx(2 / 3), "pairs": 2, "answers": 2, "tokens": 11,
    }  # fmt: skip
