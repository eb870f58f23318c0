"""Image tasks for continual learning: one classifier with one head meets them one after the other.

Every sample says by the field `task` which one it is of; a model is not shown that, its scores are told apart by it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.order import shuffled
from stagejax.data.pipeline import Around, Batch, Data
from stagejax.data.sources import Source


@dataclass(frozen=True, kw_only=True)
class TaskSequence(Around):
    """What all sequences share: as data, their samples are of all tasks by turns. Sample n is of task n % T.

    So they are joint training on all tasks, and their held-out split scores all of them. Each task has an order of its
    own. Subclasses say what a task's records are.

    Args:
      data: batches of records, such as `Images`; its own order is not used.
      tasks: T.
      seed: of the orders and, where they are drawn, of the tasks.
    """

    data: Any
    tasks: int
    seed: int = 0

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return self.data.sample_spec() | {"task": jax.ShapeDtypeStruct((), np.int32)}

    def size_of(self, task: int) -> int:
        """How many records a task has."""
        raise NotImplementedError

    def take_of(self, tasks: Int64[np.ndarray, " n"], places: Int64[np.ndarray, " n"]) -> Batch:
        """The records at these places (0 to size - 1) of these tasks."""
        raise NotImplementedError

    def order(self, task: int, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Which places of a task an endless, reshuffled stream of its records holds."""
        return shuffled(self.seed + 1009 * (task + 1), numbers, self.size_of(task))

    def size(self) -> int:
        return self.tasks * min(self.size_of(task) for task in range(self.tasks))

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        places, tasks = np.divmod(numbers, self.tasks)
        for task in np.unique(tasks):
            mine = tasks == task
            places[mine] = self.order(int(task), places[mine])
        return self.take_of(tasks, places)

    def held_out(self, batches: int, split: str = "test") -> Data:
        return replace(self, data=self.data.held_out(batches, split))

    def digest(self) -> str:
        return self.data.digest()


@dataclass(frozen=True, kw_only=True)
class PermutedTasks(TaskSequence):
    """All records in each task, the pixels in an order that is drawn once for each task; every task has all classes.

    Reference: Goodfellow et al. 2013, https://arxiv.org/abs/1312.6211, section 5.2; Kirkpatrick et al. 2017,
    https://arxiv.org/abs/1612.00796, section 2.1.

    >>> from stagejax.data import Images
    >>> sequence = PermutedTasks(data=Images(batch=4), tasks=3)
    >>> one = sequence.take_of(np.array([0, 1]), np.array([5, 5]))["image"].reshape(2, -1)
    >>> bool((one[0] == one[1]).all()), bool((np.sort(one[0]) == np.sort(one[1])).all())
    (False, True)
    """

    def size_of(self, task: int) -> int:
        return self.data.size()

    def take_of(self, tasks: Int64[np.ndarray, " n"], places: Int64[np.ndarray, " n"]) -> Batch:
        batch = self.data.take_records(places)
        images = batch["image"]
        flat = images.reshape(len(images), -1)
        own = permutations(self.seed, self.tasks, flat.shape[1])[tasks]
        permuted = np.take_along_axis(flat, own, axis=1).reshape(images.shape)
        return batch | {"image": permuted, "task": tasks.astype(np.int32)}


@dataclass(frozen=True, kw_only=True)
class SplitTasks(TaskSequence):
    """The classes in T groups of equal size, drawn once: a task has the records of its own classes alone.

    Labels stay those of the source, so the head grows into classes that it has not met.

    Args:
      classes: of the source; a multiple of T.

    Raises:
      ValueError: the classes do not split evenly.

    Reference: Zenke et al. 2017, https://arxiv.org/abs/1703.04200, section 5; class-incremental: van de Ven and Tolias
    2019, https://arxiv.org/abs/1904.07734.

    >>> from stagejax.data import Images
    >>> sequence = SplitTasks(data=Images(batch=4), tasks=5, classes=10)
    >>> [len(set(sequence.take_of(np.full(40, task), np.arange(40))["label"].tolist())) for task in range(5)]
    [2, 2, 2, 2, 2]
    """

    classes: int

    def __post_init__(self) -> None:
        if self.classes % self.tasks:
            raise ValueError(f"classes={self.classes} do not split evenly into tasks={self.tasks}")

    def groups(self) -> Int64[np.ndarray, "T n"]:
        """The classes of every task."""
        return shuffled(self.seed, np.arange(self.classes), self.classes).reshape(self.tasks, -1)

    def size_of(self, task: int) -> int:
        return len(self._rows(task))

    def take_of(self, tasks: Int64[np.ndarray, " n"], places: Int64[np.ndarray, " n"]) -> Batch:
        records = np.array([self._rows(int(t))[p] for t, p in zip(tasks, places, strict=True)], np.int64)
        return self.data.take_records(records) | {"task": tasks.astype(np.int32)}

    def _rows(self, task: int) -> np.ndarray:
        return _rows_of(self.data.source, self.data.label, tuple(self.groups()[task].tolist()))


@functools.lru_cache(maxsize=64)
def permutations(seed: int, tasks: int, pixels: int) -> Int64[np.ndarray, "T pixels"]:
    """The order of the pixels in every task."""
    numbers = np.arange(tasks * pixels)
    return shuffled(seed, numbers, pixels).reshape(tasks, pixels)


@functools.lru_cache(maxsize=8)
def _labels(source: Source, label: str) -> np.ndarray:
    return np.array([int(source[i][label]) for i in range(len(source))])


@functools.lru_cache(maxsize=1024)
def _rows_of(source: Source, label: str, classes: tuple[int, ...]) -> np.ndarray:
    return np.flatnonzero(np.isin(_labels(source, label), classes))
