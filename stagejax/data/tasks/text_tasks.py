"""Tasks on one text or on a pair of them, classification and regression, and batches with rows of several tasks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax
import numpy as np
from jaxtyping import Int32, Int64

from stagejax.data.order import shuffled
from stagejax.data.pipeline import Batch, Data, joint_digest
from stagejax.data.portion import Portion
from stagejax.data.sources import Record, Source
from stagejax.data.tasks.pairs import SYNONYMS, SynonymPairs
from stagejax.data.tokenizers import CLS, PAD, SEP, Codec, Tokenizer, codec


@dataclass(frozen=True)
class TextTask:
    """Where a source keeps the texts and the label of a task.

    Args:
      name: of the task.
      source: of its records.
      classes: how many; 1: regression.
      first, second: fields with text; second=None where there is one text only.
      label: field of the label.
      unit: labels are divided by it.
    """

    name: str
    source: Source
    classes: int
    first: str = "text"
    second: str | None = None
    label: str = "label"
    unit: float = 1.0

    def of_split(self, split: str) -> TextTask:
        """The same task on another split."""
        return replace(self, source=self.source.of_split(split))

    def few(self, rows: int, seed: int) -> TextTask:
        """The same task with few training rows, others for every seed."""
        return replace(self, source=Portion(self.source, stop=rows, seed=seed))

    def part(self, name: str, validation: float) -> TextTask:
        """The same task on the split "test", or on its own records: the last of them, a share of `validation`, are
        "valid", those before "train"."""
        if name == "test":
            return self.of_split("test")
        start, stop = {"train": (0, 1 - validation), "valid": (1 - validation, None)}[name]
        return replace(self, source=Portion(self.source, start, stop))

    def texts(self, index: int) -> tuple[str, ...]:
        """The one or two texts of a record."""
        record = self.source[index]
        return tuple(record[field] for field in (self.first, self.second) if field is not None)


@dataclass(frozen=True)
class TaskText(Source):
    """The texts of a task without their labels, one record {"text"} each: what an encoder may be pre-trained on."""

    task: TextTask

    @property
    def split(self) -> str:  # type: ignore[override]
        return self.task.source.split

    def of_split(self, split: str) -> Source:
        return replace(self, task=self.task.of_split(split))

    def __len__(self) -> int:
        return len(self.task.source)

    def __getitem__(self, index: int) -> Record:
        return {"text": "\n".join(self.task.texts(index))}

    def digest(self) -> str:
        return joint_digest(self.task.source.digest(), f"{self.task.first} {self.task.second}")


@dataclass(frozen=True, kw_only=True)
class TaskBatches(Data):
    """Batches with `rows` rows of each of several tasks, each in an order of its own.

    A batch is {"tokens": int32 (batch, length), "task" and "classes": int32 (batch,), "label" and "weight": float32
    (batch,)}. A row is [CLS, text, SEP] or [CLS, first, SEP, second, SEP], padded; of texts that are too long, the
    longer one is cut first. Sample n is the next one of task n modulo their number, so that every part of a batch has
    all of them.

    Args:
      tasks: the tasks; `task` says by number which one a row is of.
      tokenizer, learned_from: which tokens, trained on the texts of which source.
      rows: of each task in a global batch.
      length: tokens in a row.
      seed: of the orders.
      count: number of batches; None: endless. An epoch is that of the largest task.
      once: rows behind the last record of a task have weight 0, instead of beginning again: for evaluation, in which
        any `count` is allowed.

    >>> from stagejax.data import Bytes, Stdlib
    >>> data = TaskBatches(tasks=synonym_tasks(), tokenizer=Bytes(), learned_from=Stdlib(), rows=2, length=48)
    >>> batch = data.take(np.arange(8))
    >>> batch["task"].tolist(), batch["classes"].tolist()
    ([0, 1, 2, 3, 0, 1, 2, 3], [5, 5, 2, 1, 5, 5, 2, 1])
    """

    tasks: tuple[TextTask, ...]
    tokenizer: Tokenizer
    learned_from: Source
    rows: int
    length: int
    seed: int = 0
    count: int | None = None
    once: bool = False

    def __post_init__(self) -> None:
        if self.length < 5 or not self.tasks or self.rows < 1:
            raise ValueError(f"{len(self.tasks)} tasks, rows={self.rows}, length={self.length}: at least 1, 1 and 5")

    @property
    def batch(self) -> int:  # type: ignore[override]
        return self.rows * len(self.tasks)

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        one, real = jax.ShapeDtypeStruct((), np.int32), jax.ShapeDtypeStruct((), np.float32)
        tokens = jax.ShapeDtypeStruct((self.length,), np.int32)
        return {"tokens": tokens, "task": one, "classes": one, "label": real, "weight": real}

    def size(self) -> int:
        return sys.maxsize if self.once else len(self.tasks) * max(len(task.source) for task in self.tasks)

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        places, owners = np.divmod(numbers, len(self.tasks))
        made = {name: np.zeros((len(numbers), *leaf.shape), leaf.dtype) for name, leaf in self.sample_spec().items()}
        for number, task in enumerate(self.tasks):
            mine = np.flatnonzero(owners == number)
            if not len(mine):
                continue
            own, size = places[mine], len(task.source)
            records = shuffled(self.seed, own, size).tolist()
            made["tokens"][mine] = self._ids(task, records)
            made["label"][mine] = [task.source[record][task.label] / task.unit for record in records]
            made["weight"][mine] = own < size if self.once else 1
            made["task"][mine], made["classes"][mine] = number, task.classes
        return made

    def _ids(self, task: TextTask, records: list[int]) -> Int32[np.ndarray, "n length"]:
        return encoded(codec(self.tokenizer, self.learned_from), [task.texts(r) for r in records], self.length)

    def held_out(self, batches: int, split: str = "test") -> Data:
        tasks = tuple(task.of_split(split) for task in self.tasks)
        return replace(self, tasks=tasks, seed=0, count=batches, once=True)

    def digest(self) -> str:
        return joint_digest(
            *(task.source.digest() for task in self.tasks), codec(self.tokenizer, self.learned_from).digest()
        )


def encoded(code: Codec, texts: Sequence[tuple[str, ...]], length: int) -> Int32[np.ndarray, "n length"]:
    """One or two texts a row, as [CLS, text, SEP] or [CLS, first, SEP, second, SEP], cut by `fitting` and padded."""
    columns = [code.encode(list(column)) for column in zip(*texts, strict=True)]
    ids = np.full((len(texts), length), PAD, np.int32)
    for row, found in zip(ids, zip(*columns, strict=True), strict=True):
        kept = fitting([len(text) for text in found], length - 1 - len(found))
        joined = [CLS, *(int(i) for text, n in zip(found, kept, strict=True) for i in (*text[:n], SEP))]
        row[: len(joined)] = joined
    return ids


def fitting(sizes: list[int], room: int) -> list[int]:
    """How many tokens of one or two texts fit into `room`, where the longer one is cut first.

    >>> fitting([3, 9], 8), fitting([9, 9], 7), fitting([5], 4)
    ([3, 5], [4, 3], [4])
    """
    if len(sizes) == 1:
        return [min(sizes[0], room)]
    first = min(sizes[0], max(room - sizes[1], (room + 1) // 2))
    return [first, min(sizes[1], room - first)]


@dataclass(frozen=True)
class SynonymRows(Source):
    """Generated sentence pairs (`SynonymPairs`) with labels for several tasks.

    To {"s1", "s2", "score"} come "who" and "does", which of five persons and verbs `s1` is about in whatever words, and
    "same", whether both sentences say the same at more than half of the places.

    >>> {name: SynonymRows()[7][name] for name in ("s1", "who", "does", "same")}
    {'s1': 'the doctor lifts a street quietly', 'who': 4, 'does': 4, 'same': 1}
    """

    split: str = "train"
    size: int = 2000

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Record:
        record = SynonymPairs(self.split, self.size)[index]
        words = record["s1"].split()

        def kind(name: str) -> int:
            return next(k for k, synonyms in enumerate(SYNONYMS[name]) if any(word in synonyms for word in words))

        return {**record, "who": kind("who"), "does": kind("does"), "same": int(record["score"] > 2.5)}

    def digest(self) -> str:
        return joint_digest(SynonymPairs(self.split, self.size).digest(), "who does same")


def synonym_tasks(size: int = 2000) -> tuple[TextTask, ...]:
    """Four generated tasks on the same sentences: two of one text, two of pairs, one of them a regression."""
    rows, pair = SynonymRows(size=size), {"first": "s1", "second": "s2"}
    return (
        TextTask("who", rows, 5, "s1", label="who"),
        TextTask("does", rows, 5, "s1", label="does"),
        TextTask("same", rows, 2, **pair, label="same"),
        TextTask("score", rows, 1, **pair, label="score", unit=5.0),
    )


def constant_scores(correlated: Sequence[str], *tasks: TextTask) -> dict[str, float]:
    """The score of the best constant answer to each task: the share of its largest class; of a correlation 0.

    >>> constant_scores((), synonym_tasks(100)[0])
    {'who': 0.26}
    """

    def best(task: TextTask) -> float:
        if task.name in correlated or task.classes == 1:
            return 0.0
        return float(
            np.bincount([task.source[i][task.label] for i in range(len(task.source))]).max() / len(task.source)
        )

    return {task.name: best(task) for task in tasks}
