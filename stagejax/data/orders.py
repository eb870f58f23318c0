"""The same data in several orders at once: one for each member of an ensemble."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.pipeline import Around, Batch, Data


@dataclass(frozen=True, kw_only=True)
class Orders(Around):
    """Sample k holds, for each member, sample k of `data` in the order of that member's own seed.

    Every field gets an axis of members behind that of the batch. Each member sees all of the data, once an epoch.

    Args:
      data: any data with a field `seed`; member i reads it with `seed + i`.
      members: their number.

    >>> from stagejax.data import Images
    >>> Orders(data=Images(batch=8), members=3).spec()["image"].shape
    (8, 3, 8, 8, 1)
    """

    data: Any
    members: int

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        inner = self.data.sample_spec().items()
        return {name: jax.ShapeDtypeStruct((self.members, *leaf.shape), leaf.dtype) for name, leaf in inner}

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        own = [replace(self.data, seed=self.data.seed + i).take(numbers) for i in range(self.members)]
        return {name: np.stack([batch[name] for batch in own], axis=1) for name in own[0]}

    def held_out(self, batches: int, split: str = "test") -> Data:
        return replace(self, data=self.data.held_out(batches, split))

    def digest(self) -> str:
        return self.data.digest()
