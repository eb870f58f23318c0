"""How much of a held-out text stands word for word in the training text."""

from __future__ import annotations

import numpy as np
from jaxtyping import Integer, UInt64

from stagejax.data.order import random_words

_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd: multiplying by it loses no bit


def leaked(train: Integer[np.ndarray, " ids"], held: Integer[np.ndarray, " held"], length: int = 32) -> float:
    """The share of held-out spans of `length` ids, one behind the other, that occur anywhere in the training ids.

    Spans are compared by 64-bit hashes, h(x) = sum_j mix(x_j) f^(length - 1 - j). A split by documents does not exclude
    leaks: licences and copied passages stand in many.

    Raises:
      ValueError: one of both has no span of that length.

    >>> leaked(np.arange(100), np.array([7, 8, 9, 1, 2, 4]), length=3)
    0.5
    """
    if length < 1 or min(len(train), len(held)) < length:
        raise ValueError(f"{len(train)} and {len(held)} ids have no spans of length={length}")
    return float(np.isin(_hashes(held, length)[::length], _hashes(train, length)).mean())


def _hashes(ids: Integer[np.ndarray, " ids"], length: int) -> UInt64[np.ndarray, " spans"]:
    """Of the spans that begin at each place."""
    words = random_words(0, ids.astype(np.int64), 1)[:, 0]
    spans = len(ids) - length + 1
    found = np.zeros(spans, np.uint64)
    for j in range(length):
        found = found * _FACTOR + words[j : j + spans]
    return found
