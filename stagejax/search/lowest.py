"""The best of some numbers by the loss that each leads to, and of numbers beyond them where the best lies at an end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np


class Lowest(NamedTuple):
    """The number with the lowest loss, and what it took to find it."""

    best: float
    tried: tuple[float, ...]  # in the order in which they were
    losses: tuple[float, ...]  # of each; infinite where it diverged, NaN in a plan
    spent: tuple[Any, ...]  # results, to be charged

    @property
    def at_an_end(self) -> bool:
        """Whether a better one may lie beyond those that were tried; no one can tell where only one was."""
        return len(self.tried) > 1 and self.best in (min(self.tried), max(self.tried))

    @property
    def cells(self) -> tuple[str, str, float, str]:
        """What was tried, the losses, what is chosen, and whether that is at an end, for a table."""
        pairs = sorted(zip(self.tried, self.losses, strict=True))
        tried, losses = (", ".join(f"{value:.4g}" for value in own) for own in zip(*pairs, strict=True))
        return tried, losses, self.best, "yes" if self.at_an_end else ""


def lowest(numbers: Sequence[float], loss: Callable[[float], tuple[float, tuple[Any, ...]]], beyond: int = 0) -> Lowest:
    """The number with the lowest loss, the first of equals; the first of all in a plan, where losses are NaN.

    While the best one lies at an end and up to `beyond` times, one more number is tried there, as far from it, by
    ratio, as its neighbour is: behind 1, 2 and 4 comes 8. A plan counts the numbers given alone.

    Args:
      numbers: positive where `beyond` is asked for.
      loss: of a number, and the results that it took.
      beyond: how many further numbers may be tried.

    Raises:
      ValueError: no number is given, or one that has no ratio to its neighbour.

    >>> lowest((1.0, 2.0, 4.0), lambda x: ((x - 9) ** 2, ()), beyond=3)[:3]
    (8.0, (1.0, 2.0, 4.0, 8.0, 16.0), (64.0, 49.0, 25.0, 1.0, 49.0))
    """
    if not numbers or (beyond and min(numbers) <= 0):
        raise ValueError(f"numbers to try, above 0 where beyond={beyond} asks for further ones: not {tuple(numbers)}")
    told = {number: loss(number) for number in numbers}
    for _ in range(beyond):
        if (further := _further({number: found for number, (found, _) in told.items()})) is None:
            break
        told[further] = loss(further)
    losses = tuple(found for found, _ in told.values())
    best = numbers[0] if np.isnan(losses).any() else tuple(told)[int(np.argmin(losses))]
    return Lowest(best, tuple(told), losses, tuple(result for _, results in told.values() for result in results))


def _further(told: dict[float, float]) -> float | None:
    """The number behind the end at which the best one lies, with three digits; None where it lies at none.

    Where all diverged, the lowest of them counts as the best.
    """
    if len(told) < 2 or np.isnan(list(told.values())).any():
        return None
    order = sorted(told)
    best = order[0] if np.isinf(list(told.values())).all() else min(told, key=lambda number: told[number])
    if best not in (order[0], order[-1]):
        return None
    neighbour = order[1] if best == order[0] else order[-2]
    exact = best * best / neighbour
    short = float(f"{exact:.3g}")
    return short if short < order[0] or short > order[-1] else exact
