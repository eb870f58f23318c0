"""Many samples, one answer: votes, groups by answer, the best of n, and how often k samples hold a right one."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

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


class Group(NamedTuple):
    """The samples of one prompt that give the same answer, and what they were scored."""

    answer: Hashable
    count: int
    best: float  # the largest score
    total: float  # the sum of scores

    @property
    def mean(self) -> float:
        """Their mean score."""
        return self.total / self.count


def groups(answers: Sequence[Hashable | None], scores: Sequence[float]) -> list[Group]:
    """Samples grouped by their answers, in the order in which answers came first; those without one are left out.

    >>> groups([7, 12, None, 12], [0.9, 0.25, 1.0, 0.5])
    [Group(answer=7, count=1, best=0.9, total=0.9), Group(answer=12, count=2, best=0.5, total=0.75)]
    """
    found: dict[Hashable, Group] = {}
    for answer, score in zip(answers, scores, strict=True):
        if answer is not None:
            own = found.get(answer, Group(answer, 0, score, 0.0))
            found[answer] = Group(answer, own.count + 1, max(own.best, score), own.total + score)
    return list(found.values())


def answer_by(measure: Callable[[Group], float], found: Sequence[Group]) -> Hashable | None:
    """The answer whose group measures most; of equals that of the larger group, then the first. None without a group.

    By `count` this is self-consistency; by `best`, `total` and `mean` M1(MAX), M1(SUM) and M1(AVG) of learning by
    teaching.

    Reference: Ning et al. 2024 (LbT), https://arxiv.org/abs/2406.14629, section 3.

    >>> found = groups([7, 12, 12, 5], [0.9, 0.25, 0.75, 0.5])
    >>> [answer_by(by, found) for by in (lambda own: own.count, lambda own: own.best, lambda own: own.total)]
    [12, 7, 12]
    """
    return max(found, key=lambda own: (measure(own), own.count)).answer if found else None


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
