"""Greedy search over the parts of a schedule: from the first to the last, the cheapest choice that loses nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Choice = TypeVar("Choice")


def greedy(
    start: tuple[Choice, ...], candidates: Sequence[Choice], score: Callable[[tuple[Choice, ...]], float]
) -> tuple[tuple[Choice, ...], dict[tuple[Choice, ...], float]]:
    """The schedule that is found, and the score of each that was tried, in order.

    For one part after the other the candidates are tried in turn, with what was found for the parts before and with
    `start` in those behind; the first that scores no less than `start` alone stays.

    Args:
      start: the choice of each part that is to be undercut.
      candidates: the cheapest first.
      score: the higher the better; NaN is never enough.

    >>> needed = (2, 4, 8)
    >>> greedy((8, 8, 8), (2, 4), lambda tried: float(all(a >= b for a, b in zip(tried, needed))))[0]
    (2, 4, 8)
    """
    found, scores = start, {start: score(start)}
    for i in range(len(start)):
        for candidate in candidates:
            tried = (*found[:i], candidate, *found[i + 1 :])
            if tried not in scores:
                scores[tried] = score(tried)
            if scores[tried] >= scores[start]:
                found = tried
                break
    return found, scores
