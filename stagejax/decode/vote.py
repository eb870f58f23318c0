"""Many samples, one answer: votes, the best of n, and how often k samples hold a right one."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Answer = TypeVar("Answer", bound=Hashable)


@dataclass(frozen=True)
class Vote:
    """The answer with the most weight, and its share of all weight, samples without an answer counted."""

    answer: Hashable | None
    share: float


def majority_vote(answers: Sequence[Hashable | None], weights: Sequence[float] | None = None) -> Vote:
    """Self-consistency: argmax_a of the number (or the summed weights) of samples whose answer is a.

    Args:
      answers: of the samples of one prompt; None: a sample without one, which nobody votes for.
      weights: of each sample, at least 0, such as its reward; None: 1 each.

    Of equals the one that came first wins. Without any answer, or any weight, the answer is None.

    Reference: Wang et al. 2022, https://arxiv.org/abs/2203.11171, section 2.

    >>> majority_vote([7, 12, None, 12])
    Vote(answer=12, share=0.5)
    >>> majority_vote([7, 12, 12], weights=[0.9, 0.2, 0.1]).answer
    7
    """
    weights = [1.0] * len(answers) if weights is None else weights
    totals: dict[Hashable, float] = {}
    for answer, weight in zip(answers, weights, strict=True):
        if answer is not None:
            totals[answer] = totals.get(answer, 0.0) + weight
    winner = max(totals, key=lambda answer: totals[answer], default=None)
    if winner is None or totals[winner] <= 0:
        return Vote(None, 0.0)
    return Vote(winner, totals[winner] / sum(weights))


def best_of(candidates: Sequence[Answer], scores: Sequence[float]) -> Answer:
    """The candidate of the largest score, the first of equals: best-of-n.

    >>> best_of(["a", "b", "c"], [0.1, 0.9, 0.9])
    'b'
    """
    return max(zip(candidates, scores, strict=True), key=lambda pair: pair[1])[0]


def pass_at(k: int, samples: int, right: int) -> float:
    """The probability that k of these samples, drawn without replacement, hold a right one: 1 - C(n-c, k) / C(n, k).

    Raises:
      ValueError: fewer than k samples, or more right ones than samples.

    Reference: Chen et al. 2021, https://arxiv.org/abs/2107.03374, equation 1.

    >>> pass_at(1, samples=4, right=1), pass_at(2, samples=4, right=1)
    (0.25, 0.5)
    """
    if not (1 <= k <= samples and 0 <= right <= samples):
        raise ValueError(f"pass_at({k}, samples={samples}, right={right}): need 1 <= k <= samples and right <= samples")
    return 1 - math.comb(samples - right, k) / math.comb(samples, k)
