"""Several data in fixed shares, as one."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.pipeline import Batch, Data, joint_digest

_CYCLE = 1000  # samples after which the pattern of parts repeats: shares are exact to a thousandth


@functools.lru_cache
def _pattern(weights: tuple[float | int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(samples of each part in a cycle, the part at each place, how many of that part came before it).

    Counts are the largest remainders of `weights` x cycle; the j-th of c samples of a part stands near (j + 1/2) / c.
    """
    exact = np.array(weights, np.float64) / sum(weights) * _CYCLE
    counts = np.floor(exact).astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[: _CYCLE - counts.sum()]] += 1
    return counts, *spread_evenly(counts)


def spread_evenly(counts: Int64[np.ndarray, " parts"]) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """The part at each of Σ counts places, and how many of that part came before it.

    >>> [own.tolist() for own in spread_evenly(np.array([3, 1]))]
    [[0, 0, 1, 0], [0, 1, 0, 2]]
    """
    places = np.concatenate([(np.arange(count) + 0.5) / max(count, 1) for count in counts])
    parts = np.repeat(np.arange(len(counts)), counts)[np.argsort(places, kind="stable")]
    before = np.zeros(len(parts), np.int64)
    for part, count in enumerate(counts):
        before[parts == part] = np.arange(count)
    return parts, before


@dataclass(frozen=True, kw_only=True)
class Mixture(Data):
    """Samples of several data, interleaved evenly in fixed shares.

    Sample n of the mixture is the next unread sample of part p(n), where p repeats every 1000 samples; so sample n, and
    batch k, are found without reading what comes before, and each part sees its own epochs in its own order.

    Args:
      parts: data with the same specification, batch included.
      weights: share of each part; only their ratio counts.
      count: number of batches; None: endless. That of the parts is not used.

    >>> from stagejax.data import Bytes, CausalText, Stdlib
    >>> part = CausalText(source=Stdlib(limit=100_000), tokenizer=Bytes(), batch=8, length=16)
    >>> mixed = Mixture(parts=(part, part.held_out(4)), weights=(3, 1))
    >>> mixed.owners(np.arange(8)).tolist()
    [0, 0, 1, 0, 0, 0, 1, 0]
    """

    parts: tuple[Data, ...]
    weights: tuple[float | int, ...]
    count: int | None = None

    def __post_init__(self) -> None:
        if not self.parts or len(self.parts) != len(self.weights):
            raise ValueError(f"{len(self.parts)} parts but {len(self.weights)} weights: give one weight for each part")
        if min(self.weights) <= 0 or not _pattern(self.weights)[0].all():
            raise ValueError(
                f"weights={self.weights}: each part needs a share of at least {1 / _CYCLE}. "
                "Raise it or leave the part out."
            )
        specs = [part.spec() for part in self.parts]
        for index, spec in enumerate(specs):
            if spec != specs[0]:
                raise ValueError(
                    f"parts[{index}] gives {spec}, but parts[0] gives {specs[0]}: a mixture needs the same"
                )

    @property
    def batch(self) -> int:  # type: ignore[override]
        return self.parts[0].batch

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return self.parts[0].sample_spec()

    def size(self) -> int:
        """How many samples come before a part begins its second epoch."""
        return self._before_second([part.size() for part in self.parts])

    def _before_second(self, sizes: Sequence[int]) -> int:
        """How many turns come before a part has its turn again behind so many."""
        counts, parts, before = _pattern(self.weights)
        ends = []
        for index, size in enumerate(sizes):
            cycles, rest = divmod(size, int(counts[index]))
            ends.append(cycles * _CYCLE + int(np.flatnonzero((parts == index) & (before == rest))[0]))
        return min(ends)

    def owners(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Which part each sample is from."""
        return _pattern(self.weights)[1][numbers % _CYCLE]

    def places(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Which sample of its part each one is."""
        counts, _, before = _pattern(self.weights)
        cycles, places = np.divmod(numbers, _CYCLE)
        return cycles * counts[_pattern(self.weights)[1][places]] + before[places]

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        owners, places = self.owners(numbers), self.places(numbers)
        made = {name: np.empty((len(numbers), *leaf.shape), leaf.dtype) for name, leaf in self.sample_spec().items()}
        for index, part in enumerate(self.parts):
            mine = np.flatnonzero(owners == index)
            if len(mine):
                for name, leaf in part.take(places[mine]).items():
                    made[name][mine] = leaf
        return made

    def held_out(self, batches: int, split: str = "test") -> Data:
        return replace(self, parts=tuple(part.held_out(batches, split) for part in self.parts), count=batches)

    def digest(self) -> str:
        return joint_digest(*(part.digest() for part in self.parts))


@dataclass(frozen=True, kw_only=True)
class BatchMixture(Mixture):
    """Batches of several data, interleaved evenly in fixed shares: each is of one part alone.

    >>> from stagejax.data import Bytes, CausalText, Stdlib
    >>> part = CausalText(source=Stdlib(limit=100_000), tokenizer=Bytes(), batch=2, length=16)
    >>> mixed = BatchMixture(parts=(part, part.held_out(4)), weights=(1, 1))
    >>> mixed.owners(np.arange(8)).tolist(), mixed.places(np.arange(8)).tolist()
    ([0, 0, 1, 1, 0, 0, 1, 1], [0, 1, 0, 1, 2, 3, 2, 3])
    """

    def owners(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Which part each sample is from."""
        return super().owners(numbers // self.batch)

    def places(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Which sample of its part each one is."""
        batches, rows = np.divmod(numbers, self.batch)
        return super().places(batches) * self.batch + rows

    def size(self) -> int:
        """How many samples come before a part begins its second epoch."""
        return self._before_second([part.size() // self.batch for part in self.parts]) * self.batch
