"""Pool-based active learning: which examples are labelled first, and which ones next.

Letters: N items that may be asked for, C classes, K neighbours.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

Rows = Int[np.ndarray, " _"]
Said = Float[np.ndarray, "N C"]


def balanced_start(labels_N: Int[np.ndarray, " N"], count: int, rng: np.random.Generator) -> Rows:
    """`count` items, of every class as many as of the others, or one more; fewer of a class that has no more.

    It is the one place at which an oracle is asked before any classifier is there.

    Raises:
      ValueError: there are fewer items than are wanted.

    >>> rows = balanced_start(np.array([0, 0, 0, 0, 1, 2, 2]), 5, np.random.default_rng(0))
    >>> np.bincount(np.array([0, 0, 0, 0, 1, 2, 2])[rows])
    array([2, 1, 2])
    """
    if count > len(labels_N):
        raise ValueError(f"{count} of {len(labels_N)} items: take at most all of them")
    order = rng.permutation(len(labels_N))
    rank = np.empty(len(labels_N), np.int64)  # of an item in its class
    for c in np.unique(labels_N):
        mine = order[labels_N[order] == c]
        rank[mine] = np.arange(len(mine))
    return order[np.argsort(rank[order], kind="stable")][:count]


def at_random(probabilities_NC: Said, count: int, rng: np.random.Generator, neighbours_NK: object = None) -> Rows:
    """Any items, whatever is said of them."""
    return rng.permutation(len(probabilities_NC))[:count]


def breaking_ties(probabilities_NC: Said, count: int, rng: np.random.Generator, neighbours_NK: object = None) -> Rows:
    """The items with the smallest margin p_(1) - p_(2).

    Reference: Luo et al. 2005, https://www.jmlr.org/papers/v6/luo05a.html.

    >>> said = np.array([[0.9, 0.1], [0.5, 0.5], [0.4, 0.6]])
    >>> breaking_ties(said, 2, np.random.default_rng(0))
    array([1, 2])
    """
    two = np.partition(probabilities_NC, -2, axis=1)[:, -2:]
    return np.argsort(two[:, 1] - two[:, 0], kind="stable")[:count]


def contrastive(
    probabilities_NC: Said, count: int, rng: np.random.Generator, neighbours_NK: Int[np.ndarray, "N K"]
) -> Rows:
    """The items of which their neighbours are told something else: the largest mean of KL(neighbour | item).

    Reference: Margatina et al. 2021 (CAL), https://arxiv.org/abs/2109.03764.

    >>> said = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9]])
    >>> contrastive(said, 1, np.random.default_rng(0), np.array([[1], [0], [0]]))
    array([2])
    """
    log_NC = np.log(np.maximum(probabilities_NC, 1e-12))
    theirs_NKC, logs_NKC = probabilities_NC[neighbours_NK], log_NC[neighbours_NK]
    scores_N = (theirs_NKC * (logs_NKC - log_NC[:, None])).sum(-1).mean(-1)
    return np.argsort(-scores_N, kind="stable")[:count]
