"""Trees over fragments of responses: whole responses are drawn, cut at separators, and inserted as chains of nodes.

Unlike in `mcts`, a node has a value before it was visited, W of a cheap reward, and equal children are not one. `Node`
and `back_up` are those of `mcts`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from stagejax.search.mcts import Action, Node
from stagejax.search.mcts import puct as puct_of_means

#: (child, c): by which the child of largest value is chosen.
Rule = Callable[[Node, float], float]
#: The response ends with a fragment of this reward.
ENDED = 0.0


def fragments(
    tokens: Sequence[int], logprobs: Sequence[float], separators: Sequence[int], ended: bool, group: int = 1
) -> list[Action]:
    """A response in pieces that end with a separator, `group` pieces a fragment; the last one is what is left.

    The prior of a fragment is exp(mean log-probability of its tokens).

    Args:
      ended: whether the response is complete; then its last fragment is terminal.

    >>> own = fragments([5, 9, 6, 9, 7], [0.0] * 5, separators=[9], ended=True)
    >>> [piece.tokens for piece in own], [piece.reward for piece in own]
    ([(5, 9), (6, 9), (7,)], [None, None, 0.0])
    """
    ends = [k + 1 for k, token in enumerate(tokens) if token in separators and k + 1 < len(tokens)]
    bounds = [0, *ends[group - 1 :: group], len(tokens)] if len(tokens) else [0]
    bounds = sorted(set(bounds))
    found = [_fragment(tokens[a:b], logprobs[a:b]) for a, b in itertools.pairwise(bounds)]
    return [*found[:-1], found[-1]._replace(reward=ENDED)] if found and ended else found


def _fragment(tokens: Sequence[int], logprobs: Sequence[float]) -> Action:
    return Action(tuple(int(t) for t in tokens), math.exp(float(np.mean(logprobs))))


def insert(node: Node, chain: Sequence[Action], depth: int, reward: Callable[[Action], float]) -> None:
    """A response behind a node as a chain of new nodes, each with W = `reward` of its fragment and no visit.

    What is behind a node of this depth is one fragment, so no node is deeper than depth + 1.

    >>> from stagejax.search.mcts import new_tree
    >>> root = new_tree()
    >>> insert(root, fragments([5, 9, 6, 9, 7], [0.0] * 5, [9], True), 1, lambda fragment: 0.5)
    >>> [(node.depth, node.action.tokens, node.total) for node in root.walk()][1:]
    [(1, (5, 9), 0.5), (2, (6, 9, 7), 0.5)]
    """
    while chain:
        first, *chain = [_joined(chain)] if node.depth >= depth else chain
        child = Node(first, node, node.depth + 1, total=reward(first), closed=first.reward is not None)
        node.children.append(child)
        node = child


def _joined(chain: Sequence[Action]) -> Action:
    tokens = tuple(token for own in chain for token in own.tokens)
    told = sum(len(own.tokens) * math.log(own.prior) for own in chain)
    return Action(tokens, math.exp(told / len(tokens)), chain[-1].reward)


def ucb(child: Node, c: float) -> float:
    """W / (N + 1) + c P sqrt(ln(N of the parent) / (N + 1)), with 0 for the logarithm of 0.

    Reference: iTool, https://arxiv.org/abs/2501.09766, as its published code has it.

    >>> from stagejax.search.mcts import new_tree
    >>> root = new_tree()
    >>> root.visits, child = 3, Node(Action((1,), 0.5), root, total=0.25)
    >>> round(ucb(child, 1.0), 4)
    0.7741
    """
    assert child.parent is not None
    seen = math.log(max(child.parent.visits, 1))
    return child.total / (child.visits + 1) + c * child.action.prior * math.sqrt(seen / (child.visits + 1))


def puct(child: Node, c: float) -> float:
    """`mcts.puct`, which knows no value of what was not visited."""
    return puct_of_means(child, c)


def select(root: Node, rule: Rule, c: float, n: int, depth: int) -> Node | None:
    """The node that is expanded next: from the root down while a node has more than `n` children, the best by the rule.

    None where that one is full, ends a response or is too deep: that simulation is skipped. Of equal children the
    first one is taken.
    """
    node = root
    while len(node.children) > n and node.depth < depth:
        node = max(node.children, key=lambda child: rule(child, c))
    return None if len(node.children) > n or node.closed or node.depth >= depth else node


def rolled_out(node: Node, steps: int) -> Node:
    """Where a rollout of so many steps along children of largest W comes to.

    Behind a node that was expanded all that can be drawn has been inserted, so nothing is drawn for it anew.
    """
    for _ in range(steps):
        if not node.children:
            break
        node = max(node.children, key=lambda child: child.total)
    return node


def overlap(a: Collection[Any], b: Collection[Any]) -> float:
    """How many different words two texts share, of those of the one that has fewer; 0 where one has none.

    >>> overlap([5, 6, 6], [6, 7, 8])
    0.5
    """
    one, other = set(a), set(b)
    return len(one & other) / min(len(one), len(other)) if one and other else 0.0


def fast_reward(said: Collection[Any], gold: Collection[Any], closing: Collection[Any]) -> float:
    """±0.1 for whether both or none have what closes calls, and the overlap with the gold response less 0.5.

    Args:
      said: a fragment, without special tokens; 0 where it is empty.
      closing: tokens that stand next to each other, such as those of ")" and "]".

    Reference: iTool's published code.

    >>> [round(fast_reward(said, [5, 6, 7, 8], [7, 8]), 2) for said in ([5, 6], [5, 7, 8], [5, 9], [])]
    [0.4, 0.6, -0.1, 0.0]
    """
    if not len(said):
        return 0.0
    agreed = holds(said, closing) == holds(gold, closing)
    return (0.1 if agreed else -0.1) + overlap(said, gold) - 0.5


def holds(tokens: Collection[Any], part: Collection[Any]) -> bool:
    """Whether some tokens stand in a row in others."""
    size, own, part = len(part), list(tokens), list(part)
    return any(own[k : k + size] == part for k in range(len(own) - size + 1))


def judged_reward(grades: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, " n"]:
    """(1.0 p_A + 0.1 p_B - 1.0 p_C - 2.0 p_D) / 4 of a judge's probabilities of four grades, the best one first.

    Reference: iTool's published code.

    >>> judged_reward(np.eye(4)).tolist()
    [0.25, 0.025, -0.25, -0.5]
    """
    return grades @ np.array([1.0, 0.1, -1.0, -2.0]) / 4
