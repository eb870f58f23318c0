"""The best of some stages that differ in their settings, by what they score on data that no claim speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from stagejax.stage import Stage


class Grid(NamedTuple):
    """The settings with the highest score, and what it took to find them."""

    best: Any
    scores: dict[Any, float]  # empty where there was no choice, NaN in a plan
    spent: tuple[Any, ...]  # results, to be charged


def best_of_grid(run: Any, pilots: Mapping[Any, Stage], metric: str) -> Grid:
    """The settings whose pilot has the highest metric at its last evaluation, the first ones in a plan. The only
    ones are the best without being tried.

    Args:
      run: of a pipeline.
      pilots: stages by their settings, each of a name of its own.

    >>> # found = best_of_grid(run, {peak: stage(peak) for peak in (1e-3, 3e-3)}, "auc")
    """
    if len(pilots) == 1:
        return Grid(next(iter(pilots)), {}, ())
    spent = {key: run.train(pilot) for key, pilot in pilots.items()}
    scores = {key: float(result.history.last(metric)) for key, result in spent.items()}
    return Grid(max(scores, key=lambda key: np.nan_to_num(scores[key])), scores, tuple(spent.values()))
