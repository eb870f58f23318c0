"""Two streams of samples side by side: labelled ones and unlabelled ones, or two domains."""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.pipeline import Around, Batch, Data, joint_digest

Fields = tuple[tuple[str, str], ...]  # name in the batch, name in the samples


@dataclass(frozen=True, kw_only=True)
class Streams(Around):
    """Sample n is sample n of `data` with sample n of `beside`; each goes through its own epochs in its own order.

    Only the named fields are there: labels that must not be used are not in the batch. Every device and process has
    equally many samples of both.

    Args:
      data, beside: with equal batches; held out, `data` alone is.
      own, other: the fields taken of each.

    >>> from stagejax.data import Digits, Images
    >>> digits = Images(batch=4)
    >>> list(Streams(data=digits, beside=Images(batch=4, seed=1)).spec())
    ['image', 'label', 'target_image']
    """

    data: Data
    beside: Data
    own: Fields = (("image", "image"), ("label", "label"))
    other: Fields = (("target_image", "image"),)
    count: int | None = None

    def __post_init__(self) -> None:
        names = [name for name, _ in self.own + self.other]
        if self.data.batch != self.beside.batch or len(set(names)) != len(names):
            raise ValueError(
                f"batches of {self.data.batch} and {self.beside.batch}, fields {names}: make the batches equal, and "
                "name each field once"
            )

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        first, second = self.data.sample_spec(), self.beside.sample_spec()
        return {name: first[field] for name, field in self.own} | {name: second[field] for name, field in self.other}

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        first, second = self.data.take(numbers), self.beside.take(numbers)
        return {name: first[field] for name, field in self.own} | {name: second[field] for name, field in self.other}

    def held_out(self, batches: int, split: str = "test") -> Data:
        return replace(self, data=self.data.held_out(batches, split), count=batches)

    def digest(self) -> str:
        return joint_digest(self.data.digest(), self.beside.digest())


def prefixed(data: Data, prefix: str, beside: Data) -> Streams:
    """All fields of `data` under their own names, and all of `beside` under names that begin with a prefix.

    >>> from stagejax.data import Digits, Images
    >>> list(prefixed(Images(batch=4), "other_", Images(batch=4, seed=1)).spec())
    ['image', 'label', 'other_image', 'other_label']
    """
    own, other = (tuple((before + name, name) for name in of.spec()) for before, of in (("", data), (prefix, beside)))
    return Streams(data=data, beside=beside, own=own, other=other)
