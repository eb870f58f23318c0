"""Prompts out of an artifact, such as those of a difficulty that was measured before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from stagejax.data.order import shuffled
from stagejax.data.prompts.answers import MadeRows


@dataclass(frozen=True, kw_only=True)
class MadePrompts(MadeRows):
    """`MadeRows` in which batch k is batch k // repeat of the stream: one batch of prompts for several steps.

    >>> from stagejax.data.joined import Row
    >>> rows, arrays = (Row("lengths", (), "int32"),), {"lengths": np.arange(6, dtype=np.int32)}
    >>> data = MadePrompts(rows=rows, of="a1", arrays=arrays, batch=2, repeat=2)
    >>> first, second, third = (data.take(np.arange(2 * k, 2 * k + 2))["lengths"].tolist() for k in range(3))
    >>> first == second, first == third
    (True, False)
    """

    repeat: int = 1

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        batches, places = np.divmod(numbers, self.batch)
        return shuffled(self.seed, batches // self.repeat * self.batch + places, self.size())


@dataclass(frozen=True, kw_only=True)
class InOrder(MadePrompts):
    """`MadePrompts` in the order of the artifact's rows, from the first to the last and then again.

    >>> from stagejax.data.joined import Row
    >>> rows, arrays = (Row("lengths", (), "int32"),), {"lengths": np.arange(4, dtype=np.int32)}
    >>> data = InOrder(rows=rows, of="a1", arrays=arrays, batch=2, repeat=2)
    >>> data.take(np.arange(10))["lengths"].tolist()
    [0, 1, 0, 1, 2, 3, 2, 3, 0, 1]
    """

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        batches, places = np.divmod(numbers, self.batch)
        return (batches // self.repeat * self.batch + places) % max(self.size(), 1)
