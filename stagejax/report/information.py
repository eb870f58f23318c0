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
