"""Records without their labels, and some records with what an artifact says in the place of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.joined import Row
from stagejax.data.order import shuffled
from stagejax.data.pipeline import Around, Batch, Data, joint_digest
from stagejax.data.selection.subsets import given


@dataclass(frozen=True, kw_only=True)
class Hidden(Around):
    """The samples of `data` without the field `hidden`: nothing that reads them can learn from it.

    >>> from stagejax.data import Images
    >>> data = Hidden(data=Images(batch=4))
    >>> sorted(data.take(np.arange(2))), sorted(data.sample_spec())
    (['image'], ['image'])
    """

    data: Data
    hidden: str = "label"

    def _seen(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {name: leaf for name, leaf in fields.items() if name != self.hidden}

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return self._seen(self.data.sample_spec())

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        return self._seen(self.data.take(numbers))

    def digest(self) -> str:
        return self.data.digest()


@dataclass(frozen=True, kw_only=True)
class Predicted(Around):
    """Some records of `data`, with fields that an artifact holds for them, such as pseudo labels. Make it by `predict`.

    A field of `data` by the same name is replaced. An epoch is all of these records, in an order of its own; however
    many there are, batches have one shape.

    Args:
      data: what gives samples by record (`take_records`).
      fields: what the artifact holds for each of its records.
      of: fingerprint of the artifact.
      arrays: {"rows": (n,), and of each field (n, *shape)}; None while planning.
    """

    data: Any
    fields: tuple[Row, ...]
    of: str
    arrays: Mapping[str, np.ndarray] | None = field(
        default=None, repr=False, compare=False, metadata={"declared": False}
    )  # by name
    seed: int = 0

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        own = {row.name: jax.ShapeDtypeStruct(row.shape, np.dtype(row.dtype)) for row in self.fields}
        return self.data.sample_spec() | own

    def _array(self, name: str) -> np.ndarray:
        return given((self.arrays or {}).get(name), self.of, name)

    def size(self) -> int:
        return len(self._array("rows"))

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        return self._array("rows")[shuffled(self.seed, numbers, self.size())]

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        """The samples, with the artifact's fields.

        Raises:
          ValueError: a field has another shape, or not one row for each of its records.
        """
        at, own = shuffled(self.seed, numbers, self.size()), {}
        for row in self.fields:
            array = self._array(row.name)
            if array.shape != (self.size(), *row.shape):
                raise ValueError(
                    f"the artifact {self.of} holds {list(array.shape)} as {row.name!r}, but "
                    f"{[self.size(), *row.shape]} is needed: one row for each of its records"
                )
            own[row.name] = array[at].astype(row.dtype)
        return self.data.take_records(self._array("rows")[at]) | own

    def held_out(self, batches: int, split: str = "test") -> Data:
        return self.data.held_out(batches, split)

    def digest(self) -> str:
        return joint_digest(self.data.digest(), self.of)


def predict(data: Any, made: Any, *fields: Row, seed: int = 0) -> Predicted:
    """`data` on the records of what `run.make` made, with its fields: anything with a `fingerprint` and a `value`.

    >>> from types import SimpleNamespace
    >>> from stagejax.data import Images
    >>> found = {"rows": np.array([5, 7]), "label": np.array([1, 2]), "logits": np.array([[0.0, 1.0], [2.0, 0.0]])}
    >>> made = SimpleNamespace(fingerprint="a1", value=found)
    >>> data = predict(Images(batch=4), made, Row("label", dtype="int32"), Row("logits", (2,)))
    >>> batch = data.take(np.arange(2))
    >>> sorted(zip(batch["label"].tolist(), batch["logits"].tolist()))
    [(1, [0.0, 1.0]), (2, [2.0, 0.0])]
    """
    return Predicted(data=data, fields=fields, of=made.fingerprint, arrays=made.value, seed=seed)
