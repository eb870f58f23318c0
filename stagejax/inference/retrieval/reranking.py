"""Search by estimates and exact re-ranking under a budget of exact scores.

An exact score costs a call of a model. Some items' exact scores are known already, because the estimates were made of
them; further calls go to the items with the best estimates, and of all that have an exact score the best are returned.
What counts is which of the exact top k come back, so the reference is the exact ranking and no label.

Letters: N queries, I items, K items found.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

Scores = Float[np.ndarray, "N I"]
Numbers = Int[np.ndarray, " _"]


def best(scores_NI: Scores, count: int) -> Int[np.ndarray, "N K"]:
    """The items of the `count` highest scores of each row, best first; of equal ones the earlier.

    >>> best(np.array([[1.0, 3.0, 3.0, 2.0]]), 3).tolist()
    [[1, 2, 3]]
    """
    return np.argsort(-scores_NI, axis=1, kind="stable")[:, :count]


def scored(estimates_NI: Scores, calls: int, known: Numbers | None = None) -> Bool[np.ndarray, "N I"]:
    """Which items have an exact score after `calls` of them went to the best estimates outside of the known ones.

    Args:
      estimates_NI: of the exact scores.
      calls: for each query, beside those that made the scores of `known`.
      known: items with exact scores, the same for all queries.

    >>> scored(np.array([[9.0, 8.0, 1.0, 2.0]]), 1, np.array([0])).tolist()
    [[True, True, False, False]]
    """
    left_NI = np.array(estimates_NI, np.float64)
    found_NI = np.zeros(left_NI.shape, bool)
    if known is not None:
        left_NI[:, known], found_NI[:, known] = -np.inf, True
    calls = min(calls, left_NI.shape[1])
    if calls:
        np.put_along_axis(found_NI, np.argpartition(-left_NI, calls - 1, axis=1)[:, :calls], True, axis=1)
    return found_NI


def recalls(
    top_NK: Int[np.ndarray, "N K"], found_NI: Bool[np.ndarray, "N I"], ks: Sequence[int]
) -> Float[np.ndarray, " _"]:
    """The mean share of each query's exact top k among the items found, for each k.

    Args:
      top_NK: what `best` gives of the exact scores, for the largest k or more.

    >>> recalls(best(np.array([[3.0, 2.0, 1.0]]), 2), np.array([[True, False, True]]), (1, 2)).tolist()
    [1.0, 0.5]
    """
    hits_NK = np.take_along_axis(found_NI, top_NK, axis=1)
    return np.array([hits_NK[:, :k].mean() for k in ks])


@dataclass(frozen=True)
class Budgets:
    """Numbers of calls for a query that are compared, shares of them for anchor items, and how often these are drawn.

    >>> plan = Budgets(calls=(10,), ks=(1,), shares=(0.1, 0.5), draws=2)
    >>> top, flat = best(np.eye(3, 20), 1), np.zeros((3, 20))
    >>> plan.recalls(top, 20, lambda drawn: (drawn, flat)).shape, plan.plain(top, np.eye(3, 20)).tolist()
    ((1, 2, 2, 1), [[1.0]])
    """

    calls: tuple[int, ...]
    ks: tuple[int, ...]
    shares: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    draws: int = 10

    def plain(self, top_NK: Int[np.ndarray, "N K"], estimates_NI: Scores) -> Float[np.ndarray, "calls ks"]:
        """Recalls of estimates that cost no call: all of a budget re-ranks."""
        return np.array([recalls(top_NK, scored(estimates_NI, calls), self.ks) for calls in self.calls])

    def recalls(
        self, top_NK: Int[np.ndarray, "N K"], anchors: int, estimate: Callable[[Numbers], tuple[Numbers, Scores]]
    ) -> Float[np.ndarray, "calls shares draws ks"]:
        """Recalls of estimates from anchor items, whose exact scores are part of the budget.

        Args:
          top_NK: what `best` gives of the exact scores, for the largest k or more.
          anchors: among how many anchor items they are drawn, uniformly and sorted.
          estimate: from drawn numbers, at most as many as there are, to the items and the estimates (N, I).
        """
        found = np.zeros((len(self.calls), len(self.shares), self.draws, len(self.ks)))
        for draw in range(self.draws):
            order = np.random.default_rng(draw).permutation(anchors)
            known = functools.cache(lambda count, order=order: estimate(np.sort(order[:count])))
            for (b, share), calls in np.ndenumerate(np.outer(self.calls, np.ones(len(self.shares), int))):
                items, estimates_NI = known(min(anchors, max(1, round(self.shares[share] * calls))))
                found_NI = scored(estimates_NI, int(calls) - len(items), items)
                found[b, share, draw] = recalls(top_NK, found_NI, self.ks)
        return found


def best_split(recalls: np.ndarray) -> Float[np.ndarray, "calls ks"]:
    """The mean over draws with the best share of every budget and k; of a method without anchors, what it is.

    The share is chosen by what is measured, so this is what a split could reach at most.

    >>> best_split(np.array([[[[0.0], [1.0]], [[0.6], [0.6]]]])).tolist()
    [[0.6]]
    """
    return recalls if recalls.ndim == 2 else recalls.mean(2).max(1)


def even_split(recalls: np.ndarray) -> Float[np.ndarray, "calls ks"]:
    """The mean over draws with the middle share; of a method without anchors, what it is."""
    return recalls if recalls.ndim == 2 else recalls[:, recalls.shape[1] // 2].mean(1)
