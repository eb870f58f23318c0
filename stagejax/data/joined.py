"""Samples with what was computed for their records before: a teacher's logits, pseudo-labels, scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.pipeline import Around, Batch, Data, joint_digest


@dataclass(frozen=True)
class Row:
    """What an artifact holds for every record of a source, under one name."""

    name: str
    shape: tuple[int, ...] = ()
    dtype: str = "float32"


@dataclass(frozen=True, kw_only=True)
class Joined(Around):
    """The samples of `data`, each with its record's rows of an artifact. Make it by `join`.

    The rows are found by the record's index, so they follow it through every order, epoch and resumption. What the
    artifact holds is part of the declaration by its fingerprint; held-out data is not joined.
    """

    data: Data
    rows: tuple[Row, ...]
    of: str  # fingerprint of the artifact
    arrays: Mapping[str, np.ndarray] | None = field(
        default=None, repr=False, compare=False, metadata={"declared": False}
    )  # (records, *shape) by name; None while planning

    def __post_init__(self) -> None:
        taken = {row.name for row in self.rows} & set(self.data.sample_spec())
        if taken:
            raise ValueError(f"rows {sorted(taken)} have the names of fields that the samples have already")

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        own = {row.name: jax.ShapeDtypeStruct(row.shape, np.dtype(row.dtype)) for row in self.rows}
        return self.data.sample_spec() | own

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        return self.data.records(numbers)

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        """The samples of `data` with their rows.

        Raises:
          ValueError: the artifact lacks a row, or has another number or shape of rows than records.
        """
        records, joined = self.data.records(numbers), self.data.take(numbers)
        for row in self.rows:
            array, expected = (self.arrays or {}).get(row.name), (self.data.size(), *row.shape)
            if array is None or array.shape != expected or array.dtype != np.dtype(row.dtype):
                found = "nothing" if array is None else f"{array.dtype}{list(array.shape)}"
                raise ValueError(
                    f"the artifact {self.of} holds {found} as {row.name!r}, but {row.dtype}{list(expected)} is needed: "
                    "one row for each record of the source. Compute it with `for_every_record` on the same source."
                )
            joined[row.name] = array[records]
        return joined

    def held_out(self, batches: int, split: str = "test") -> Data:
        return self.data.held_out(batches, split)

    def digest(self) -> str:
        return joint_digest(self.data.digest(), self.of)


def join(data: Data, made: Any, *rows: Row) -> Joined:
    """`data` with the rows of what `run.make` made: anything with a `fingerprint` and a `value`, arrays by name.

    >>> from types import SimpleNamespace
    >>> from stagejax.data import Digits, Images
    >>> made = SimpleNamespace(fingerprint="a1", value={"index": np.arange(len(Digits()))})
    >>> data = join(Images(batch=4), made, Row("index", dtype="int64"))
    >>> data.take(np.arange(3))["index"].tolist() == data.records(np.arange(3)).tolist()
    True
    """
    return Joined(data=data, rows=rows, of=made.fingerprint, arrays=made.value)


def join_more(data: Joined, made: Any, *rows: Row) -> Joined:
    """`data` with the rows of one more artifact."""
    arrays = None if made.value is None or data.arrays is None else {**data.arrays, **made.value}
    return replace(data, rows=data.rows + rows, of=f"{data.of}+{made.fingerprint}", arrays=arrays)


def for_every_record(function: Callable[[Batch], Mapping[str, Any]], data: Any) -> dict[str, np.ndarray]:
    """What a function of a batch gives for every record of the source of `data`, in the order of the source.

    Args:
      function: (batch) -> {name: (batch, ...)}; the last batch is filled up with record 0, so all have one size.
      data: batches whose samples are records, such as `Images`: it gives `size` and `take_records`.

    >>> from stagejax.data import Images
    >>> sums = for_every_record(lambda batch: {"ink": batch["image"].sum((1, 2, 3))}, Images(batch=500))
    >>> sums["ink"].shape
    (1438,)
    """
    size, parts = data.size(), []
    for start in range(0, size, data.batch):
        records = np.arange(start, start + data.batch)
        parts.append(function(data.take_records(np.where(records < size, records, 0))))
    return {name: np.concatenate([np.asarray(part[name]) for part in parts])[:size] for name in parts[0]}
