"""Search over fragments: chains have a value before any visit, full nodes are gone through, rewards are as told."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stagejax.search.fragments import (
    ENDED,
    fast_reward,
    fragments,
    insert,
    judged_reward,
    overlap,
    puct,
    rolled_out,
    select,
    ucb,
)
from stagejax.search.mcts import Action, Node, back_up, new_tree

COMMA, EQUALS = 9, 8


def chain(*pieces: tuple[int, ...], ended: bool = True) -> list[Action]:
    tokens = [token for piece in pieces for token in piece]
    return fragments(tokens, [math.log(0.5)] * len(tokens), [COMMA, EQUALS], ended)


def test_pieces_end_behind_separators_and_hold_all_tokens_in_order() -> None:
    tokens = [1, 8, 2, 9, 3, 8, 4, 9]
    found = fragments(tokens, np.log([0.5, 0.25] * 4).tolist(), [COMMA, EQUALS], ended=False)
    assert [piece.tokens for piece in found] == [(1, 8), (2, 9), (3, 8), (4, 9)]
    assert all(piece.prior == pytest.approx(math.sqrt(0.125)) for piece in found)
    assert all(piece.reward is None for piece in found)
    two = fragments(tokens, [0.0] * 8, [COMMA, EQUALS], ended=True, group=2)
    assert [(piece.tokens, piece.reward) for piece in two] == [((1, 8, 2, 9), None), ((3, 8, 4, 9), ENDED)]
    assert fragments([], [], [COMMA], ended=False) == []


def test_a_chain_ends_at_the_depth_with_all_that_is_left() -> None:
    root = new_tree()
    insert(root, chain((1, 8), (2, 9), (3, 8), (4, 9), (5,)), 3, lambda own: float(len(own.tokens)))
    nodes = list(root.walk())[1:]
    assert [node.action.tokens for node in nodes] == [(1, 8), (2, 9), (3, 8), (4, 9, 5)]
    assert [node.total for node in nodes] == [2, 2, 2, 3]
    assert [node.visits for node in nodes] == [0] * 4
    assert [node.closed for node in nodes] == [False, False, False, True]
    assert nodes[-1].action.prior == pytest.approx(0.5)
    insert(nodes[-2], chain((7,)), 3, lambda own: 0.0)
    assert nodes[-2].children[1].depth == 4


def test_the_rule_is_that_of_the_published_code() -> None:
    root = new_tree()
    root.visits, child = 5, Node(Action((1,), 0.25), root, total=0.75, visits=2)
    assert ucb(child, 2.0) == pytest.approx(0.75 / 3 + 2.0 * 0.25 * math.sqrt(math.log(5) / 3))
    root.visits = 0
    assert ucb(child, 2.0) == pytest.approx(0.25)  # the logarithm of nothing is that of one
    root.visits = 4
    assert puct(child, 2.0) == pytest.approx(0.375 + 2.0 * 0.25 * 2 / 3)


def test_selection_goes_through_full_nodes_and_skips_what_cannot_be_expanded() -> None:
    root = new_tree()
    assert select(root, ucb, 1.0, 3, 3) is root
    for value in (0.1, 0.2, 0.3):
        insert(root, chain((1, 8), (2,)), 3, lambda own, value=value: value)
    assert select(root, ucb, 1.0, 3, 3) is root  # three are not more than three
    insert(root, chain((5,)), 3, lambda own: 0.9)
    assert select(root, ucb, 1.0, 3, 3) is None  # the best child ends a response
    root.children.pop()
    insert(root, chain((6, 8), (2,)), 3, lambda own: 0.8)
    assert select(root, ucb, 1.0, 3, 3) is root.children[3]
    assert select(root, ucb, 1.0, 3, 1) is None  # too deep


def test_rollouts_follow_the_largest_value_and_are_backed_up_to_the_root() -> None:
    root = new_tree()
    insert(root, chain((1, 8), (2, 9), (3,)), 3, lambda own: 0.1)
    insert(root, chain((4, 8), (5, 9), (6,)), 3, lambda own: 0.4)
    at = rolled_out(root, 2)
    assert [node.action.tokens for node in at.path()[1:]] == [(4, 8), (5, 9)]
    back_up(at, 0.25)
    assert [(node.visits, node.total) for node in at.path()] == [(1, 0.25), (1, 0.65), (1, 0.65)]
    assert at.children[0].visits == 0
    assert rolled_out(root, 9).action.tokens == (6,)


def test_the_fast_reward_counts_shared_words_and_whether_calls_are_closed() -> None:
    gold, closing = [10, 11, 12, 6, 7], [6, 7]
    assert fast_reward([10, 20], gold, closing) == pytest.approx(-0.1 + 0.5 - 0.5)
    assert fast_reward([12, 6, 7], gold, closing) == pytest.approx(0.1 + 1 - 0.5)
    assert fast_reward([20, 21], [10, 11], closing) == pytest.approx(0.1 + 0 - 0.5)
    assert fast_reward([7, 6], gold, closing) == pytest.approx(-0.1 + 1 - 0.5)  # in the other order it closes nothing
    assert fast_reward([], gold, closing) == 0
    assert overlap([], gold) == 0
    assert judged_reward(np.array([[0.4, 0.3, 0.2, 0.1]])).tolist() == pytest.approx([(0.4 + 0.03 - 0.2 - 0.2) / 4])
