"""Any data as a sequence of tasks for continual learning: corpora in several languages, questions of several kinds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.pictures.task_sequences import TaskSequence
from stagejax.data.pipeline import Batch, Data, joint_digest


@dataclass(frozen=True, kw_only=True)
class Successive(TaskSequence):
    """Several data, each of which is a task.

    A batch is that of the data with "task": int32 (batch,), which a model is not shown: of language models a task's
    own words alone say what is to be done. Place p of a task is sample p of the first epoch of its data.

    Args:
      data: of the tasks in their order, all with the same specification, batch and count.
      tasks: how many.

    Raises:
      ValueError: another number of data than of tasks, or data that differ in what a batch is.

    >>> from stagejax.data.prompts.answers import Answers
    >>> from stagejax.data.reasoning.problems import Problems
    >>> easy, hard = (Problems(size=8, steps=(steps,)) for steps in (1, 2))
    >>> rows = Answers(source=easy, tokenizer=easy.tokenizer(), batch=4, length=48)
    >>> batch = Successive(data=(rows, replace(rows, source=hard)), tasks=2).take(np.arange(4))
    >>> batch["task"].tolist(), batch["weights"].sum(1).tolist()  # a step has six tokens, the answer two, and SEP
    ([0, 1, 0, 1], [9.0, 15.0, 9.0, 15.0])
    """

    data: tuple[Data, ...]

    def __post_init__(self) -> None:
        if len(self.data) != self.tasks or any(own.spec() != self.data[0].spec() for own in self.data):
            raise ValueError(
                f"{len(self.data)} data of {self.tasks} tasks: give one for each, with the same fields, sizes and batch"
            )

    @property
    def batch(self) -> int:  # type: ignore[override]
        return self.data[0].batch

    @property
    def count(self) -> int | None:  # type: ignore[override]
        return self.data[0].count

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return self.data[0].sample_spec() | {"task": jax.ShapeDtypeStruct((), np.int32)}

    def size_of(self, task: int) -> int:
        return self.data[task].size()

    def take_of(self, tasks: Int64[np.ndarray, " n"], places: Int64[np.ndarray, " n"]) -> Batch:
        made = {name: np.empty((len(tasks), *leaf.shape), leaf.dtype) for name, leaf in self.sample_spec().items()}
        made["task"][:] = tasks
        for task in np.unique(tasks).tolist():
            mine = tasks == task
            for name, leaf in self.data[task].take(places[mine]).items():
                made[name][mine] = leaf
        return made

    def held_out(self, batches: int, split: str = "test") -> Data:
        return replace(self, data=tuple(own.held_out(batches, split) for own in self.data), seed=0)

    def digest(self) -> str:
        return joint_digest(*(own.digest() for own in self.data))


def most_frequent(data: Successive, tasks: int, rows: int) -> dict[str, np.ndarray]:
    """`share`: of the first tasks, how many of their first `rows` rows begin their answer with the most frequent token.

    That is what always saying one thing would score: how far luck reaches.

    >>> from stagejax.data.prompts.answers import Answers
    >>> from stagejax.data.reasoning.problems import Problems
    >>> easy = Problems(size=8, steps=(1,))
    >>> part = Answers(source=easy, tokenizer=easy.tokenizer(), batch=4, length=48)
    >>> most_frequent(Successive(data=(part, part), tasks=2), 1, 8)["share"].shape
    (1,)
    """
    batch = data.take(np.arange(rows * data.tasks))
    first = batch["targets"][np.arange(len(batch["task"])), (batch["weights"] > 0).argmax(1)]
    counts = (np.unique(first[batch["task"] == task], return_counts=True)[1] for task in range(tasks))
    return {"share": np.array([own.max() / rows for own in counts])}
