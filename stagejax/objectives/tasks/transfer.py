"""What later stages do to earlier tasks: forgetting and transfer, from the scores of every task after every stage.

Letters: T tasks, learnt in order; `scores[i, j]` is the score on task j after learning task i, higher is better. Of F
facts that are asked for before and after a stage: what was lost for what was learnt (FUAR).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Transfer:
    """The summaries of a matrix of scores, in the scores' unit."""

    average: float  # mean score over all tasks at the end
    learned: float  # mean score over all tasks, of each right after it was learnt
    forgetting: float  # mean over tasks but the last: the best score it ever had before the end - the last one
    backward: float  # mean over tasks but the last: its score at the end - that right after it was learnt
    forward: float  # mean over tasks but the first: its score right before it is learnt - that of an untrained model


def transfer(scores: Float[np.ndarray, "T T"], untrained: Float[np.ndarray, " T"] | None = None) -> Transfer:
    """Average score, forgetting, backward and forward transfer of a sequence of tasks.

    Args:
      untrained: the score on each task of a model before all training; without it `forward` is NaN.

    Reference: Lopez-Paz and Ranzato 2017, https://arxiv.org/abs/1706.08840, equations 2 to 4; forgetting: Chaudhry et
    al. 2018, https://arxiv.org/abs/1801.10112, equation 3.

    Raises:
      ValueError: fewer than two tasks, or a matrix that is not square.

    >>> transfer(np.array([[0.9, 0.2], [0.6, 0.8]]), untrained=np.array([0.1, 0.1]))
    Transfer(average=0.7, learned=0.85, forgetting=0.3, backward=-0.3, forward=0.1)
    """
    tasks = len(scores)
    if scores.shape != (tasks, tasks) or tasks < 2:
        raise ValueError(f"scores of shape {scores.shape}: give a row for each of two or more stages, a column a task")
    last, own = scores[-1], np.diag(scores)
    best = np.array([scores[j:-1, j].max() for j in range(tasks - 1)])
    before = np.diag(scores, 1)  # of task j + 1, after task j
    forward = float("nan") if untrained is None else float(np.mean(before - untrained[1:]))
    values = last.mean(), own.mean(), (best - last[:-1]).mean(), (last - own)[:-1].mean(), forward
    return Transfer(*(round(float(value), 12) for value in values))


def summary(scores: Float[np.ndarray, "rows T"], what: str) -> float:
    """One field of `transfer`, of scores before all tasks and after each: (1 + T, T). NaN of one row, as in a plan.

    >>> summary(np.array([[0.1, 0.1], [0.9, 0.2], [0.6, 0.8]]), "forgetting")
    0.3
    """
    return float(getattr(transfer(scores[1:], scores[0]), what)) if len(scores) > 1 else float("nan")


def steps_until(accuracies: Float[np.ndarray, "T steps"], reached: float, window: int = 8) -> Float[np.ndarray, " T"]:
    """How many steps each task took until its mean accuracy over a window was so high; all steps where it never was.

    Args:
      accuracies: of the new task at each step of its phase.

    >>> steps_until(np.array([[0.0, 0.5, 0.9, 0.9], [0.1, 0.2, 0.3, 0.4]]), reached=0.7, window=2).tolist()
    [3.0, 4.0]
    """
    means = np.lib.stride_tricks.sliding_window_view(accuracies, window, axis=1).mean(-1)
    there = means >= reached
    return np.where(there.any(1), there.argmax(1) + window, accuracies.shape[1]).astype(np.float64)


#: Kinds of facts in a stage that reads a later corpus: as they were, changed, and not known before.
INVARIANT, UPDATED, NEW = range(3)


@dataclass(frozen=True)
class KnowledgeChange:
    """How many facts a stage lost, updated and acquired."""

    lost: int  # of those that have not changed: known before, and not after
    updated: int  # of those that have changed: given as they are now after the stage, and not before
    acquired: int  # of new ones: known after the stage, and not before

    @property
    def fuar(self) -> float | None:
        """Lost / (updated + acquired): facts lost for one learnt, lower is better. None: undefined, none was learnt.

        Reference: Jang et al. 2022, https://arxiv.org/abs/2110.03215, section 3.3; here of counts.

        >>> KnowledgeChange(lost=6, updated=3, acquired=9).fuar, KnowledgeChange(lost=6, updated=0, acquired=0).fuar
        (0.5, None)
        """
        learnt = self.updated + self.acquired
        return self.lost / learnt if learnt else None


def knowledge_change(
    before: Bool[np.ndarray, " F"], after: Bool[np.ndarray, " F"], kind: Int[np.ndarray, " F"]
) -> KnowledgeChange:
    """What a stage did to facts, by whether each was given rightly before and after it.

    Args:
      before, after: of facts that have changed, whether they are given as they are now.
      kind: `INVARIANT`, `UPDATED` or `NEW`.

    Raises:
      ValueError: they are not as many, or there is another kind.

    >>> right_before, right_after = np.array([True, True, False, False]), np.array([True, False, True, False])
    >>> knowledge_change(right_before, right_after, np.array([INVARIANT, INVARIANT, UPDATED, NEW]))
    KnowledgeChange(lost=1, updated=1, acquired=0)
    """
    if not before.shape == after.shape == kind.shape or not np.isin(kind, (INVARIANT, UPDATED, NEW)).all():
        raise ValueError(f"answers of {before.shape} and {after.shape} to facts of kinds {np.unique(kind).tolist()}")
    lost, learnt = before & ~after, after & ~before
    return KnowledgeChange(
        int(lost[kind == INVARIANT].sum()), int(learnt[kind == UPDATED].sum()), int(learnt[kind == NEW].sum())
    )


def ability_change(before: Float[np.ndarray, " K"], after: Float[np.ndarray, " K"]) -> float:
    """X-Delta: the mean change of K scores that the tasks of a stream do not teach, (1 / K) sum (after - before).

    Higher is better; of losses it is how much they rise. X is what the scores are of, such as general ability.

    Reference: Wang et al. 2023, https://arxiv.org/abs/2310.06762: TRACE's "general ability delta" and its kind.

    Raises:
      ValueError: there are none, or not as many after as before.

    >>> round(ability_change(np.array([0.5, 0.25]), np.array([0.25, 0.25])), 3)
    -0.125
    """
    if before.shape != after.shape or not before.size:
        raise ValueError(f"{before.shape} scores before and {after.shape} after: give one or more, and as many")
    return float((after - before).mean())


def regression(before: float, after: float) -> float:
    """How much worse a loss has become, relative: (after - before) / before; negative where it improved.

    >>> round(regression(2.0, 2.1), 4)
    0.05
    """
    return (after - before) / before
