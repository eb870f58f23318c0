"""Early stopping that keeps the best state: trained until a loss turns, and once more up to where it was lowest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stagejax.stage import Stage


def at_its_best(run: Any, stage: Stage, until: Any, at: Any, start: Any = None) -> tuple[Any, ...]:
    """The state of the lowest held-out loss, last; before it the training that found it, where that ended later.

    A stage keeps its last state. Where an earlier one was better, the stage is trained again up to there, which gives
    the same bits; both are to be charged. The state before the first step does not count.

    Args:
      run: of a pipeline.
      stage: with evaluations on its way; the first training has its name and "whole".
      until: the policy of `growth.timing` that ends it, such as `Turned(3)`.
      at: the policy that ends it at a given step: `AtStep`.
      start: what it starts from.

    >>> # whole, best = at_its_best(run, stage, Turned(3), AtStep, base)
    """
    whole = run.train(replace(stage, name=f"{stage.name}/whole"), start, until=until)
    rows = [row for row in whole.history.evals if row["step"]]
    best = min(rows, key=lambda row: row["loss"])["step"] if rows else whole.steps
    return (whole,) if best == whole.steps else (whole, run.train(stage, start, until=at(best)))
