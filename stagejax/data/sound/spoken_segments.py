"""Batches of pieces of talks as log-mel frames.

Letters: B batch, T frames, M mel bands, t time steps (half of the frames), W words, S samples.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float, Float32, Int64

from stagejax.data.pipeline import Batch, joint_digest
from stagejax.data.records import OfRecords
from stagejax.data.sound.audio import LogMel
from stagejax.data.sound.resegmenting import Segments
from stagejax.data.sound.utterances import FIFTY
from stagejax.data.tokenizers import SPECIAL
from stagejax.data.vocabulary.words import Words

_SHIFT, _SCALE = 4.0, 4.0  # log energies become (x + 4) / 4


def even_frames(signal: Float[np.ndarray, " S"], mel: LogMel, most: int) -> Float32[np.ndarray, "T M"]:
    """At most so many frames of a signal, an even number of them and at least 2.

    >>> even_frames(np.zeros(800), FIFTY, 100).shape
    (4, 32)
    """
    frames = (mel(np.asarray(signal, np.float32)) + _SHIFT) / _SCALE
    frames = frames[: min(most, max(2, len(frames) // 2 * 2))]
    return np.pad(frames, ((0, len(frames) % 2), (0, 0)), mode="edge").astype(np.float32)


def framed(signals: Sequence[Float32[np.ndarray, "_ M"]], most: int, mel: LogMel) -> Batch:
    """Frames of several segments as {"inputs": float32 (B, T, M), "mask": bool (B, t)}, silence behind them.

    >>> {name: leaf.shape for name, leaf in framed([np.zeros((4, 32), np.float32)], 6, FIFTY).items()}
    {'inputs': (1, 6, 32), 'mask': (1, 3)}
    """
    silence = (np.log(mel.floor) + _SHIFT) / _SCALE
    inputs = np.full((len(signals), most, mel.bands), silence, np.float32)
    mask = np.zeros((len(signals), most // 2), bool)
    for row, frames in enumerate(signals):
        inputs[row, : len(frames)], mask[row, : len(frames) // 2] = frames, True
    return {"inputs": inputs, "mask": mask}


@dataclass(frozen=True, kw_only=True)
class SpokenSegments(OfRecords):
    """Batches of segments: {"inputs": float32 (B, T, M), "mask": bool (B, t), "words": int32 (B, W)}.

    `mask` says which pairs of frames are of the segment; `words` are 1 + the number of each word in `code`, then 0.

    Args:
      longest: seconds; what is behind is cut off.
      words: most of a segment; further ones are left out.

    >>> from stagejax.data.sound.resegmenting import ManualSegments
    >>> from stagejax.data.sound.speech import Tones
    >>> from stagejax.data.sound.talks import NumberTalks, number_code
    >>> source = ManualSegments(NumberTalks(Tones(limit=200), sentences=2, size=3))
    >>> data = SpokenSegments(source=source, code=number_code(), batch=2, longest=2.0, words=6)
    >>> {name: leaf.shape for name, leaf in data.take(np.arange(2)).items()}
    {'inputs': (2, 100, 32), 'mask': (2, 50), 'words': (2, 6)}
    """

    source: Segments
    code: Words
    batch: int
    longest: float
    words: int
    mel: LogMel = FIFTY
    seed: int = 0
    count: int | None = None

    @property
    def most_frames(self) -> int:
        return self.mel.frames(round(self.longest * self.mel.rate)) // 2 * 2

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        frames = self.most_frames
        return {
            "inputs": jax.ShapeDtypeStruct((frames, self.mel.bands), np.float32),
            "mask": jax.ShapeDtypeStruct((frames // 2,), np.bool_),
            "words": jax.ShapeDtypeStruct((self.words,), np.int32),
        }

    def size(self) -> int:
        return len(self.source)

    def take_records(self, rows: Int64[np.ndarray, " n"]) -> Batch:
        """The segments with these numbers."""
        most, listed = self.most_frames, self.source.segments()
        made = framed([_frames(self.source, int(i), self.mel, most) for i in rows], most, self.mel)
        words = np.zeros((len(rows), self.words), np.int32)
        said = self.code.encode([" ".join(listed[int(i)].words) for i in rows])
        for row, ids in zip(words, said, strict=True):
            row[: len(ids)] = ids[: self.words] - SPECIAL + 1
        return made | {"words": words}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), self.code.digest())


@functools.lru_cache(maxsize=1 << 14)
def _frames(source: Segments, index: int, mel: LogMel, most: int) -> Float32[np.ndarray, "T M"]:
    return even_frames(source[index]["signal"], mel, most)
