"""What an arm that learns tasks in sequence leaves in its histories: accuracies of each task after each phase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from stagejax.report.curves import Result


def accuracy_matrix(results: Sequence[Any], tasks: int, of: str = "task") -> Float[np.ndarray, "rows T"]:
    """The metrics `task 0`, `task 1`, ... of all evaluations of an arm: (1 + T, T) where the first was before training.

    Metrics of another name, such as `text 0`, ..., are read by `of="text"`.

    Where an arm has several stages, only the first one's evaluation at step 0 counts: the others say what was said
    before. One row of NaN where nothing was evaluated, as in planning.

    >>> from types import SimpleNamespace
    >>> evals = [{"step": 0, "task 0": 0.1}, {"step": 5, "task 0": 0.9}]
    >>> accuracy_matrix([SimpleNamespace(history=SimpleNamespace(evals=evals))] * 2, 1).ravel().tolist()
    [0.1, 0.9, 0.9]
    """
    rows = [row for result in results for row in result.history.evals]
    rows = [row for i, row in enumerate(rows) if row["step"] or i == 0]
    return np.array([[row[f"{of} {j}"] for j in range(tasks)] for row in rows] or [[np.nan] * tasks])


def in_phases(results: Sequence[Result], metric: str, tasks: int) -> Float[np.ndarray, "T steps"] | None:
    """A training metric of an arm at each step of each phase, under its name or that of the model "net" of several.

    None where no stage has it, as in planning.
    """
    trains = [result.history.train for result in results]
    values = [value for train in trains for value in train.get(metric, train.get(f"net_{metric}", []))]
    return np.reshape(values, (tasks, -1)) if values else None
