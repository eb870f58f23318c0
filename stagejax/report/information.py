"""How much one thing says about another."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int


def mutual_information(a: Int[np.ndarray, " n"], b: Int[np.ndarray, " n"]) -> float:
    """I(a; b) = Σ p(x, y) log(p(x, y) / (p(x) p(y))) in nats, with p as counted: of few pairs it is too large.

    >>> round(mutual_information(np.array([0, 1, 0, 1]), np.array([5, 7, 5, 7])), 3)
    0.693
    """
    (_, one), (_, other) = (np.unique(x, return_inverse=True) for x in (a, b))
    joint = np.zeros((one.max() + 1, other.max() + 1))
    np.add.at(joint, (one, other), 1 / len(a))
    apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    return float((joint[joint > 0] * np.log(joint[joint > 0] / apart[joint > 0])).sum())


def beyond_chance(a: Int[np.ndarray, " n"], b: Int[np.ndarray, " n"], seed: int = 0) -> float:
    """I(a; b) less what is counted between the same numbers in a random order.

    >>> draws = np.random.default_rng(1).integers(0, 5, (2, 4000))
    >>> abs(beyond_chance(*draws)) < 0.01, beyond_chance(draws[0], draws[0]) > 1.55
    (True, True)
    """
    order = np.random.default_rng(seed).permutation(len(a))
    return mutual_information(a, b) - mutual_information(a[order], b)


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
