"""The peak learning rate by pilots: the same stage with each of some rates."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from stagejax.stage import Stage


class Peak(NamedTuple):
    """The best of some peak learning rates, and what it took to find it."""

    peak: float
    tried: tuple[float, ...]
    losses: tuple[float, ...]  # the lowest of each, or its score; infinite where it diverged, NaN in a plan
    spent: tuple[Any, ...]  # results, to be charged

    @property
    def at_an_end(self) -> bool:
        """Whether a better one may lie beyond those that were tried."""
        return self.peak in (min(self.tried), max(self.tried))

    @property
    def cells(self) -> tuple[str, str, float, str]:
        """What was tried, the losses, what is chosen, and whether that is at an end, for a table."""
        tried, losses = (", ".join(f"{value:.4g}" for value in own) for own in (self.tried, self.losses))
        return tried, losses, self.peak, "yes" if self.at_an_end else ""


def best_peak(
    run: Any,
    stage: Stage,
    peaks: Sequence[float],
    metric: str = "loss",
    *,
    start: Any = None,
    until: Any = None,
    score: Callable[[Any], float] | None = None,
) -> Peak:
    """The peak with the lowest loss at any evaluation of its pilot, or with the lowest score; the first one in a plan.

    Args:
      run: of a pipeline.
      stage: the pilot, evaluated on data that no claim speaks of; each rate is tried under its name / rate.
      metric: of the evaluations.
      start: what every pilot starts from.
      until: a policy of `growth.timing` that ends every pilot.
      score: of a pilot's result, in place of its evaluations; not asked of one that diverged.

    >>> # peak = best_peak(run, replace(stage, name="pilot", steps=100), (1e-3, 3e-3, 1e-2))
    """
    told = score or functools.partial(_lowest, metric=metric)
    spent, losses = [], []
    for peak in peaks:
        pilot = replace(stage, name=f"{stage.name}/{peak:g}", optimizer=_at(stage.optimizer, peak))
        spent.append(run.train(pilot, start, until=until, may_diverge=True))
        losses.append(float("inf") if spent[-1].diverged else told(spent[-1]))
    best = peaks[0] if np.isnan(losses).any() else peaks[int(np.argmin(losses))]
    return Peak(best, tuple(peaks), tuple(losses), tuple(spent))


def kept_peak(
    run: Any, kept: dict[str, Peak], name: str, stage: Stage, peaks: Sequence[float], **how: Any
) -> tuple[Any, tuple[Any, ...]]:
    """The result of a stage at the best of its peaks, and the other pilots' results, to be charged.

    A peak is searched once, for the first stage of a name, and kept for all others: such as those of other seeds.

    Args:
      kept: what was searched before, by name; it is added to.
      name: of what shares a peak.
      stage, peaks, how: as in `best_peak`; here the pilot is the whole stage.

    >>> # tuned, others = kept_peak(run, peaks, "SFT", stage, (1e-3, 3e-3), start=base, score=wrong_answers)
    """
    found = best_peak(run, stage, (kept[name].peak,) if name in kept else peaks, **how)
    kept.setdefault(name, found)
    best = found.tried.index(found.peak)
    return found.spent[best], (*found.spent[:best], *found.spent[best + 1 :])


def _at(optimizer: Any, peak: float) -> Any:
    """An optimizer, or those of several models of which some stay as they are, at another peak."""
    if isinstance(optimizer, dict):
        return {name: own and _at(own, peak) for name, own in optimizer.items()}
    return replace(optimizer, peak=peak)


def _lowest(pilot: Any, metric: str) -> float:
    """NaN in a plan."""
    return min((float(np.mean(row[metric])) for row in pilot.history.evals if metric in row), default=float("nan"))
