"""Training epoch by epoch, of which the one with the lowest held-out loss is kept; and a rate that is searched so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stagejax.stage import Stage


@dataclass(frozen=True)
class Epochs:
    """The epochs of a run, each a result, and the best of them."""

    results: tuple[Any, ...]
    peak: float  # learning rate

    @property
    def losses(self) -> list[float]:
        """Of the held-out data behind each epoch: infinite where it diverged, zeros in a plan."""
        return [np.inf if own.diverged else float(np.nan_to_num(own.history.last("loss"))) for own in self.results]

    @property
    def best(self) -> Any:
        """The result with the lowest loss, the first of equal ones."""
        return self.results[int(np.argmin(self.losses))]


@dataclass(frozen=True)
class SearchedEpochs:
    """The run of every seed at the peak that is best with the first one, and all runs of the search."""

    runs: dict[int, Epochs]
    tried: tuple[Epochs, ...]

    def owed(self, seed: int) -> tuple[Any, ...]:
        """What was tried beside the seed's own run, to be charged."""
        return tuple(own for one in self.tried if one is not self.runs[seed] for own in one.results)


def epoch_by_epoch(run: Any, stage: Stage, epochs: int, carry: Any, start: Any = None) -> Epochs:
    """A stage `epochs` times, one after the other, under its name / number; it ends where one diverges.

    Args:
      run: of a pipeline.
      stage: one epoch, evaluated at its end; its optimizer's `horizon` is all of them.
      carry: the hand-over from one to the next: `Handover(moments="carry", schedule="carry", data="carry")`.
      start: what the first one starts from.

    >>> # epochs = epoch_by_epoch(run, stage, 4, CARRY, base)
    """
    results: list[Any] = []
    for number in range(epochs):
        own = replace(stage, name=f"{stage.name}/{number}", **({"handover": carry} if number else {}))
        results.append(run.train(own, results[-1] if number else start, may_diverge=True))
        if results[-1].diverged:
            break
    return Epochs(tuple(results), stage.optimizer.peak)


def best_epochs(
    train: Callable[[float, int], Epochs], peaks: Sequence[float], seeds: Sequence[int], known: Sequence[Epochs] = ()
) -> SearchedEpochs:
    """Every peak with the first seed, and the one whose best epoch has the lowest loss with the others.

    Args:
      train: (peak, seed) -> the epochs.
      known: what was trained with the first seed before, in place of the search.

    >>> # found = best_epochs(lambda peak, seed: epoch_by_epoch(run, stage(peak, seed), 4, CARRY), (1e-4, 5e-4), (0, 1))
    """
    first, *rest = seeds
    tried = tuple(known) or tuple(train(peak, first) for peak in peaks)
    best = min(tried, key=lambda one: min(one.losses))
    return SearchedEpochs({first: best} | {seed: train(best.peak, seed) for seed in rest}, tried)
