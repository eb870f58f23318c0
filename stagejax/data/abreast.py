"""Several data side by side, each under its own name: what models read that are trained in one program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.pipeline import Batch, Data, joint_digest


@dataclass(frozen=True, kw_only=True)
class Abreast(Data):
    """Sample n is sample n of every member; its fields are named `member/field`. Each goes through its own epochs.

    Args:
      members: (name, data), of equal batches; the fields of one without a name keep theirs.

    Raises:
      ValueError: the batches differ, or a name is used twice.

    >>> from stagejax.data import Digits, Images
    >>> both = Abreast(members=(("a", Images(batch=4)), ("b", Images(batch=4, seed=1))))
    >>> list(both.spec()), part(both.take(np.arange(2)), "b")["label"].shape
    (['a/image', 'a/label', 'b/image', 'b/label'], (2,))
    """

    members: tuple[tuple[str, Data], ...]
    count: int | None = None

    def __post_init__(self) -> None:
        names, sizes = [name for name, _ in self.members], {data.batch for _, data in self.members}
        if len(sizes) != 1 or len(set(names)) != len(names):
            raise ValueError(f"members {names} with batches of {sizes}: name each once, and make the batches equal")

    @property
    def batch(self) -> int:  # type: ignore[override]
        return self.members[0][1].batch

    @property
    def tokens(self) -> int:
        return sum(data.tokens for _, data in self.members)

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return {_named(name, field): leaf for name, data in self.members for field, leaf in data.sample_spec().items()}

    def size(self) -> int:
        return min(data.size() for _, data in self.members)

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        return {_named(name, field): leaf for name, data in self.members for field, leaf in data.take(numbers).items()}

    def held_out(self, batches: int, split: str = "test") -> Data:
        return replace(
            self, members=tuple((n, data.held_out(batches, split)) for n, data in self.members), count=batches
        )

    def digest(self) -> str:
        return joint_digest(*(data.digest() for _, data in self.members))


def _named(member: str, field: str) -> str:
    return f"{member}/{field}" if member else field


def part(batch: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The fields of one member, by their own names."""
    return {field: leaf for whole, leaf in batch.items() for own, _, field in [whole.partition("/")] if own == name}
