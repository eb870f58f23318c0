"""Rehearsal in a sequence of tasks: in each phase a new one, and a few examples of every old one by its age.

The age of task j in phase k is a = k - j >= 1. A weight is a function of ages; a budget makes counts of weights.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float, Int64

from stagejax.data.order import random_words, shuffled, uniforms
from stagejax.data.pictures.task_sequences import TaskSequence
from stagejax.data.pipeline import Around, Batch, Data

#: How much more or less of a task is met again, by its age 1, 2, ...; only ratios count.
Weights = Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, " n"]]


@dataclass(frozen=True)
class PowerLaw:
    """w(a) = a^-d: how likely something is met again that was last met long ago, in human environments.

    Reference: Anderson and Schooler 1991, Reflections of the environment in memory, Psychological Science 2 (6).

    >>> PowerLaw(1.0)(np.array([1.0, 2.0, 4.0])).tolist()
    [1.0, 0.5, 0.25]
    """

    decay: float  # d

    def __call__(self, ages: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        return ages**-self.decay


@dataclass(frozen=True)
class Exponential:
    """w(a) = exp(-b a).

    >>> Exponential(float(np.log(2)))(np.array([1.0, 2.0])).round(3).tolist()
    [0.5, 0.25]
    """

    rate: float  # b

    def __call__(self, ages: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        return np.exp(-self.rate * ages)


@dataclass(frozen=True)
class Equal:
    """w(a) = 1."""

    def __call__(self, ages: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        return np.ones_like(ages)


@dataclass(frozen=True)
class LastOnly:
    """w(1) = 1, and 0 for all older tasks."""

    def __call__(self, ages: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        return (ages == 1).astype(ages.dtype)


def largest_remainders(weights: Float[np.ndarray, " n"], total: int) -> Int64[np.ndarray, " n"]:
    """Whole numbers in the ratio of weights that sum to `total`: each share rounded down, then one more to the largest
    remainders, the first ones of equals.

    >>> largest_remainders(np.array([3.0, 2.0, 2.0]), 10).tolist()
    [4, 3, 3]
    """
    shares = weights / weights.sum() * total
    counts = np.floor(shares + 1e-9).astype(np.int64)
    counts[np.argsort(counts - shares, kind="stable")[: total - counts.sum()]] += 1
    return counts


@dataclass(frozen=True)
class FixedBudget:
    """As many old examples in every phase: all that the phase has room for, n_j(k) ∝ w(k - j).

    >>> FixedBudget(PowerLaw(1.0)).counts(3, 110).tolist()
    [20, 30, 60]
    """

    weights: Weights

    def counts(self, phase: int, room: int) -> Int64[np.ndarray, " phase"]:
        """How many examples of tasks 0 to phase - 1 are rehearsed."""
        return largest_remainders(self.weights(_ages(phase)), room) if phase else np.zeros(0, np.int64)


@dataclass(frozen=True)
class FixedScale:
    """As many examples of an age in every phase, n_j(k) = round(s w(k - j)): rehearsal grows with the number of tasks.

    Args:
      scale: s, which is c N for a share c of the N examples of a task.

    >>> FixedScale(PowerLaw(1.0), 60.0).counts(3, 110).tolist(), FixedScale(PowerLaw(1.0), 60.0).counts(1, 110).tolist()
    ([20, 30, 60], [60])
    """

    weights: Weights
    scale: float

    def counts(self, phase: int, room: int) -> Int64[np.ndarray, " phase"]:
        """How many examples of tasks 0 to phase - 1 are rehearsed.

        Raises:
          ValueError: the phase has no room for so many.
        """
        found = np.round(self.scale * self.weights(_ages(phase))).astype(np.int64)
        if found.sum() > room:
            raise ValueError(f"scale={self.scale} rehearses {found.sum()} examples in phase {phase}: rehearsed={room}")
        return found


@dataclass(frozen=True)
class DrawnBudget:
    """Every old example draws its task with the probability w(k - j) / sum: `FixedBudget` in the mean.

    >>> DrawnBudget(PowerLaw(1.0)).counts(3, 110).sum()
    np.int64(110)
    """

    weights: Weights
    seed: int = 0

    def counts(self, phase: int, room: int) -> Int64[np.ndarray, " phase"]:
        """How many examples of tasks 0 to phase - 1 are rehearsed."""
        weights = self.weights(_ages(phase))
        words = random_words(self.seed, np.arange(phase * room, (phase + 1) * room), 1)[:, 0]
        drawn = np.searchsorted(np.cumsum(weights) / max(weights.sum(), 1e-300), uniforms(words), side="right")
        return np.bincount(np.minimum(drawn, phase - 1), minlength=phase) if phase else np.zeros(0, np.int64)


@dataclass(frozen=True, kw_only=True)
class Rehearsal(Around):
    """Phase k: `rows` examples of task k and `rehearsed` ones of the tasks before, all shuffled together.

    Room that the budget leaves, as in the first phase, is filled with the new task, so all phases are equally long.
    Of an old task examples are drawn anew in every phase, none twice before each has come once (the world shows the
    task again); with a `memory`, from a few of its examples that stay the same. Behind the last phase the first one
    follows again.

    Args:
      data: the tasks.
      rows, rehearsed: N and R, in examples.
      budget: how many of each old task; None: nothing is rehearsed.
      memory: examples of a task that are kept, or a share of them such as 0.05; None: all of them are met again.
      first: the phase that sample 0 begins.
      seed: of the orders in which phases and old examples come.
      count: number of batches; None: endless.

    >>> from stagejax.data import Images
    >>> from stagejax.data.pictures.task_sequences import PermutedTasks
    >>> tasks = PermutedTasks(data=Images(batch=10), tasks=4)
    >>> data = Rehearsal(data=tasks, rows=100, rehearsed=11, budget=FixedBudget(PowerLaw(1.0)))
    >>> np.bincount(data.take(3 * 111 + np.arange(111))["task"]).tolist()
    [2, 3, 6, 100]
    """

    data: TaskSequence
    rows: int
    rehearsed: int
    budget: FixedBudget | FixedScale | DrawnBudget | None = None
    memory: int | float | None = None
    first: int = 0
    seed: int = 0
    count: int | None = None

    def kept(self, task: int) -> int:
        """Examples of an old task that are met again."""
        size = self.data.size_of(task)
        if isinstance(self.memory, float):
            return max(1, round(self.memory * size))
        return size if self.memory is None else self.memory

    @property
    def phase(self) -> int:
        """Examples of a phase, N + R."""
        return self.rows + self.rehearsed

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return self.data.sample_spec()

    def size(self) -> int:
        return (self.data.tasks - self.first) * self.phase

    def counts(self, phase: int) -> Int64[np.ndarray, " phase1"]:
        """How many examples of tasks 0 to `phase` this phase has."""
        old = np.zeros(phase, np.int64) if self.budget is None else self.budget.counts(phase, self.rehearsed)
        return np.append(old, self.phase - old.sum())

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        phases, places = np.divmod(numbers, self.phase)
        phases = (phases + self.first) % self.data.tasks
        drawn = np.empty((len(numbers), 2), np.int64)
        for k in np.unique(phases):
            here = phases == k
            drawn[here] = _drawn(self, int(k))[places[here]]
        return self.data.take_of(drawn[:, 0], drawn[:, 1])

    def held_out(self, batches: int, split: str = "test") -> Data:
        return self.data.held_out(batches, split)

    def digest(self) -> str:
        return self.data.digest()


def mixed_in(
    data: TaskSequence, rows: int, share: float = 0.0, memory: int | float | None = None, first: int = 0
) -> Rehearsal:
    """Phases of so many rows, of which a share is of the old tasks, of all of them alike.

    Args:
      data, memory, first: as in `Rehearsal`.

    >>> from stagejax.data import Images
    >>> from stagejax.data.pictures.task_sequences import PermutedTasks
    >>> data = mixed_in(PermutedTasks(data=Images(batch=10), tasks=3), rows=40, share=0.25)
    >>> [data.counts(phase).tolist() for phase in range(3)]
    [[40], [10, 30], [5, 5, 30]]
    """
    old = round(share * rows)
    how = {"memory": memory, "first": first, "seed": data.seed}
    return Rehearsal(data=data, rows=rows - old, rehearsed=old, budget=FixedBudget(Equal()), **how)


@functools.lru_cache(maxsize=32)
def _drawn(data: Rehearsal, k: int) -> Int64[np.ndarray, "phase 2"]:
    """The task and its place of every example of phase k, in the order in which they come."""
    counts, tasks = data.counts(k), data.data
    found = np.empty((data.phase, 2), np.int64)
    found[:, 0] = np.repeat(np.arange(k + 1), counts)
    starts = np.cumsum(counts) - counts
    for task, (start, many) in enumerate(zip(starts, counts, strict=True)):
        numbers = np.arange(many)
        if task < k:
            kept = data.kept(task)
            epochs = -(-data.rehearsed // kept)  # each phase begins with one of its own
            numbers = shuffled(data.seed + 2003 * (task + 1), k * epochs * kept + numbers, kept)
        found[start : start + many, 1] = tasks.order(task, numbers)
    return found[shuffled(data.seed, k * data.phase + np.arange(data.phase), data.phase)]


def _ages(phase: int) -> Float[np.ndarray, " phase"]:
    """The ages of tasks 0 to phase - 1."""
    return np.arange(phase, 0, -1, dtype=np.float64)
