"""What single-task networks say of every record of their own tasks: a teacher's answers for several tasks at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from stagejax.data.joined import for_every_record
from stagejax.data.selection.task_sampling import SampledTasks
from stagejax.inference.frozen import Frozen, compiled


def answers_of(model: Any, rows: Mapping[str, jax.Array]) -> jax.Array:
    """(B, C) of rows {"tokens", "task"}."""
    return model.answers(rows["tokens"], rows["task"])


def answers_of_teachers(data: SampledTasks, *teachers: Any) -> dict[str, np.ndarray]:
    """`taught` (records, C): what each record's own teacher answers; teacher t is of the task with number t.

    >>> # each = flops_of_one(answers_of, net, {"tokens": ..., "task": ...})
    >>> # said = run.make("taught", answers_of_teachers, data, *singles, flops=records * each)
    >>> # join(data, said, Row("taught", (classes,)))
    """
    nets = [Frozen.of(teacher) for teacher in teachers]

    def said(batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        rows = {name: batch[name] for name in ("tokens", "task")}
        own = {t: compiled(answers_of, nets[t].config) for t in np.unique(rows["task"])}
        each = {t: np.asarray(run(nets[t].params, nets[t].rest, rows), np.float32) for t, run in own.items()}
        return {"taught": np.stack([each[t][row] for row, t in enumerate(rows["task"])])}

    return for_every_record(said, data)
