"""Training on subsets of the records: another one in every round, or the same one throughout.

Sample n belongs to round n // rows, at place n % rows of it. Which record that is depends on the seed and on n alone,
so a run continues at any place; what else is random about a sample, such as its view, follows n as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.order import random_words, shuffled
from stagejax.data.pipeline import Around, Batch, Data, joint_digest

_HIDDEN: dict[str, Any] = {"repr": False, "compare": False, "metadata": {"declared": False}}


@dataclass(frozen=True, kw_only=True)
class Subsets(Around):
    """What all subsets share. Subclasses say by `records` which record a sample is.

    Args:
      data: samples that are records, such as `Images`; its order is not used.
      rows: records of a round, at most all.
      seed: of the subsets.
    """

    data: Any
    rows: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ValueError(f"rows={self.rows}: a round has at least one record")

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return self.data.sample_spec()

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        return self.data.take_as(numbers, self.records(numbers))

    def held_out(self, batches: int, split: str = "test") -> Data:
        return self.data.held_out(batches, split)

    def digest(self) -> str:
        return self.data.digest()

    def check(self, found: int) -> None:
        """Whether a round can be drawn from so many records.

        Raises:
          ValueError: it has more rows than there are records.
        """
        if self.rows > found:
            raise ValueError(f"a round of rows={self.rows} cannot be drawn from {found} records: lower `rows`")


@dataclass(frozen=True, kw_only=True)
class WithoutReplacement(Subsets):
    """Blocks of `rows` records from a stream of permutations: no record comes twice before each has come once.

    A round may hold the end of one permutation and the beginning of the next. The stream is that of an ordinary epoch
    after the other: `rows` says where a round ends, and changes nothing else.

    Reference: Okanovic et al. 2023 (RS2), https://arxiv.org/abs/2305.18424, section 3.

    >>> from stagejax.data import Images
    >>> data = WithoutReplacement(data=Images(batch=4), rows=719)
    >>> len(set(data.records(np.arange(1438)).tolist()))
    1438
    """

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        size = self.data.size()
        self.check(size)
        return shuffled(self.seed, numbers, size)


@dataclass(frozen=True, kw_only=True)
class WithReplacement(Subsets):
    """`rows` different records, drawn anew from all of them in every round.

    >>> from stagejax.data import Images
    >>> data = WithReplacement(data=Images(batch=4), rows=719)
    >>> first, second = (set(data.records(np.arange(719) + start).tolist()) for start in (0, 719))
    >>> len(first), len(second), 300 < len(first & second) < 420
    (719, 719, True)
    """

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        size = self.data.size()
        self.check(size)
        rounds, places = np.divmod(numbers, self.rows)
        return shuffled(self.seed, rounds * size + places, size)


@dataclass(frozen=True, kw_only=True)
class Stratified(Subsets):
    """`WithReplacement` of every class alone: each round holds the classes in the shares that all records have.

    Each class has its share of `rows` rounded up or down, in every round anew, so that the mean is exact (see `seats`):
    of fewer rows than classes, some classes have one each.

    Args:
      of: fingerprint of what read the labels.
      labels: of all records; None while planning.

    >>> from stagejax.data import Digits, Images
    >>> labels = np.array([record["label"] for record in Digits()])
    >>> data = Stratified(data=Images(batch=4), rows=50, of="", labels=labels)
    >>> np.unique(np.bincount(labels[data.records(np.arange(50))])).tolist()
    [4, 5, 6]
    """

    of: str
    labels: np.ndarray | None = field(default=None, **_HIDDEN)

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        labels = given(self.labels, self.of, "labels")
        self.check(len(labels))
        order, sizes = np.argsort(labels, kind="stable"), np.bincount(labels)
        starts, classes = np.cumsum(sizes) - sizes, np.arange(len(sizes))
        rounds = numbers // self.rows
        places = shuffled(self.seed, numbers, self.rows)  # classes come mixed
        found = np.empty(len(numbers), np.int64)
        for t in np.unique(rounds):
            here = np.flatnonzero(rounds == t)
            lots = shuffled(self.seed + 1, t * len(sizes) + classes, len(sizes))  # classes in the round's order
            offset = int(random_words(self.seed + 1, np.array([t]), 1)[0, 0] % np.uint64(len(labels)))
            ends = np.cumsum(seats(sizes[lots], self.rows, offset))
            owners = np.searchsorted(ends, places[here], side="right")
            for i in np.unique(owners):
                mine, c = here[owners == i], int(lots[i])
                own = places[mine] - (ends[i - 1] if i else 0)
                found[mine] = order[starts[c] + shuffled(self.seed + 2 + c, t * sizes[c] + own, int(sizes[c]))]
        return found

    def digest(self) -> str:
        return joint_digest(self.data.digest(), self.of)


@dataclass(frozen=True, kw_only=True)
class Chosen(Subsets):
    """The same records in every round, shuffled: a coreset. Make it by `choose`.

    Args:
      of: fingerprint of what chose them.
      chosen: `rows` different records; None while planning.
    """

    of: str
    chosen: np.ndarray | None = field(default=None, **_HIDDEN)

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        chosen = given(self.chosen, self.of, "rows")
        if len(chosen) != self.rows:
            raise ValueError(f"the artifact {self.of} holds {len(chosen)} rows, but rows={self.rows}: set it to that")
        return chosen[shuffled(self.seed, numbers, self.rows)].astype(np.int64)

    def digest(self) -> str:
        return joint_digest(self.data.digest(), self.of)


def choose(data: Any, made: Any, rows: int, seed: int = 0) -> Chosen:
    """`data` on the records that `run.make` chose: anything with a `fingerprint` and a `value`, {"rows": (rows,)}.

    >>> from types import SimpleNamespace
    >>> from stagejax.data import Images
    >>> made = SimpleNamespace(fingerprint="a1", value={"rows": np.array([5, 7])})
    >>> sorted(choose(Images(batch=4), made, 2).records(np.arange(2)).tolist())
    [5, 7]
    """
    return Chosen(data=data, rows=rows, seed=seed, of=made.fingerprint, chosen=(made.value or {}).get("rows"))


def given(array: np.ndarray | None, of: str, name: str) -> np.ndarray:
    """An artifact's array.

    Raises:
      ValueError: there is none, as in planning.
    """
    if array is None:
        raise ValueError(f"the artifact {of} holds nothing as {name!r}: it is computed when the pipeline runs")
    return array


def seats(sizes: Int64[np.ndarray, " classes"], rows: int, offset: int) -> Int64[np.ndarray, " classes"]:
    """How many of `rows` records each class gets: rows · size / all, rounded up or down, `rows` together.

    Class c gets floor((rows · S_c + offset) / all) - floor((rows · S_{c-1} + offset) / all), where S_c is the size of
    the first c classes. Over offsets from 0 to all - 1 the mean is the exact share.

    >>> seats(np.array([50, 30, 20]), 9, offset=50), seats(np.array([5, 5, 5]), 2, offset=3)
    (array([5, 2, 2]), array([0, 1, 1]))
    """
    ends = np.cumsum(sizes)
    return np.diff((rows * ends + offset) // ends[-1], prepend=offset // ends[-1])
