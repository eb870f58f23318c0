"""Tree search: PUCT chooses, values are backed up to the root, equal actions are one, and what is done is closed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stagejax.search.mcts import WRONG, Action, Node, back_up, expand, new_tree, puct, select


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_puct_is_value_and_prior_by_visits() -> None:
    root = new_tree()
    expand(root, [Action((1,), 0.5), Action((2,), 0.25)], most=3)
    for node, value in zip(root.children, (0.5, -0.5), strict=True):
        back_up(node, value)
    back_up(root.children[0], 0.0)
    assert [child.visits for child in root.children] == [2, 1]
    assert root.visits == 3
    assert puct(root.children[0], 1.5) == pytest.approx(0.25 + 1.5 * 0.5 * math.sqrt(3) / 3)
    assert puct(root.children[1], 1.5) == pytest.approx(-0.5 + 1.5 * 0.25 * math.sqrt(3) / 2)


def test_selection_goes_down_by_puct_past_terminal_children() -> None:
    root = new_tree()
    expand(root, [Action((1,), 0.9, 1.0, True), Action((2,), 0.1), Action((3,), 0.2)], most=3)
    assert select(root, 1.5, rng()).action.tokens == (3,)
    expand(root.children[2], [Action((4,), 0.5, WRONG)], most=3)
    assert root.children[2].closed
    assert select(root, 1.5, rng()).action.tokens == (2,)


def test_ties_are_broken_by_the_generator() -> None:
    root = new_tree()
    expand(root, [Action((k,), 0.5) for k in range(8)], most=3)
    back_up(root, 0.0)
    chosen = {select(root, 1.5, np.random.default_rng(seed)).action.tokens for seed in range(40)}
    assert len(chosen) > 4


def test_every_visit_is_counted_and_every_value_summed_up_to_the_root() -> None:
    """By simulations of a drawn tree: N and W of a node are those of what was backed up at it or below."""
    draw, root, backed = np.random.default_rng(3), new_tree(), []
    for _ in range(30):
        if root.closed:
            break
        leaf = select(root, 1.5, draw)
        value = float(draw.uniform(-1, 1))
        back_up(leaf, value)
        backed.append((leaf, value))
        actions = [
            Action((int(draw.integers(9)),), 0.3, draw.choice([None, None, 1.0, -1.0]), bool(draw.integers(2)))
            for _ in range(3)
        ]
        expand(leaf, actions, most=5)
        backed += [(child, child.action.reward) for child in leaf.children if child.action.reward is not None]
    for node in root.walk():
        own = [value for at, value in backed if node in at.path()]
        assert node.visits == len(own)
        assert node.total == pytest.approx(sum(own))
        assert -1 <= node.value <= 1
        tokens = [child.action.tokens for child in node.children]
        assert len(tokens) == len(set(tokens))
        assert node.depth <= 6


def test_a_child_that_is_too_deep_is_a_mistake_and_the_last_one_closes_the_tree() -> None:
    root = new_tree()
    expand(root, [Action((1,), 1.0)], most=1)
    leaf = root.children[0]
    assert not root.closed
    expand(leaf, [Action((2,), 1.0)], most=1)
    assert leaf.children[0].action.reward == WRONG
    assert (leaf.value, root.value, root.closed) == (WRONG, WRONG, True)
    with pytest.raises(ValueError, match="every leaf of this tree is terminal"):
        select(root, 1.5, rng())


def test_a_leaf_without_actions_is_closed() -> None:
    root = new_tree()
    expand(root, [], most=3)
    assert root.closed
    assert Node(Action((), 1.0)).value == 0.0
