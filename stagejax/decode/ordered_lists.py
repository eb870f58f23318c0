"""Lists of steps against wanted ones: matched in order by dynamic programming, and how far the order agrees.

Letters: P steps said, G steps wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from scipy.stats import kendalltau

Pairs = list[tuple[int, int]]


class ListScore(NamedTuple):
    """Precision, recall and their harmonic mean."""

    precision: float
    recall: float
    f1: float


def equal(said: str, wanted: str) -> float:
    """1 where two steps are the same, word for word.

    >>> equal("take the boot", "take the boot"), equal("take the boot", "take the bag")
    (1.0, 0.0)
    """
    return float(said.split() == wanted.split())


def similarities(
    said: Sequence[str], wanted: Sequence[str], like: Callable[[str, str], float] = equal
) -> Float[np.ndarray, "P G"]:
    """`like` of every step said and every one wanted."""
    return np.array([[like(own, other) for other in wanted] for own in said], float).reshape(len(said), len(wanted))


def in_order(similar: Float[np.ndarray, "P G"], gap: float = 0.0) -> Pairs:
    """Pairs (p, g), both rising, with the largest Σ similar[p, g] - gap · (steps in no pair), by

        V[p, g] = max(V[p - 1, g - 1] + similar[p, g], V[p - 1, g] - gap, V[p, g - 1] - gap)

    Where pairing two steps gains nothing, they stay alone.

    Args:
      gap: what a step too many or too few costs.

    Reference: Fujita et al. 2020 (SODA), https://doi.org/10.1007/978-3-030-58539-6_31, section 3.2, there without gaps;
    Needleman and Wunsch 1970.

    >>> in_order(np.array([[1.0, 0, 0], [0, 0, 0], [0, 0, 1]]))
    [(0, 0), (2, 2)]
    >>> in_order(np.eye(2)[::-1])  # two steps that changed places: one of them
    [(0, 1)]
    """
    P, G = similar.shape
    value = np.zeros((P + 1, G + 1))
    value[:, 0], value[0] = -gap * np.arange(P + 1), -gap * np.arange(G + 1)
    for p in range(1, P + 1):
        for g in range(1, G + 1):
            alone = max(value[p - 1, g], value[p, g - 1]) - gap
            value[p, g] = max(alone, value[p - 1, g - 1] + similar[p - 1, g - 1])
    pairs: Pairs = []
    p, g = P, G
    while p and g:
        if value[p, g] == value[p - 1, g] - gap:
            p -= 1
        elif value[p, g] == value[p, g - 1] - gap:
            g -= 1
        else:
            p, g = p - 1, g - 1
            pairs.append((p, g))
    return pairs[::-1]


def list_score(
    said: Sequence[str], wanted: Sequence[str], like: Callable[[str, str], float] = equal, gap: float = 0.0
) -> ListScore:
    """The similarity of the steps that are matched in order, over the steps said, over those wanted, and F1.

    With `equal`, F1 is 2 m / (P + G) of m equal steps in order. An empty list said has no precision but 0.

    Reference: Fujita et al. 2020 (SODA), equations 4 and 5, without the overlap of times.

    >>> list_score(["take", "turn", "box"], ["take", "box"])
    ListScore(precision=0.6666666666666666, recall=1.0, f1=0.8)
    """
    similar = similarities(said, wanted, like)
    total = float(sum(similar[pair] for pair in in_order(similar, gap)))
    precision, recall = (total / len(own) if own else 0.0 for own in (said, wanted))
    return ListScore(precision, recall, 2 * precision * recall / (precision + recall) if total > 0 else 0.0)


def in_any_order(similar: Float[np.ndarray, "P G"], least: float = 1.0) -> Pairs:
    """Pairs one to one with the largest sum of similarities, without those below `least`.

    >>> in_any_order(np.eye(2)[::-1])
    [(0, 1), (1, 0)]
    """
    if not similar.size:
        return []
    rows, columns = linear_sum_assignment(similar, maximize=True)
    return [(int(p), int(g)) for p, g in zip(rows, columns, strict=True) if similar[p, g] >= least]


def kendall_tau(order: Sequence[int]) -> float:
    """(concordant - discordant) / (n (n - 1) / 2) of pairs of n places, each as it is or turned round; NaN for n < 2.

    Reference: Kendall 1938; of orders of sentences: Lapata 2006, equation 4.

    >>> [round(kendall_tau(order), 3) for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2])]
    [1.0, -1.0, 0.333]
    """
    return float(kendalltau(range(len(order)), order).statistic) if len(order) > 1 else float("nan")


def order_tau(said: Sequence[str], wanted: Sequence[str]) -> float:
    """Kendall's tau of the steps of both, by equal steps; NaN where they share fewer than two.

    >>> round(order_tau(["take", "box", "turn"], ["take", "turn", "box", "dim"]), 3)
    0.333
    """
    return kendall_tau([g for _, g in in_any_order(similarities(said, wanted))])
