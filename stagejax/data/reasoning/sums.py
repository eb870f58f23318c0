"""Bare sums, differences, products and quotients with their results, as text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stagejax.data.pipeline import joint_digest
from stagejax.data.reasoning.problems import applied
from stagejax.data.sources import Source


@dataclass(frozen=True)
class Sums(Source):
    """Records {"text"}: calculations whose numbers lie between 0 and `largest`; products and quotients are few.

    Args:
      each: calculations of a record.
      factors: the largest factor or divisor; the smallest is 2.

    Raises:
      ValueError: an unknown split, or numbers too small for a product.

    >>> Sums(each=3)[0]["text"]
    '2 - 2 = 0 ; 13 + 4 = 17 ; 7 + 13 = 20 ;'
    """

    split: str = "train"
    size: int = 1000
    largest: int = 20
    each: int = 6
    factors: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.split not in ("train", "test") or self.largest < self.factors or self.factors < 2 or self.each < 1:
            raise ValueError(f"split={self.split!r}, largest={self.largest}, factors={self.factors}, each={self.each}: "
                             "need split 'train' or 'test', largest >= factors >= 2 and each >= 1")  # fmt: skip

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict[str, str]:
        if not 0 <= index < self.size:
            raise IndexError(f"record {index} of {self.size}")
        rng, made = np.random.default_rng((self.seed, index, self.split == "test")), []
        for sign in rng.choice(list("+-*/"), self.each, p=(0.4, 0.4, 0.1, 0.1)):
            n = int(rng.integers(2, self.factors + 1) if sign in "*/" else rng.integers(1, self.largest + 1))
            low, high = {"+": (0, self.largest - n), "-": (n, self.largest)}.get(sign, (1, self.largest // n))
            a = int(rng.integers(low, high + 1)) * (n if sign == "/" else 1)
            made.append(f"{a} {sign} {n} = {applied(a, sign, n)} ;")
        return {"text": " ".join(made)}

    def digest(self) -> str:
        return joint_digest(str(self))
