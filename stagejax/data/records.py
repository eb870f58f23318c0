"""Samples that are single records of a source, in an order of their own in every epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int64

from stagejax.data.order import shuffled
from stagejax.data.pipeline import Batch, Data


class OfRecords(Data):
    """Data that gives `take_records` and has the fields `source` and `seed`: an epoch is all records, shuffled."""

    source: Any
    seed: int

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        return shuffled(self.seed, numbers, len(self.source))

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        return self.take_as(numbers, self.records(numbers))

    def take_as(self, numbers: Int64[np.ndarray, " n"], records: Int64[np.ndarray, " n"]) -> Batch:
        """The samples with these numbers if they were of these records: what is random about one follows its number."""
        return self.take_records(records)

    def take_records(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        """The samples of these records of the source."""
        raise NotImplementedError
