"""Pieces of signals with the frames of features that belong to them, for vocoders.

Letters: N signals, S samples, T frames, F features, D size of a vector of the whole signal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.order import random_words, shuffled, uniforms
from stagejax.data.pipeline import Batch, Data


@dataclass(frozen=True, kw_only=True)
class FramedWaves(Data):
    """Batches {"signal": (B, piece · hop), "frames": (B, piece, F), "speaker": (B, D)} of random pieces of signals.

    Sample n is a piece of a signal in an order of its own for each epoch; where it begins is drawn, among the frames of
    the signal, by n and the seed.

    Args:
      arrays: "signal" (N, S), "frames" (N, T, F), "speaker" (N, D) and "count" (N,), frames that are no silence; None
        while planning.
      of: fingerprint of what they are made of.
      piece: frames.
      hop: samples of a frame.

    >>> arrays = {"signal": np.arange(24.0)[None], "frames": np.arange(6.0)[None, :, None], "speaker": np.ones((1, 1)),
    ...           "count": np.array([6])}
    >>> batch = FramedWaves(arrays=arrays, of="a", piece=2, hop=4, features=1, vector=1, batch=1).take(np.arange(1))
    >>> bool((batch["signal"][0, ::4] / 4 == batch["frames"][0, :, 0]).all())
    True
    """

    arrays: Mapping[str, np.ndarray] | None = field(
        default=None, repr=False, compare=False, metadata={"declared": False}
    )
    of: str
    piece: int
    hop: int
    features: int
    vector: int
    batch: int
    seed: int = 0
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        shapes = {"signal": (self.piece * self.hop,), "frames": (self.piece, self.features), "speaker": (self.vector,)}
        return {name: jax.ShapeDtypeStruct(shape, np.dtype("float32")) for name, shape in shapes.items()}

    def size(self) -> int:
        return 0 if self.arrays is None else len(self.arrays["signal"])

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        return shuffled(self.seed, numbers, self.size())

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        """The pieces with these numbers.

        Raises:
          ValueError: there is nothing to take them of.
        """
        if not self.size():
            raise ValueError(f"the artifact {self.of} holds nothing as 'signal'")
        found, rows = dict(self.arrays or {}), self.records(numbers)
        draws = uniforms(random_words(self.seed + 1, numbers, 1))[:, 0]
        starts = (draws * np.maximum(found["count"][rows] - self.piece + 1, 1)).astype(np.int64)
        frames = starts[:, None] + np.arange(self.piece)
        samples = starts[:, None] * self.hop + np.arange(self.piece * self.hop)
        made = {
            "signal": found["signal"][rows[:, None], samples],
            "frames": found["frames"][rows[:, None], frames],
            "speaker": found["speaker"][rows],
        }
        return {name: array.astype(np.float32) for name, array in made.items()}

    def digest(self) -> str:
        return self.of
