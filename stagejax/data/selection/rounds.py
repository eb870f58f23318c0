"""Training in rounds: so many samples of each skill, or a pool that grows in the order of difficulty."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.order import random_words, shuffled
from stagejax.data.pipeline import Around, Batch, Data, joint_digest


@dataclass(frozen=True, kw_only=True)
class Round(Data):
    """A round of training: `counts[i]` samples of part i, shuffled; each has its part's number as `skill`.

    The samples of part i are those from `starts[i]` on, so rounds that follow each other repeat none. Rounds with other
    counts have the same specification: they run the same compiled step.

    Args:
      parts: data with the same specification.
      counts: samples of each part; together whole batches. 0 leaves a part out.
      starts: samples of each part that earlier rounds took; None: none.
      batch: samples in a global batch.
      seed: of the order.

    >>> from stagejax.data.reasoning.skills import Lego
    >>> skills = tuple(Lego(skill=i, clauses=2, batch=4) for i in range(2))
    >>> data = Round(parts=skills, counts=(3, 5), batch=4)
    >>> data.take(np.arange(8))["skill"].tolist().count(1), data.count
    (5, 2)
    """

    parts: tuple[Data, ...]
    counts: tuple[int, ...]
    starts: tuple[int, ...] | None = None
    batch: int
    seed: int = 0

    def __post_init__(self) -> None:
        if not len(self.parts) == len(self.counts) == len(self.starts or self.counts) or min(self.counts) < 0:
            raise ValueError(
                f"{len(self.parts)} parts, counts={self.counts}, starts={self.starts}: give one number for each part"
            )
        if sum(self.counts) < self.batch or sum(self.counts) % self.batch:
            raise ValueError(f"counts={self.counts} sum to {sum(self.counts)}: make that a multiple of {self.batch}")
        specs = [part.sample_spec() for part in self.parts]
        for index, spec in enumerate(specs):
            if spec != specs[0]:
                raise ValueError(f"parts[{index}] gives {spec}, but parts[0] gives {specs[0]}: make them the same")

    @property
    def count(self) -> int:  # type: ignore[override]
        return sum(self.counts) // self.batch

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return self.parts[0].sample_spec() | {"skill": jax.ShapeDtypeStruct((), np.dtype("int32"))}

    def size(self) -> int:
        return sum(self.counts)

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        ends, starts = np.cumsum(self.counts), np.array(self.starts or (0,) * len(self.counts))
        items = shuffled(self.seed + int(starts.sum()), numbers, self.size())
        owners = np.searchsorted(ends, items, side="right")
        own = items - (ends - self.counts)[owners] + starts[owners]
        made = {n: np.empty((len(numbers), *x.shape), x.dtype) for n, x in self.sample_spec().items()}
        made["skill"][:] = owners
        for index in np.unique(owners):
            mine = np.flatnonzero(owners == index)
            for name, leaf in self.parts[index].take(own[mine]).items():
                made[name][mine] = leaf
        return made

    def digest(self) -> str:
        return joint_digest(*(part.digest() for part in self.parts))


@dataclass(frozen=True, kw_only=True)
class Pool(Around):
    """Samples drawn, with replacement, from the first `limit` of a ranking of another data's samples: a curriculum.

    Args:
      data: where the samples are.
      limit: how many of the ranking may be drawn.
      of: the fingerprint of what made the ranking.
      ranking: sample numbers of `data`, first to last; None while planning.
      seed: of the draws; another one in each round.

    >>> from stagejax.data.reasoning.skills import Lego
    >>> pool = Pool(data=Lego(batch=4), limit=2, of="", ranking=np.array([7, 3, 1]))
    >>> sorted({int(k) for k in pool.drawn(np.arange(20))})
    [3, 7]
    """

    data: Data
    limit: int
    of: str
    ranking: np.ndarray | None = field(default=None, repr=False, compare=False, metadata={"declared": False})
    seed: int = 0
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return self.data.sample_spec()

    def drawn(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Which samples of `data` these are."""
        assert self.ranking is not None
        places = random_words(self.seed, numbers, 1)[:, 0] % np.uint64(self.limit)
        return self.ranking[places.astype(np.int64)].astype(np.int64)

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        return self.data.take(self.drawn(numbers))

    def digest(self) -> str:
        return self.data.digest()


def linear_pool(update: int, updates: int, samples: int) -> int:
    """How many samples are open in update 1, 2, ... of `updates`: as many as have been taken when it ends.

    >>> [linear_pool(u, 4, 100) for u in (1, 2, 4)]
    [25, 50, 100]
    """
    return min(samples, math.ceil(update * samples / updates))


def log_pool(update: int, updates: int, samples: int, *, a: float = 0.8, b: float = 0.2) -> int:
    """The same by logarithmic pacing: n b + (1 - b) n (1 + 0.1 ln(u / (a U) + e^-10)), at most n.

    Args:
      a: share of the updates after which all are open.
      b: share of the samples that are open from the beginning.

    Reference: Wu et al. 2021, https://arxiv.org/abs/2012.03107, table 2.

    >>> [log_pool(u, 10, 100) for u in (0, 1, 8, 10)]
    [20, 84, 100, 100]
    """
    opened = 1 + 0.1 * math.log(update / (a * updates) + math.exp(-10))
    return min(samples, max(1, math.ceil(samples * (b + (1 - b) * opened) - 1e-3)))
