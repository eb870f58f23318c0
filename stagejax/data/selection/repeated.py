"""The first batch of other data, again and again: what a model is watched by while it learns from something else."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.pipeline import Around, Batch, Data


@dataclass(frozen=True, kw_only=True)
class Repeated(Around):
    """Sample n is sample n mod `data.batch` of `data`: every batch holds the same samples in the same order.

    >>> from stagejax.data import Digits, Images
    >>> digits = Repeated(data=Images(batch=4))
    >>> first, later = digits.take(np.arange(4)), digits.take(np.arange(8, 12))
    >>> bool((first["image"] == later["image"]).all())
    True
    """

    data: Data

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return self.data.sample_spec()

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        return self.data.take(numbers % self.data.batch)

    def digest(self) -> str:
        return self.data.digest()
