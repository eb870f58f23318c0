"""How good estimates of last accuracies were: errors where training stopped, hits, and the order of learners."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np


class Cases(NamedTuple):
    """Learning curves of several repeats (first axis), and what was estimated of each.

    Levels are numbered from 1 to n, as in `report.traces`; n + 1 stands for none, and what is said there is what is
    observed at last.

    >>> seen = np.array([[[0.5, 0.7, 0.8], [0.6, 0.7, 0.75]]])
    >>> cases = Cases(seen, seen, np.array([[1, 4]]), {"last value": seen}, {0.1: np.array([[2, 4]])})
    >>> cases.off("last value", cases.stops[0.1]).round(2).tolist(), cases.hits("last value", 0.1).tolist()
    ([[-0.1, 0.0]], [[True, False]])
    >>> cases.ordered("last value", np.array([[1, 1]]), learners=2).tolist(), cases.falling()
    ([[False]], 0.0)
    >>> [cases.foreseen(np.array([levels]), learners=2).tolist() for levels in ([1, 3], [3, 4])]
    [[[True]], [[False]]]
    """

    observed: np.ndarray  # (repeats, curves, n) accuracies
    asymptotes: np.ndarray  # (repeats, curves, n)
    trusted: np.ndarray  # (repeats, curves) prediction levels
    said: Mapping[str, np.ndarray]  # of every arm (repeats, curves, n): the last accuracy, as estimated at each level
    stops: Mapping[float, np.ndarray]  # of every tolerance (repeats, curves): where training stops

    def off(self, arm: str, levels: np.ndarray) -> np.ndarray:
        """What an arm says at the curves' levels less the last accuracies."""
        last = self.observed[..., -1:]
        said = np.concatenate([self.said[arm], last], -1) - last
        return np.take_along_axis(said, levels[..., None] - 1, -1)[..., 0]

    def early(self, levels: np.ndarray) -> np.ndarray:
        """Which curves have their level before the last one."""
        return levels < self.observed.shape[-1]

    def hits(self, arm: str, tolerance: float) -> np.ndarray:
        """Which curves are stopped before the last level with an estimate that is off by the tolerance or less."""
        levels = self.stops[tolerance]
        return self.early(levels) & (np.abs(self.off(arm, levels)) <= tolerance + 1e-12)

    def errors(self, arm: str, levels: np.ndarray) -> list[float]:
        """Mean absolute error of every repeat, over the curves that have their level before the last one."""
        found = zip(np.abs(self.off(arm, levels)), self.early(levels), strict=True)
        return [float(own[kept].mean()) if kept.any() else float("nan") for own, kept in found]

    def ordered(self, arm: str, levels: np.ndarray, learners: int) -> np.ndarray:
        """Which pairs of curves are in the order of their last accuracies: (repeats, pairs), within texts.

        Args:
          learners: curves of a text, which stand together.
        """
        last, (i, j) = self.observed[..., -1], np.triu_indices(learners, 1)
        both = [own.reshape(len(own), -1, learners) for own in (last + self.off(arm, levels), last)]
        said, true = (np.sign(own[..., i] - own[..., j]) for own in both)
        return (said == true).reshape(len(last), -1)

    def foreseen(self, levels: np.ndarray, learners: int) -> np.ndarray:
        """Which of these pairs have a curve whose level is before the last one: the order of the others is known."""
        early, (i, j) = self.early(levels).reshape(len(levels), -1, learners), np.triu_indices(learners, 1)
        return (early[..., i] | early[..., j]).reshape(len(levels), -1)

    def falling(self) -> float:
        """Share of the levels behind the prediction level at which the asymptote fell; NaN where there are none."""
        behind = np.arange(2, self.observed.shape[-1] + 1) > self.trusted[..., None]
        return float((np.diff(self.asymptotes) <= 0)[behind].mean()) if behind.any() else float("nan")
