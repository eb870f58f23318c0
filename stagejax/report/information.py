"""How much one thing says about another."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int


def beyond_chance(a: Int[np.ndarray, " n"], b: Int[np.ndarray, " n"], seed: int = 0) -> float:
    """I(a; b) = Σ p(x, y) log(p(x, y) / (p(x) p(y))) in nats, less that between the same numbers in a random order.

    p is as counted, by which the information of few pairs is too large: so is that of the random order.

    >>> draws = np.random.default_rng(1).integers(0, 5, (2, 4000))
    >>> abs(beyond_chance(*draws)) < 0.01, beyond_chance(draws[0], draws[0]) > 1.55
    (True, True)
    """
    from sklearn.metrics import mutual_info_score

    order = np.random.default_rng(seed).permutation(len(a))
    return float(mutual_info_score(a, b) - mutual_info_score(a[order], b))


def told_by_pairs(words: Int[np.ndarray, "n W"], said: Int[np.ndarray, "n S"]) -> list[float]:
    """Of each of W words the nats that the first word of what is said and the best other one tell, beyond chance.

    Args:
      words: from 0 on, one row for each list.
      said: S > 1 words about each list.

    >>> lists = np.random.default_rng(1).integers(0, 4, (3000, 2))
    >>> said = np.stack([np.zeros(3000, int), lists[:, 0], lists[:, 0]], axis=1)
    >>> [abs(round(nats, 1)) for nats in told_by_pairs(lists, said)]
    [1.4, 0.0]
    """
    pairs = said[:, :1] * (said.max() + 1) + said[:, 1:]
    return [max(beyond_chance(own, pair) for pair in pairs.T) for own in words.T]
