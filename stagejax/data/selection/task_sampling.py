"""How often each of several tasks of uneven sizes comes in a batch, and batches of rows drawn so.

Letters: T tasks with n_t records, E epochs.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int64

from stagejax.data.mixture import spread_evenly
from stagejax.data.order import shuffled
from stagejax.data.pipeline import Batch, Data, joint_digest
from stagejax.data.selection.rehearsal import largest_remainders
from stagejax.data.sources import Source
from stagejax.data.tasks.text_tasks import TaskBatches, TextTask, encoded
from stagejax.data.tokenizers import Tokenizer, codec

_KEPT = 1 << 24  # token ids of a declaration that are kept in memory: to encode a text takes longer than a small step


@dataclass(frozen=True)
class SizePowers:
    """p_t(e) ∝ n_t^a(e), with a(e) = first + (last - first) (e - 1) / (E - 1) in epoch e = 1, ..., E.

    Args:
      first, last: a in the first and in the last epoch.

    References: Stickland and Murray 2019 (PALs), https://arxiv.org/abs/1902.02671, section 4.1, for a from 1 to 0.2;
    Arivazhagan et al. 2019, https://arxiv.org/abs/1907.05019, for a constant a = 1 / temperature.

    >>> annealed().shares((900, 100), epoch=1, epochs=5).round(3).tolist()
    [0.9, 0.1]
    >>> annealed().shares((900, 100), epoch=5, epochs=5).round(3).tolist()
    [0.608, 0.392]
    """

    first: float = 1.0
    last: float = 1.0

    def shares(self, sizes: Sequence[int], epoch: int, epochs: int) -> Float[np.ndarray, " T"]:
        """p(e), which sums to 1; behind the last epoch it stays."""
        way = min(epoch - 1, epochs - 1) / max(epochs - 1, 1)
        weights = np.asarray(sizes, np.float64) ** (self.first + (self.last - self.first) * way)
        return weights / weights.sum()


def proportional() -> SizePowers:
    """p_t ∝ n_t.

    >>> proportional().shares((900, 100), 1, 1).tolist()
    [0.9, 0.1]
    """
    return SizePowers()


def uniform() -> SizePowers:
    """p_t = 1 / T.

    >>> uniform().shares((900, 100), 1, 1).tolist()
    [0.5, 0.5]
    """
    return SizePowers(0.0, 0.0)


def temperature(tau: float) -> SizePowers:
    """p_t ∝ n_t^(1 / tau).

    >>> temperature(2.0).shares((900, 100), 1, 1).tolist()
    [0.75, 0.25]
    """
    return SizePowers(1 / tau, 1 / tau)


def annealed(last: float = 0.2) -> SizePowers:
    """p_t ∝ n_t^a, a from 1 to `last`: a large task counts more at first, and near the end all count nearly alike."""
    return SizePowers(1.0, last)


@dataclass(frozen=True, kw_only=True)
class SampledTasks(Data):
    """Batches whose rows are of several tasks, in shares that may change from epoch to epoch.

    A batch is as that of `TaskBatches`. An epoch is `epoch` samples; its samples of task t are the nearest whole number
    to p_t(e) · epoch, spread evenly, so every batch has about the same of each. Each task goes through its own records
    in an order of its own, again and again. Records are numbered through all tasks, those of the first task first.

    Args:
      tasks: the tasks.
      sampling: their shares.
      tokenizer, learned_from: which tokens, trained on the texts of which source.
      batch: rows of a batch.
      length: tokens in a row.
      epoch, epochs: samples of an epoch, and E.
      numbers: by which numbers a batch calls the tasks; None: 0, 1, ...
      seed: of the orders.
      count: number of batches; None: endless.

    >>> from stagejax.data import Bytes, Stdlib
    >>> from stagejax.data.tasks.text_tasks import synonym_tasks
    >>> one, two, *_ = synonym_tasks()
    >>> text = {"tokenizer": Bytes(), "learned_from": Stdlib(), "length": 48}
    >>> data = SampledTasks(tasks=(one.few(900, 0), two.few(100, 0)), sampling=annealed(), batch=10, epoch=50, epochs=2,
    ...                     numbers=(3, 4), **text)
    >>> [np.bincount(data.take(np.arange(50) + 50 * e)["task"], minlength=5).tolist() for e in range(2)]
    [[0, 0, 0, 45, 5], [0, 0, 0, 30, 20]]
    """

    tasks: tuple[TextTask, ...]
    sampling: SizePowers
    tokenizer: Tokenizer
    learned_from: Source
    batch: int
    length: int
    epoch: int
    epochs: int = 1
    numbers: tuple[int, ...] | None = None
    seed: int = 0
    count: int | None = None

    def __post_init__(self) -> None:
        if self.length < 5 or not self.tasks or min(self.batch, self.epoch, self.epochs) < 1:
            raise ValueError(
                f"{len(self.tasks)} tasks, batch={self.batch}, epoch={self.epoch}, epochs={self.epochs}, "
                f"length={self.length}: at least 1 of each, and a length of 5"
            )
        _check(self.tasks, self.numbers)

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return _spec(self.length)

    @property
    def sizes(self) -> tuple[int, ...]:
        """n_t."""
        return tuple(len(task.source) for task in self.tasks)

    def size(self) -> int:
        return sum(self.sizes)

    def drawn(self, numbers: Int64[np.ndarray, " n"]) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
        """The place of each sample's task among `tasks`, and which of the task's records it is."""
        sizes, key = self.sizes, (self.sampling, self.sizes, self.epoch, self.epochs)
        epochs, places = np.divmod(numbers, self.epoch)
        owners, own = np.empty_like(numbers), np.empty_like(numbers)
        for e in np.unique(epochs):
            here, last = epochs == e, min(int(e), self.epochs - 1)
            parts, before, _ = _pattern(*key, last)
            counts = np.array([_pattern(*key, earlier)[2] for earlier in range(last)]).reshape(-1, len(sizes)).sum(0)
            counts = counts + (int(e) - last) * _pattern(*key, last)[2]  # epochs behind the last one are alike
            owners[here] = parts[places[here]]
            own[here] = counts[owners[here]] + before[places[here]]
        records = np.empty_like(numbers)
        for t, size in enumerate(sizes):
            mine = owners == t
            records[mine] = shuffled(self.seed, own[mine], size)
        return owners, records

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        owners, records = self.drawn(numbers)
        return np.cumsum([0, *self.sizes])[owners] + records

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        return self._rows(*self.drawn(numbers))

    def take_records(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        """The samples of these records, numbered through all tasks."""
        starts = np.cumsum([0, *self.sizes])
        owners = np.searchsorted(starts, numbers, side="right") - 1
        return self._rows(owners, numbers - starts[owners])

    def _rows(self, owners: Int64[np.ndarray, " n"], records: Int64[np.ndarray, " n"]) -> Batch:
        made = {name: np.zeros((len(owners), *leaf.shape), leaf.dtype) for name, leaf in self.sample_spec().items()}
        made["weight"][:] = 1
        for place, task in enumerate(self.tasks):
            mine = np.flatnonzero(owners == place)
            made["tokens"][mine], made["label"][mine] = rows_of(
                task, self.tokenizer, self.learned_from, self.length, records[mine].tolist()
            )
            made["task"][mine] = place if self.numbers is None else self.numbers[place]
            made["classes"][mine] = task.classes
        return made

    def held_out(self, batches: int, split: str = "test") -> Data:
        """As many rows of every task in a batch (`NumberedTasks`), each once."""
        tasks = tuple(task.of_split(split) for task in self.tasks)
        names = ("tokenizer", "learned_from", "length", "numbers")
        how: dict[str, Any] = {name: getattr(self, name) for name in names}
        return NumberedTasks(tasks=tasks, rows=max(1, self.batch // len(tasks)), count=batches, once=True, **how)

    def digest(self) -> str:
        return _digest(self.tasks, self.tokenizer, self.learned_from)


@dataclass(frozen=True, kw_only=True)
class NumberedTasks(TaskBatches):
    """`TaskBatches` that may call its tasks by other numbers, as where a model has heads for more; rows are kept.

    Args:
      numbers: by which numbers a batch calls the tasks; None: 0, 1, ...

    >>> from stagejax.data import Bytes, Stdlib
    >>> from stagejax.data.tasks.text_tasks import synonym_tasks
    >>> text = {"tokenizer": Bytes(), "learned_from": Stdlib(), "length": 48}
    >>> NumberedTasks(tasks=synonym_tasks()[:2], rows=2, numbers=(3, 1), **text).take(np.arange(4))["task"].tolist()
    [3, 1, 3, 1]
    """

    numbers: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.tasks, self.numbers)

    def size(self) -> int:
        return sys.maxsize if self.once else super().size()

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        made = super().take(numbers)
        return made if self.numbers is None else made | {"task": np.array(self.numbers, np.int32)[made["task"]]}

    def _ids(self, task: TextTask, records: list[int]) -> np.ndarray:
        return rows_of(task, self.tokenizer, self.learned_from, self.length, records)[0]


def rows_of(
    task: TextTask, tokenizer: Tokenizer, learned_from: Source, length: int, records: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Token ids (n, length) and labels (n,), in units of the task's, of some of its records; each is encoded once."""
    known = _known(task, tokenizer, learned_from, length)
    own = {record: known[record] for record in records if record in known}
    new = list(dict.fromkeys(record for record in records if record not in own))
    if new:
        ids = encoded(codec(tokenizer, learned_from), [task.texts(record) for record in new], length)
        labels = [task.source[record][task.label] / task.unit for record in new]
        found = {record: (line, label) for record, line, label in zip(new, ids, labels, strict=True)}
        own |= found
        if len(known) * length < _KEPT:
            known |= found
    ids = np.array([own[record][0] for record in records], np.int32).reshape(-1, length)
    return ids, np.array([own[record][1] for record in records], np.float32)


@functools.lru_cache(maxsize=64)
def _known(task: TextTask, tokenizer: Tokenizer, learned_from: Source, length: int) -> dict[int, Any]:
    """What was encoded already, by record: its tokens and its label."""
    return {}


@functools.lru_cache(maxsize=256)
def _pattern(
    sampling: SizePowers, sizes: tuple[int, ...], epoch: int, epochs: int, number: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of an epoch (numbered from 0): the task at each place, how many of it came before, and samples of each task."""
    counts = largest_remainders(sampling.shares(sizes, number + 1, epochs), epoch)
    return *spread_evenly(counts), counts


def _spec(length: int) -> dict[str, jax.ShapeDtypeStruct]:
    one, real = jax.ShapeDtypeStruct((), np.int32), jax.ShapeDtypeStruct((), np.float32)
    tokens = jax.ShapeDtypeStruct((length,), np.int32)
    return {"tokens": tokens, "task": one, "classes": one, "label": real, "weight": real}


def _check(tasks: tuple[TextTask, ...], numbers: tuple[int, ...] | None) -> None:
    if numbers is not None and len(numbers) != len(tasks):
        raise ValueError(f"numbers={numbers} of {len(tasks)} tasks: give one for each")


def _digest(tasks: tuple[TextTask, ...], tokenizer: Tokenizer, learned_from: Source) -> str:
    return joint_digest(*(task.source.digest() for task in tasks), codec(tokenizer, learned_from).digest())
