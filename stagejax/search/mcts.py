"""Monte-Carlo tree search: which leaf to look at next, what it was worth, and what that says of the nodes above it.

A node is a prefix, its action the last step of it. Nothing here knows who proposes actions or who values leaves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

#: Of what is terminal and no right answer.
WRONG = -1.0


class Action(NamedTuple):
    """What may be done at a node."""

    tokens: tuple[int, ...]
    prior: float  # P, such as exp(mean log-probability of a token)
    reward: float | None = None  # of what ends here; None: the search may go on from it
    answer: bool = False  # what ends here is an answer, and no mistake of form


@dataclass(eq=False)
class Node:
    """A prefix with its statistics: N visits that brought W in all."""

    action: Action
    parent: Node | None = None
    depth: int = 0  # actions from the root
    visits: int = 0
    total: float = 0.0
    closed: bool = False  # nothing below it is left to search
    children: list[Node] = field(default_factory=list)

    @property
    def value(self) -> float:
        """Q = W / N; 0 of what was never visited."""
        return self.total / self.visits if self.visits else 0.0

    def path(self) -> list[Node]:
        """The nodes from the root to this one."""
        return [*(self.parent.path() if self.parent else []), self]

    def walk(self) -> Iterator[Node]:
        """This node and all below it, a parent before its children."""
        yield self
        for child in self.children:
            yield from child.walk()


def new_tree() -> Node:
    """A root without children.

    >>> new_tree().value
    0.0
    """
    return Node(Action((), 1.0))


def puct(child: Node, c: float) -> float:
    """Q(s, a) + c P(a | s) sqrt(N(s)) / (1 + N(s, a)), by which a child is chosen.

    Args:
      c: weight of what was seldom visited.

    Reference: Silver et al. 2017, https://doi.org/10.1038/nature24270; CPL, https://arxiv.org/abs/2409.08642.

    >>> root = new_tree()
    >>> root.visits, child = 4, Node(Action((1,), 0.5), root)
    >>> puct(child, 1.5)
    1.5
    """
    assert child.parent is not None
    return child.value + c * child.action.prior * math.sqrt(child.parent.visits) / (1 + child.visits)


def select(root: Node, c: float, rng: np.random.Generator) -> Node:
    """The leaf that the next simulation looks at: from the root down, the open child of largest `puct`.

    Args:
      rng: breaks ties.

    Raises:
      ValueError: the tree is closed.
    """
    if root.closed:
        raise ValueError("every leaf of this tree is terminal: ask `root.closed` before")
    node = root
    while node.children:
        still = [child for child in node.children if not child.closed]
        scores = np.array([puct(child, c) for child in still])
        node = still[int(rng.choice(np.flatnonzero(scores == scores.max())))]
    return node


def back_up(node: Node, value: float) -> None:
    """N += 1 and W += value on the path from the root to a node.

    >>> root = new_tree()
    >>> back_up(root, -1.0)
    >>> root.visits, root.value
    (1, -1.0)
    """
    for own in node.path():
        own.visits += 1
        own.total += value


def expand(leaf: Node, actions: Sequence[Action], most: int) -> None:
    """A child for every action that is another one; terminal ones are backed up at once.

    A child that is not terminal and lies deeper than `most` is a mistake: it ends there, and is worth -1. A node whose
    children are all closed is closed, and so on up to the root; one without any action is closed, too.

    >>> root = new_tree()
    >>> right, onward = Action((7,), 0.5, 1.0, True), Action((8,), 0.4)
    >>> expand(root, [right, onward, right], most=3)
    >>> [child.visits for child in root.children], root.visits, root.value, root.closed
    ([1, 0], 1, 1.0, False)
    >>> expand(root.children[1], [Action((9,), 0.1, -1.0)], most=3)
    >>> root.children[1].closed, root.closed, root.value
    (True, True, 0.0)
    """
    different: dict[tuple[int, ...], Action] = {}
    for action in actions:
        different.setdefault(action.tokens, action)
    for action in different.values():
        child = Node(action, leaf, leaf.depth + 1)
        leaf.children.append(child)
        if action.reward is None and child.depth > most:
            child.action = action._replace(reward=WRONG)
        if child.action.reward is not None:
            child.closed = True
            back_up(child, child.action.reward)
    close(leaf)


def close(node: Node) -> None:
    """Close a node none of whose children is open, and those above it that this leaves without an open one."""
    at: Node | None = node
    while at is not None and all(child.closed for child in at.children):
        at.closed, at = True, at.parent
