"""Which identities of a pool are kept, and which of their images, within a budget.

Letters: I identities, C clusters of them, D domains, N images, E features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from stagejax.data.selection.coresets import farthest_first

Chosen = Int[np.ndarray, " _"]
Images = Callable[[Float[np.ndarray, "_ E"], Chosen, int, np.random.Generator], Chosen]


@dataclass(frozen=True)
class Place:
    """What a choice of identities looks at.

    Args:
      cluster, domain: of every identity.
      own: Fréchet distance of every cluster to the target.
      best: the clusters that a search found.
      apart: Fréchet distance of every domain to the target.
      budget: n, identities at most.
    """

    cluster: Int[np.ndarray, " I"]
    own: Float[np.ndarray, " C"]
    best: Int[np.ndarray, " _"]
    domain: Int[np.ndarray, " I"]
    apart: Float[np.ndarray, " D"]
    budget: int


def in_result(at: Place, rng: np.random.Generator) -> Chosen:
    """n identities at random of the clusters that the search found.

    Reference: Yao et al. 2023 (SnP), https://arxiv.org/abs/2303.16186, section 4.2.
    """
    return _drawn(at, np.isin(at.cluster, at.best), rng)


def anywhere(at: Place, rng: np.random.Generator) -> Chosen:
    """n identities at random."""
    return _drawn(at, np.ones(len(at.cluster), bool), rng)


def in_nearest_domain(at: Place, rng: np.random.Generator) -> Chosen:
    """n identities at random of the one domain that is nearest to the target."""
    return _drawn(at, at.domain == np.argmin(at.apart), rng)


def in_nearest_clusters(at: Place, rng: np.random.Generator) -> Chosen:
    """The n identities whose cluster has the highest score, softmax(-own) / its size; of equal ones the first.

    >>> cluster, none = np.array([0, 1, 1, 2]), np.zeros(4, int)
    >>> at = Place(cluster, np.array([5.0, 1.0, 3.0]), none, none, np.zeros(1), budget=3)
    >>> in_nearest_clusters(at, np.random.default_rng(0)).tolist()  # both of cluster 1, then cluster 2
    [1, 2, 3]
    """
    score = np.exp(at.own.min() - at.own) / np.bincount(at.cluster)
    return np.sort(np.argsort(-score[at.cluster], kind="stable")[: at.budget])


@dataclass(frozen=True)
class AtRandom:
    """n identities at random of some clusters drawn at random."""

    clusters: int

    def __call__(self, at: Place, rng: np.random.Generator) -> Chosen:
        return _drawn(at, np.isin(at.cluster, rng.permutation(len(at.own))[: self.clusters]), rng)


def _drawn(at: Place, among: np.ndarray, rng: np.random.Generator) -> Chosen:
    return np.sort(rng.permutation(np.flatnonzero(among))[: at.budget])


def farthest(x: Float[np.ndarray, "_ E"], first: Chosen, k: int, rng: np.random.Generator) -> Chosen:
    """k images: the first of every identity, then always the one farthest from all that are chosen."""
    return farthest_first(x, k, first)


def at_random(x: Float[np.ndarray, "_ E"], first: Chosen, k: int, rng: np.random.Generator) -> Chosen:
    """k images at random."""
    return rng.permutation(len(x))[:k]


@dataclass(frozen=True)
class Choice:
    """Which identities, and which of their images; images=None: all of them, beyond any budget."""

    identities: Callable[[Place, np.random.Generator], Chosen]
    images: Images | None
    longer: int = 1  # times the steps that others train

    def rows(
        self,
        at: Place,
        identity_N: Int[np.ndarray, " N"],
        x_NE: Float[np.ndarray, "N E"],
        ratio: float,
        rng: np.random.Generator,
    ) -> Chosen:
        """The images that are kept, in their order.

        Args:
          identity_N: whose each image is, from 0.
          x_NE: their features.
          ratio: rho, of the chosen identities' images.
        """
        own = self.identities(at, rng)
        rows = np.flatnonzero(np.isin(identity_N, own))
        if self.images is None:
            return rows
        first = np.unique(identity_N[rows], return_index=True)[1]
        return rows[np.sort(self.images(x_NE[rows], first, round(ratio * len(rows)), rng))]
