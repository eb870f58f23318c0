"""Averages of models of one shape: of all of them, or of those that help.

soup = run.transform("soup", uniform, *members, to=members[0].model)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax


def uniform(key: Any, *members: Any) -> Any:
    """theta = mean of theta_m: the variables of each member are a tree of one form. The key draws nothing.

    It averages every variable, statistics of norms too; `growth.Combine.mean` averages parameters, with a receipt.

    Reference: Wortsman et al. 2022 (model soups), https://arxiv.org/abs/2203.05482, table 1.

    >>> uniform(None, {"w": 1.0}, {"w": 4.0})
    {'w': 2.5}
    """
    return jax.tree.map(lambda *values: sum(values) / len(values), *members)


def greedy(members: int, score: Callable[[tuple[int, ...]], float]) -> tuple[tuple[int, ...], list[float]]:
    """Which members a greedy soup keeps: from the best one down, each that does not make the average worse.

    Args:
      members: how many there are.
      score: of the average of some members, by number; the higher the better.

    Returns:
      The members that are kept, the best one first, and the score of each member alone.

    Reference: Wortsman et al. 2022 (model soups), https://arxiv.org/abs/2203.05482, recipe 1.

    >>> values = (1.0, 4.0, 2.0)
    >>> greedy(3, lambda chosen: -abs(sum(values[m] for m in chosen) / len(chosen) - 2.9))[0]
    (2, 1)
    """
    alone = [score((member,)) for member in range(members)]
    first, *others = sorted(range(members), key=lambda member: -alone[member])
    kept, best = (first,), alone[first]
    for member in others:
        tried = score((*kept, member))
        if tried >= best:
            kept, best = (*kept, member), tried
    return kept, alone
