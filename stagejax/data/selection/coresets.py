"""Choosing few of many records: by scores, by the distances of their features, and class by class.

Every choice is a list of different indices, best first, and the same for the same input. Letters: N records, E
features, k chosen.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int, Int64

from stagejax.data.order import random_words
from stagejax.data.selection.subsets import seats

Scores = Float[np.ndarray, " N"]
Features = Float[np.ndarray, "N E"]
Chosen = Int64[np.ndarray, " k"]


def highest(scores: Scores, k: int) -> Chosen:
    """The k largest; of equal ones those that come first.

    >>> highest(np.array([1.0, 3.0, 3.0, 2.0]), 3).tolist()
    [1, 2, 3]
    """
    return np.argsort(-scores, kind="stable")[: _checked(k, len(scores))]


def around_median(scores: Scores, k: int) -> Chosen:
    """The k that are nearest to the median: moderate coresets, where scores are distances from a class's centre.

    Reference: Xia et al., Moderate coreset, ICLR 2023.

    >>> around_median(np.array([0.0, 9.0, 5.0, 4.0, 6.0]), 3).tolist()
    [2, 3, 4]
    """
    return highest(-np.abs(scores - np.median(scores)), k)


def in_proportion(scores: Scores, k: int, seed: int) -> Chosen:
    """k drawn one after the other, each with a probability in proportion to its score among those that are left.

    It takes the k largest of log(score) + Gumbel noise.

    Reference: Kool et al. 2019, https://arxiv.org/abs/1903.06059, section 2.

    >>> sorted(in_proportion(np.array([1.0, 0.0, 2.0, 0.0]), 2, seed=0).tolist())
    [0, 2]
    """
    if np.min(scores) < 0:
        raise ValueError(
            f"the smallest score is {np.min(scores)}: probabilities are in proportion to scores of at least 0"
        )
    words = random_words(seed, np.arange(len(scores)), 1)[:, 0] >> np.uint64(11)
    uniform = (words.astype(np.float64) + 0.5) / 2.0**53
    with np.errstate(divide="ignore"):
        return highest(np.log(scores) - np.log(-np.log(uniform)), k)


def k_center(features: Features, k: int) -> Chosen:
    """Farthest first: the record nearest to the mean, then always the one that is farthest from all chosen.

    Its largest distance from a record to the nearest chosen one is at most twice the least that k records allow.

    Reference: Gonzalez 1985; Sener and Savarese 2018, https://arxiv.org/abs/1708.00489, algorithm 1.

    >>> k_center(np.array([[0.0], [1.0], [9.0], [5.0]]), 3).tolist()
    [3, 0, 2]
    """
    x = features.astype(np.float64)
    return farthest_first(features, k, np.argmin(np.square(x - x.mean(0)).sum(1), keepdims=True))


def farthest_first(features: Features, k: int, start: Int64[np.ndarray, " s"]) -> Chosen:
    """k records: those of `start`, then always the one that is farthest from all chosen; of equal ones the first.

    Raises:
      ValueError: k is more than there are, or less than `start` holds.

    >>> farthest_first(np.array([[0.0], [1.0], [9.0], [5.0]]), 4, np.array([1, 0])).tolist()
    [1, 0, 2, 3]
    """
    if not 1 <= len(start) <= _checked(k, len(features)):
        raise ValueError(f"k={k} records cannot begin with {len(start)}: start with at least 1, and at most k")
    x = features.astype(np.float64)
    squares, chosen = np.square(x).sum(1), np.full(k, -1, np.int64)
    nearest = np.full(len(x), np.inf)
    for place in range(k):
        last = int(start[place]) if place < len(start) else int(np.argmax(nearest))
        chosen[place] = last
        nearest = np.minimum(nearest, np.maximum(squares + squares[last] - 2 * x @ x[last], 0))
        nearest[chosen[: place + 1]] = -1.0  # duplicates of a chosen one are at distance 0
    return chosen


def herding(features: Features, k: int) -> Chosen:
    """Greedily the record that brings the mean of the chosen ones nearest to the mean of all.

    The i-th is argmin ||mean - (sum of chosen + x) / i|| over what is not chosen yet.

    Reference: Welling 2009, Herding dynamical weights to learn; in the form of Rebuffi et al. 2017 (iCaRL),
    https://arxiv.org/abs/1611.07725, algorithm 4.

    >>> herding(np.array([[0.0], [1.0], [2.0], [9.0]]), 3).tolist()
    [2, 1, 3]
    """
    _checked(k, len(features))
    x = features.astype(np.float64)
    squares, mean, total = np.square(x).sum(1), x.mean(0), np.zeros(x.shape[1])
    free, chosen = np.ones(len(x), bool), []
    for i in range(1, k + 1):
        gap = i * mean - total  # to be as near as can be to one more record
        distance = np.where(free, squares - 2 * x @ gap, np.inf)
        chosen.append(int(np.argmin(distance)))
        free[chosen[-1]] = False
        total += x[chosen[-1]]
    return np.array(chosen, np.int64)


def by_class(
    labels: Int[np.ndarray, " N"], k: int, pick: Callable[[Int64[np.ndarray, " n"], int], Int64[np.ndarray, " m"]]
) -> Chosen:
    """k records, of each class its share, rounded (see `subsets.seats`).

    Args:
      pick: (indices of a class, m) -> m positions among them.

    >>> scores = np.array([1.0, 2.0, 3.0, 4.0])
    >>> by_class(np.array([0, 0, 1, 1]), 2, lambda own, m: highest(scores[own], m)).tolist()
    [1, 3]
    """
    sizes = np.bincount(labels)
    counts = seats(sizes, _checked(k, len(labels)), offset=len(labels) // 2)
    members = [np.flatnonzero(labels == c) for c in range(len(sizes))]
    return np.concatenate([own[pick(own, int(m))] for own, m in zip(members, counts, strict=True) if m])


def _checked(k: int, found: int) -> int:
    if not 0 <= k <= found:
        raise ValueError(f"k={k} cannot be chosen from {found}: lower it")
    return k
