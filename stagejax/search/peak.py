"""The peak learning rate by pilots: the same stage with each of some rates."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stagejax.search.lowest import Lowest, lowest
from stagejax.stage import Stage

#: What was searched, by what shares a peak.
Peaks = dict[str, Lowest]


def best_peak(
    run: Any,
    stage: Stage,
    peaks: Sequence[float],
    metric: str = "loss",
    *,
    start: Any = None,
    until: Any = None,
    score: Callable[[Any], float] | None = None,
    beyond: int = 0,
) -> Lowest:
    """The peak with the lowest loss at any evaluation of its pilot, or with the lowest score; the first one in a plan.

    Args:
      run: of a pipeline.
      stage: the pilot, evaluated on data that no claim speaks of; each rate is tried under its name / rate.
      metric: of the evaluations.
      start: what every pilot starts from.
      until: a policy of `growth.timing` that ends every pilot.
      score: of a pilot's result, in place of its evaluations; not asked of one that diverged.
      beyond: how many further rates may be tried where the best one is the lowest or highest, as in `search.lowest`.

    >>> # found = best_peak(run, replace(stage, name="pilot", steps=100), (1e-3, 3e-3, 1e-2)).best
    """
    told = score or functools.partial(_lowest, metric=metric)

    def loss(peak: float) -> tuple[float, tuple[Any, ...]]:
        pilot = at_peak(replace(stage, name=f"{stage.name}/{peak:g}"), peak)
        result = run.train(pilot, start, until=until, may_diverge=True)
        return float("inf") if result.diverged else told(result), (result,)

    return lowest(peaks, loss, beyond)


def kept_peak(
    run: Any, kept: Peaks, name: str, stage: Stage, peaks: Sequence[float], **how: Any
) -> tuple[Any, tuple[Any, ...]]:
    """The result of a stage at the best of its peaks, and the other pilots' results, to be charged.

    A peak is searched once, for the first stage of a name, and kept for all others: such as those of other seeds.

    Args:
      kept: what was searched before, by name; it is added to.
      name: of what shares a peak.
      stage, peaks, how: as in `best_peak`; here the pilot is the whole stage.

    >>> # tuned, others = kept_peak(run, peaks, "SFT", stage, (1e-3, 3e-3), start=base, score=wrong_answers)
    """
    found = best_peak(run, stage, (kept[name].best,) if name in kept else peaks, **how)
    kept.setdefault(name, found)
    best = found.tried.index(found.best)
    return found.spent[best], (*found.spent[:best], *found.spent[best + 1 :])


def at_peak(stage: Stage, peak: float) -> Stage:
    """The stage at another peak learning rate, its end rate in the same ratio; with several models, of all that move.

    >>> # tuned = run.train(at_peak(stage, found.best), base)
    """
    return replace(stage, optimizer=_at(stage.optimizer, peak))


def _at(optimizer: Any, peak: float) -> Any:
    """An optimizer, or those of several models of which some stay as they are, at another peak."""
    if isinstance(optimizer, dict):
        return {name: own and _at(own, peak) for name, own in optimizer.items()}
    return replace(optimizer, peak=peak, end=optimizer.end / optimizer.peak * peak)


def _lowest(pilot: Any, metric: str) -> float:
    """NaN in a plan."""
    return min((float(np.mean(row[metric])) for row in pilot.history.evals if metric in row), default=float("nan"))
