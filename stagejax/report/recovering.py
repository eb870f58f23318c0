"""How soon a model is as good again after its data shifted, and what that cost on all else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from stagejax.report.reaching import steps_until
from stagejax.report.seeds import mean
from stagejax.report.tables import Table


class Shifted(NamedTuple):
    """What was measured after one answer to a shift: rows of evaluations, and whether it trained at all."""

    evals: Sequence[Mapping[str, Any]]  # with "step"
    trained: bool = True


def recovery_table(
    title: str,
    found: Mapping[str, Shifted],
    score: Callable[[Mapping[str, Any], int], float],
    task: tuple[str, int],
    others: Sequence[int],
    aim: float,
    note: str = "",
) -> Table:
    """For each answer to a shift: the shifted task, the mean of the others, what these lost, and how soon it recovered.

    Args:
      found: by what was done; the first one is that against which the others lose.
      score: of a row of an evaluation and a task's number, from 0 to 1.
      task: name and number of the shifted one.
      others: numbers of the others.
      aim: score from which the task has recovered.

    >>> found = {"left alone": Shifted([{"step": 9, "0": 0.2, "1": 0.9}], False),
    ...          "trained": Shifted([{"step": 0, "0": 0.2, "1": 0.9}, {"step": 5, "0": 0.7, "1": 0.8}])}
    >>> recovery_table("Shift", found, lambda row, t: row[str(t)], ("news", 0), [1], 0.5).cells()
    [['left alone', '20.0', '90.0', '+0.0', '–'], ['trained', '70.0', '80.0', '+10.0', '5']]
    """
    name, number = task

    def last(own: Shifted, t: int) -> float:
        return 100 * score(own.evals[-1], t) if own.evals else float("nan")

    before, rows = next(iter(found.values())), []
    for label, own in found.items():
        rest = np.array([last(own, t) for t in others])
        lost = np.array([last(before, t) for t in others]) - rest
        soon = steps_until(own.evals, lambda row: score(row, number) >= aim) if own.trained else None
        rows.append((label, last(own, number), mean(list(rest)), mean(list(lost)), soon))
    columns = ("what is done", f"{name}, %", "other tasks, %", "they lost", "steps to recover")
    return Table(title, columns, tuple(rows), ("", ".1f", ".1f", "+.1f", ""), note)
