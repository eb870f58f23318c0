"""Adapters that were each trained for a task on one frozen model, and which of them answers: no task is told.

What every adapter would say to every test row is found once (`answers_of_adapters`); the scores of a sequence of tasks,
in any order, follow from it (`routed_scores`). A row goes to the adapter whose prototype is nearest to its prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from stagejax.data.selection.successive import Successive
from stagejax.inference.frozen import Frozen, apply, flops_of_one
from stagejax.objectives.text.answered_tasks import first_answers
from stagejax.result import Result


def prompt_states(model: Any, batch: Mapping[str, Any]) -> Float[Array, "B E"]:
    """The mean of a causal model's last states over the prompt of each row: up to its first learned target.

    Args:
      batch: `tokens` and `weights` (B, T), as for `causal_lm`.
    """
    states_BTE = model.hidden(jnp.asarray(batch["tokens"]))
    upto_BT = jnp.arange(states_BTE.shape[1]) <= (jnp.asarray(batch["weights"]) > 0).argmax(1)[:, None]
    seen_BT = (upto_BT & (jnp.asarray(batch["tokens"]) > 0))[..., None]
    return (states_BTE * seen_BT).sum(1) / jnp.maximum(seen_BT.sum(1), 1)


@dataclass(frozen=True)
class RightAnswers:
    """Whether the answers of a model are right, free ones and those among a task's own: (B, 2)."""

    names: tuple[tuple[int, ...], ...]

    def __call__(self, model: Any, batch: Mapping[str, Any]) -> Bool[Array, "B 2"]:
        return jnp.stack(first_answers(model(batch["tokens"]), batch, self.names), 1)


def answers_of_adapters(
    shown: Successive, asked: Successive, names: tuple[tuple[int, ...], ...], rows: int, base: Result, *adapters: Result
) -> dict[str, np.ndarray]:
    """What every adapter says to the rows of every task, and how far each row is from every prototype.

    A prototype is the mean of `prompt_states` of the base over the first training rows of a task, so it is known as
    soon as the task is learnt, and needs no row of a later one.

    Args:
      shown: training rows of the N tasks.
      asked: test rows, of which row n is of part n modulo the number of parts; the first N parts are the tasks.
      names: ids that answers of each task may begin with.
      rows: of each task, to make its prototype and to test it.
      base: the frozen model without adapters.
      adapters: of the tasks, in their order.

    Returns:
      "free" and "among", bool (1 + N, N, rows), of the base and then of the adapter of each task: whether its answer to
      a row of each task is right, as in `AnsweredTasks`; "distances", float32 (N, rows, N), to the prototypes.

    >>> # said = run.make("answers", answers_of_adapters, train, test, names, 128, base, *nets).value
    """
    plain, at, tasks = Frozen.of(base), np.arange(rows), len(adapters)
    parts = asked.take(np.arange(rows * asked.tasks))
    tests = np.concatenate([np.flatnonzero(parts["task"] == j) for j in range(tasks)])
    questions = {name: leaf[tests] for name, leaf in parts.items()}
    first = (shown.take_of(np.full(rows, j), shown.order(j, at)) for j in range(tasks))
    prototypes_NE = np.stack([apply(prompt_states, plain, _seen(own), rows).mean(0) for own in first])
    states_QE = apply(prompt_states, plain, _seen(questions), rows)
    apart_QN = np.linalg.norm(states_QE[:, None] - prototypes_NE, axis=-1)
    said = [apply(RightAnswers(names), Frozen.of(net), questions, rows) for net in (base, *adapters)]
    right_ANR2 = np.stack(said).reshape(1 + tasks, tasks, rows, 2)
    distances = apart_QN.reshape(tasks, rows, tasks).astype(np.float32)
    return {"free": right_ANR2[..., 0], "among": right_ANR2[..., 1], "distances": distances}


def flops_of_answers(
    base: Any, adapted: Any, asked: Successive, names: tuple[tuple[int, ...], ...], rows: int
) -> float:
    """The matmul FLOPs of `answers_of_adapters`, from the configurations of the models without and with adapters."""
    spec, tasks = asked.sample_spec(), len(names)
    states = flops_of_one(prompt_states, base, _seen(spec))
    said = flops_of_one(RightAnswers(names), base, spec) + tasks * flops_of_one(RightAnswers(names), adapted, spec)
    return float(tasks * rows * (2 * states + said))


def _seen(batch: Mapping[str, Any]) -> dict[str, Any]:
    return {name: batch[name] for name in ("tokens", "weights")}


def routed_scores(
    right: Bool[np.ndarray, "A N rows"], distances: Float[np.ndarray, "N rows N"], order: Sequence[int]
) -> Float[np.ndarray, "A N"]:
    """R[i, j]: scores on task order[j] after i tasks were learnt, each row answered by the nearest adapter so far.

    With no adapter yet (i = 0) the base answers.

    Args:
      right: of the base and then of the adapter of each task, by `answers_of_adapters`.

    >>> right = np.array([[[0], [0]], [[1], [0]], [[1], [1]]], bool)  # the second adapter answers everything
    >>> near = np.array([[[0.1, 0.2]], [[0.3, 0.2]]])
    >>> routed_scores(right, near, (0, 1)).tolist(), routed_scores(right, near, (1, 0)).tolist()
    ([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]], [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
    """
    tasks, rows = right.shape[1:]
    found = [right[0].mean(1)[list(order)]]
    for i in range(1, tasks + 1):
        learnt = np.array(order[:i])
        nearest_NR = learnt[distances[..., learnt].argmin(-1)]
        own_NR = right[1 + nearest_NR, np.arange(tasks)[:, None], np.arange(rows)]
        found.append(own_NR.mean(1)[list(order)])
    return np.stack(found)


def routed_rightly(distances: Float[np.ndarray, "N rows N"]) -> float:
    """The share of rows whose nearest prototype of all is that of their task.

    >>> routed_rightly(np.array([[[0.1, 0.2]], [[0.1, 0.2]]]))
    0.5
    """
    return float((distances.argmin(-1) == np.arange(len(distances))[:, None]).mean())
