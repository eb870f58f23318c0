"""Tables: rows of numbers with one target, and scikit-learn's embedded ones."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import Literal

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.order import shuffled
from stagejax.data.pipeline import Batch, Data, joint_digest
from stagejax.data.sources import Record, Source

Name = Literal["breast_cancer", "diabetes", "digits", "iris", "wine"]


@dataclass(frozen=True)
class Embedded(Source):
    """A table that comes with scikit-learn, split at random: 60 % train, 20 % validation, 20 % test.

    Records are {"x": float32 (features,), "y"}. Features are standardised by the mean and deviation of the training
    rows, as is the target of `diabetes`, a number; the others have classes.

    Args:
      name: of the table.
      split: "train", "validation" or "test".
      seed: of the split.

    >>> len(Embedded("wine")), len(Embedded("wine", "test")), Embedded("wine")[0]["x"].shape
    (107, 36, (13,))
    """

    name: Name
    split: str = "train"
    seed: int = 0

    def table(self) -> tuple[np.ndarray, np.ndarray]:
        """Features and targets of the split.

        Raises:
          ValueError: there is no such split.
        """
        if self.split not in ("train", "validation", "test"):
            raise ValueError(f"{self.name} has the splits train, validation and test, not split={self.split!r}")
        return _tables(self.name, self.seed)[self.split]

    def __len__(self) -> int:
        return len(self.table()[1])

    def __getitem__(self, index: int) -> Record:
        x, y = self.table()
        return {"x": x[index], "y": y[index]}

    def digest(self) -> str:
        """The sha256 of the split's features and targets."""
        return hashlib.sha256(b"".join(array.tobytes() for array in self.table())).hexdigest()


@functools.cache
def _tables(name: Name, seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    from sklearn import datasets

    found = getattr(datasets, f"load_{name}")()
    x, y, size = found.data.astype(np.float64), found.target, len(found.target)
    order = np.random.RandomState(seed).permutation(size)
    cuts = dict(
        zip(("train", "validation", "test"), np.split(order, [round(0.6 * size), round(0.8 * size)]), strict=True)
    )
    train = cuts["train"]
    x = (x - x[train].mean(0)) / np.maximum(x[train].std(0), 1e-6)
    if np.issubdtype(y.dtype, np.floating):
        y = (y - y[train].mean()) / y[train].std()
    return {split: (x[rows].astype(np.float32), _typed(y[rows])) for split, rows in cuts.items()}


def _typed(y: np.ndarray) -> np.ndarray:
    return y.astype(np.float32 if np.issubdtype(y.dtype, np.floating) else np.int32)


@dataclass(frozen=True, kw_only=True)
class Rows(Data):
    """Rows of a table: {"x": float32 (batch, features), "y": (batch,)}; x of another shape, as of images, is flattened.

    Args:
      source: where the rows are from.
      batch: rows in a global batch.
      features: numbers in a row's x.
      numeric: whether the target is a number; otherwise it is a class.
      seed: of the order.
      count: number of batches; None: endless.
      x, y: the fields of a record; uint8 values are divided by 255.

    >>> Rows(source=Embedded("wine"), batch=8, features=13).take(np.arange(8))["x"].shape
    (8, 13)
    """

    source: Source
    batch: int
    features: int
    numeric: bool = False
    seed: int = 0
    count: int | None = None
    x: str = "x"
    y: str = "y"

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        target = np.float32 if self.numeric else np.int32
        return {"x": jax.ShapeDtypeStruct((self.features,), np.float32), "y": jax.ShapeDtypeStruct((), target)}

    def size(self) -> int:
        return len(self.source)

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        return shuffled(self.seed, numbers, len(self.source))

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        if isinstance(self.source, Embedded):
            x, y = (column[self.records(numbers)] for column in self.source.table())
        else:
            rows = [self.source[int(row)] for row in self.records(numbers)]
            x, y = (np.stack([row[name] for row in rows]) for name in (self.x, self.y))
        scale = np.float32(255 if x.dtype == np.uint8 else 1)
        return {
            "x": x.reshape(len(x), self.features).astype(np.float32) / scale,
            "y": y.astype(np.float32 if self.numeric else np.int32),
        }

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"{self.x} {self.y}")
