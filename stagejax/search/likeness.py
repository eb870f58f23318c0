"""The part of a pool that is most like a target: equal clusters, put together as long as the Fréchet distance falls.

Letters: I things (such as identities), E features, C clusters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64

from stagejax.objectives.pictures.frechet import frechet_distance

Features = Float[np.ndarray, "_ E"]


def equal_clusters(
    x_IE: Float[np.ndarray, "I E"], clusters: int, seed: int, rounds: int = 30
) -> Int64[np.ndarray, " I"]:
    """k-means in which every cluster holds floor(I / C) things, or one more: which cluster each is in.

    In every round the globally nearest pair of a thing and a centre that has room is joined, until all are; then the
    centres move. It ends when nothing changes, or after `rounds`.

    Raises:
      ValueError: more clusters than things, or none.

    >>> equal_clusters(np.array([[0.0], [9.0], [0.1], [9.1]]), 2, seed=0).tolist()
    [0, 1, 0, 1]
    """
    count = len(x_IE)
    if not 1 <= clusters <= count:
        raise ValueError(f"clusters={clusters}: give 1 to {count}, the number of things")
    from sklearn.cluster import kmeans_plusplus

    x = x_IE.astype(np.float64)
    centres, found = kmeans_plusplus(x, clusters, random_state=seed)[0], np.full(count, -1)
    for _ in range(rounds):
        apart_IC = ((x[:, None] - centres) ** 2).sum(-1)
        room, larger = np.full(clusters, count // clusters), count % clusters  # so many may hold one more
        now = np.full(count, -1)
        for pair in np.argsort(apart_IC, axis=None, kind="stable").tolist():
            i, c = divmod(pair, clusters)
            if now[i] >= 0 or room[c] < (0 if larger else 1):
                continue
            larger -= room[c] == 0
            room[c] -= 1
            now[i] = c
        if np.array_equal(now, found):
            break
        found = now
        centres = np.stack([x[found == c].mean(0) for c in range(clusters)])
    return _by_first(found)


def _by_first(labels: np.ndarray) -> Int64[np.ndarray, " I"]:
    """Clusters numbered in the order in which they first appear."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


class Prefix(NamedTuple):
    """Clusters by their own distance to the target, and the distances of ever longer unions of them."""

    order: Int64[np.ndarray, " C"]
    own: Float[np.ndarray, " C"]  # by cluster
    unions: Float[np.ndarray, " C"]  # of the first, of the first two, ...

    @property
    def best(self) -> Int64[np.ndarray, " c"]:
        """The clusters of the union that is nearest to the target."""
        return self.order[: 1 + int(np.argmin(self.unions))]


def nearest_prefix(clusters: Sequence[Features], target: Features, seed: int) -> Prefix:
    """Clusters are added in the order of their distance; the union that comes nearest to the target is the result.

    A union with more rows than the target is cut to as many, at random.

    Reference: Yao et al. 2023 (SnP), https://arxiv.org/abs/2303.16186, section 4.1.

    >>> rng = np.random.default_rng(0)
    >>> at = lambda *places: np.concatenate([rng.normal(size=(300, 2)) + place for place in places])
    >>> nearest_prefix([at(9), at(-1), at(1)], at(-1, 1), seed=0).best.tolist() in ([1, 2], [2, 1])
    True
    """
    own = np.array([frechet_distance(one, target) for one in clusters])
    order, rng = np.argsort(own, kind="stable"), np.random.default_rng(seed)
    unions = []
    for stop in range(1, len(clusters) + 1):
        union = np.concatenate([clusters[c] for c in order[:stop]])
        chosen = rng.permutation(len(union))[: len(target)]
        unions.append(frechet_distance(union[chosen], target))
    return Prefix(order, own, np.array(unions))
