"""Batches of several images of each of several identities: what metric learning compares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.order import shuffled
from stagejax.data.pipeline import Batch, Data, joint_digest
from stagejax.data.sources import Derived, Record, Source, labels_of


@dataclass(frozen=True, kw_only=True)
class Identities(Data):
    """{"image": float32 (batch, *shape), "label": int32 (batch,)}: `each` images in a row are of one identity.

    All identities come once, in a new order, before one comes again; and an identity's images all come before one does.

    Args:
      source: records with an "image" and a "label", the identity.
      batch: images in a global batch, a whole number of times `each`.
      each: K, images of an identity.
      of, arrays: fingerprint and value of an artifact with "rows", the records to be used; all where there is none.

    Reference: the P x K batches of Hermans et al. 2017, https://arxiv.org/abs/1703.07737, section 2.

    >>> from stagejax.data import Digits
    >>> data = Identities(source=Digits(), batch=12, each=4)
    >>> data.take(np.arange(12))["label"].reshape(3, 4).tolist()
    [[9, 9, 9, 9], [5, 5, 5, 5], [7, 7, 7, 7]]
    """

    source: Source
    batch: int
    each: int = 4
    shape: tuple[int, int, int] = (8, 8, 1)
    seed: int = 0
    count: int | None = None
    of: str = ""
    arrays: Mapping[str, np.ndarray] | None = field(
        default=None, repr=False, compare=False, metadata={"declared": False}
    )  # None while planning

    def __post_init__(self) -> None:
        if self.each < 1 or self.batch % self.each:
            raise ValueError(
                f"batch={self.batch} is not a whole number of times each={self.each} images of an identity"
            )

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return {"image": jax.ShapeDtypeStruct(self.shape, np.float32), "label": jax.ShapeDtypeStruct((), np.int32)}

    def size(self) -> int:
        return sum(map(len, self._own()))

    def _own(self) -> list[Int64[np.ndarray, " m"]]:
        """The records of every identity."""
        if self.of and self.arrays is None:
            return []
        rows = np.arange(len(self.source)) if self.arrays is None else np.asarray(self.arrays["rows"])
        labels = labels_of(self.source)[rows]
        order = np.argsort(labels, kind="stable")
        return np.split(rows[order], np.flatnonzero(np.diff(labels[order])) + 1)

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        own = self._own()
        if not own:
            raise ValueError(f"the artifact {self.of} holds nothing as 'rows': give at least one record")
        groups, places = np.divmod(numbers, self.each)
        visits, identities = groups // len(own), shuffled(self.seed, groups, len(own))
        turns, found = visits * self.each + places, np.empty(len(numbers), np.int64)
        for i in np.unique(identities):
            mine = identities == i
            found[mine] = own[i][shuffled(self.seed + 1 + int(i), turns[mine], len(own[i]))]
        return found

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        records = [self.source[int(row)] for row in self.records(numbers)]
        images = np.stack([record["image"] for record in records]).astype(np.float32)
        return {"image": images, "label": np.array([record["label"] for record in records], np.int32)}

    def digest(self) -> str:
        return self.source.digest() + self.of


@dataclass(frozen=True)
class Half(Derived):
    """The records of every second label of a source: of the even ones, or of the odd ones.

    >>> from stagejax.data import Digits
    >>> np.unique(labels_of(Half(Digits(), odd=True))).tolist()
    [1, 3, 5, 7, 9]
    """

    odd: bool = False

    def _rows(self) -> Int64[np.ndarray, " n"]:
        return np.flatnonzero(labels_of(self.source) % 2 == self.odd)

    def __len__(self) -> int:
        return len(self._rows())

    def __getitem__(self, index: int) -> Record:
        return self.source[int(self._rows()[index])]

    def column(self, field: str) -> Int64[np.ndarray, " n"]:
        return labels_of(self.source, field)[self._rows()]

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "odd" if self.odd else "even")
