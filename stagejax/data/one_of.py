"""Batches that are each from one of several data, such as one language at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.order import random_words
from stagejax.data.pipeline import Batch, Data, joint_digest


@dataclass(frozen=True, kw_only=True)
class OneOf(Data):
    """Batch k is batch k of part p(k), which is drawn uniformly; `part`, int32 (batch,), says which one it is.

    So every part goes through its own epochs, of which it shows a random share.

    Args:
      parts: data with the same specification, batch included.
      seed: of p.
      count: number of batches; None: endless. That of the parts is not used.

    Raises:
      ValueError: no part, or parts that differ in what they give.

    >>> from stagejax.data import Bytes, CausalText, Stdlib
    >>> part = CausalText(source=Stdlib(limit=100_000), tokenizer=Bytes(), batch=4, length=16)
    >>> data = OneOf(parts=(part, part.held_out(4)))
    >>> data.take(np.arange(16))["part"].tolist()
    [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1]
    """

    parts: tuple[Data, ...]
    seed: int = 0
    count: int | None = None

    def __post_init__(self) -> None:
        if not self.parts or any(part.spec() != self.parts[0].spec() for part in self.parts):
            raise ValueError(f"{len(self.parts)} parts: give one or more that have the same specification")

    @property
    def batch(self) -> int:  # type: ignore[override]
        return self.parts[0].batch

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return self.parts[0].sample_spec() | {"part": jax.ShapeDtypeStruct((), np.int32)}

    def size(self) -> int:
        return min(part.size() for part in self.parts)

    def owners(self, batches: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Which part each of these batches is from."""
        return (random_words(self.seed, batches, 1)[:, 0] % np.uint64(len(self.parts))).astype(np.int64)

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        owners = self.owners(numbers // self.batch)
        made = {name: np.empty((len(numbers), *leaf.shape), leaf.dtype) for name, leaf in self.sample_spec().items()}
        made["part"][:] = owners
        for index in np.unique(owners):
            mine = np.flatnonzero(owners == index)
            for name, leaf in self.parts[index].take(numbers[mine]).items():
                made[name][mine] = leaf
        return made

    def held_out(self, batches: int, split: str = "test") -> Data:
        return replace(self, parts=tuple(part.held_out(batches, split) for part in self.parts), count=batches)

    def digest(self) -> str:
        return joint_digest(*(part.digest() for part in self.parts))
