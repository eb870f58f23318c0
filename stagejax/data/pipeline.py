"""From a declared stream of samples to batches: position, sharding by process, reading ahead.

`Data` is an endless stream of samples addressed by number; global batch k is the samples [k B, (k + 1) B), and
process i of n takes the i-th of its n equal parts. So batch k is a function of the declaration and k, a restart is
arithmetic, and the number of processes changes nothing.
"""

from __future__ import annotations

import hashlib
import operator
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from jaxtyping import Int64

Batch = dict[str, np.ndarray]

_AHEAD = 1 << 14  # elements of one key that are made in one go: small batches come many at a time


def joint_digest(*digests: str) -> str:
    """One sha256 for several."""
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


class Data:
    """What every declaration of data offers. Subclasses are frozen dataclasses.

    They have the fields `batch` (samples in a global batch) and `count` (number of batches, at most one epoch; None:
    endless, epoch after epoch), and give `sample_spec`, `size`, `take` and `digest`; all else follows.
    """

    batch: int
    count: int | None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Shape and dtype of one sample, from the declaration alone."""
        raise NotImplementedError

    def size(self) -> int:
        """How many samples one epoch holds."""
        raise NotImplementedError

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        """The samples with the given numbers in the endless stream, stacked."""
        raise NotImplementedError

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Which record of the source each of these samples is.

        Raises:
          TypeError: samples are no single records, such as pieces of text.
        """
        raise TypeError(f"the samples of {type(self).__name__} are not records of its source, one each")

    def digest(self) -> str:
        """The sha256 of what the samples are made of (not of their order): what a run's manifest records."""
        raise NotImplementedError

    @property
    def samples(self) -> int:
        """Samples in a global batch."""
        return self.batch

    @property
    def tokens(self) -> int:
        """Tokens in a global batch; 0 where the samples are not text."""
        spec = self.sample_spec().get("tokens")
        return 0 if spec is None else self.batch * spec.shape[0]

    def spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes and dtypes of one global batch; reads no data."""
        return {
            name: jax.ShapeDtypeStruct((self.batch, *leaf.shape), leaf.dtype)
            for name, leaf in self.sample_spec().items()
        }

    def held_out(self, batches: int, split: str = "test") -> Data:
        """The same declaration on the source's held-out split, for a fixed number of batches."""
        return replace(self, source=self.source.of_split(split), count=batches)  # type: ignore

    def batches(self, position: Mapping[str, Any] | None = None, shard: tuple[int, int] = (0, 1)) -> BatchIterator:
        """The batches from a position on, this process's part of each.

        Args:
          position: what an iterator's `.position` was, or {"step": k} for batch k; None is the beginning.
          shard: (i, n), this process and the number of processes.

        Raises:
          ValueError: `batch` is not divisible by n; the position is not one; `count` asks for more than one epoch.
        """
        index, ways = shard
        if not 0 <= index < ways:
            raise ValueError(f"shard={shard} is no part of a batch: it is (i, n) with 0 <= i < n")
        if self.batch < 1 or self.batch % ways:
            raise ValueError(
                f"batch={self.batch} is not divisible by {ways} processes. Set `batch` to a multiple of {ways}."
            )
        try:
            step = 0 if position is None else operator.index(position["step"])
        except (KeyError, TypeError):
            step = -1
        if step < 0:
            raise ValueError(f'{position!r} is not a position of data: it is {{"step": k}} with k >= 0')
        size = self.size()
        if self.count is not None and self.count * self.batch > size:
            raise ValueError(
                f"count={self.count} batches of {self.batch} need {self.count * self.batch} samples, but one epoch of "
                f"{self} has {size}. Lower `count` to {size // self.batch} or less, or `batch`."
            )
        return BatchIterator(self, step, shard)


class Around(Data):
    """Data made of other data, its field `data`: as many samples, in as many batches."""

    data: Data

    @property
    def batch(self) -> int:  # type: ignore[override]
        return self.data.batch

    @property
    def count(self) -> int | None:  # type: ignore[override]
        return self.data.count

    def size(self) -> int:
        return self.data.size()


@dataclass(frozen=True)
class _Chunks:
    """A grain source whose element c is the batches [c ahead, (c + 1) ahead) of one process, stacked."""

    data: Data
    shard: tuple[int, int]
    ahead: int

    def __len__(self) -> int:
        return sys.maxsize if self.data.count is None else -(-self.data.count // self.ahead)

    def __getitem__(self, chunk: int) -> Batch:
        index, ways = self.shard
        rows = self.data.batch // ways
        steps = np.arange(chunk * self.ahead, (chunk + 1) * self.ahead, dtype=np.int64)
        numbers = steps[:, None] * self.data.batch + np.arange(index * rows, (index + 1) * rows)
        made = self.data.take(numbers.reshape(-1))
        return {name: leaf.reshape(self.ahead, rows, *leaf.shape[1:]) for name, leaf in made.items()}


class BatchIterator:
    """Batches in order; `.position` is where the next one is, whatever has been read ahead.

    One thread reads ahead while the caller waits for the device. Close it when it is not read to its end.
    """

    def __init__(self, data: Data, step: int, shard: tuple[int, int]) -> None:
        import grain

        self._step, self._count = step, data.count
        spec = data.sample_spec()
        elements = max(int(np.prod(leaf.shape)) for leaf in spec.values()) * data.batch // shard[1]
        self._ahead = max(1, min(16, _AHEAD // max(1, elements)))
        chunks = grain.MapDataset.source(_Chunks(data, shard, self._ahead))
        first = step // self._ahead
        options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)
        self._chunks = iter(chunks[first:].to_iter_dataset(options)) if first < len(chunks) else iter(())
        self._chunk: Batch | None = None

    @property
    def position(self) -> dict[str, int]:
        """Where the next batch is, as JSON."""
        return {"step": self._step}

    def __iter__(self) -> BatchIterator:
        return self

    def __next__(self) -> Batch:
        if self._count is not None and self._step >= self._count:
            self.close()
            raise StopIteration
        at = self._step % self._ahead
        if self._chunk is None or at == 0:
            self._chunk = next(self._chunks)
        self._step += 1
        return {name: leaf[at] for name, leaf in self._chunk.items()}

    def close(self) -> None:
        """Stop reading ahead."""
        if hasattr(self._chunks, "close"):
            self._chunks.close()
        self._chunk, self._count = None, self._step

    def __enter__(self) -> BatchIterator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
