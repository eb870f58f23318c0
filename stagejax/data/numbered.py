"""Samples that say which record they are of, so that a model can tell a record from its neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.pipeline import Around, Batch, Data


@dataclass(frozen=True, kw_only=True)
class Numbered(Around):
    """The samples of `data` with the index of their record: {"record": int32 (batch,)}; held-out data has none.

    >>> from stagejax.data import Images
    >>> data = Numbered(data=Images(batch=4))
    >>> data.take(np.arange(3))["record"].tolist() == data.data.records(np.arange(3)).tolist()
    True
    """

    data: Data

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return {**self.data.sample_spec(), "record": jax.ShapeDtypeStruct((), np.int32)}

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        return self.data.take(numbers) | {"record": self.data.records(numbers).astype(np.int32)}

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        return self.data.records(numbers)

    def held_out(self, batches: int, split: str = "test") -> Data:
        return self.data.held_out(batches, split)

    def digest(self) -> str:
        return self.data.digest()
