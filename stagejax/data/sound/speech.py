"""Spoken words as frames of mel energies: real recordings of digits, and generated tones that stand for them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float, Float32, Int64

from stagejax.data.named import Dataset, read_npz
from stagejax.data.order import random_words, shuffled, uniforms
from stagejax.data.pipeline import Batch, Data
from stagejax.data.sound.audio import LogMel
from stagejax.data.sources import Record, Source

#: 25 frames a second at 8 kHz, each a window that overlaps the next by half.
MEL = LogMel(rate=8000, window=640, hop=320, bands=32, low=60.0, floor=1e-4)
_SHIFT, _SCALE = 4.0, 4.0  # log energies become (x + 4) / 4: silence about -1.3, speech about 0.3


def frames_of(signal: Float[np.ndarray, " S"]) -> Float32[np.ndarray, "T M"]:
    """The log-mel frames of a signal, in the scale that models see."""
    return ((MEL(np.asarray(signal, np.float32)) + _SHIFT) / _SCALE).astype(np.float32)


def sound_of(frames: Float[np.ndarray, "T M"], iterations: int = 32) -> Float32[np.ndarray, " S"]:
    """A signal of about these frames (see `LogMel.sound`)."""
    return MEL.sound(np.asarray(frames) * _SCALE - _SHIFT, iterations).astype(np.float32)


def padded(frames: Float[np.ndarray, "t M"], count: int) -> Float32[np.ndarray, "T M"]:
    """The first `count` frames, or all with silence behind them.

    >>> padded(np.zeros((1, 2)), 3).round(1)[:, 0]
    array([ 0. , -1.3, -1.3], dtype=float32)
    """
    silence = (np.log(MEL.floor) + _SHIFT) / _SCALE
    cut = frames[:count]
    return np.pad(cut, ((0, count - len(cut)), (0, 0)), constant_values=silence).astype(np.float32)


class Spoken(Source):
    """Recordings of single words. Records are {"image": (frames, bands, 1), "length", "label", "speaker"}.

    Subclasses have the fields `frames` (of the longest clip; longer ones are cut) and `limit` (number of clips).
    """

    frames: int
    limit: int

    def clips(self) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """Signals at 8 kHz from -1 to 1, which word each is, and whose."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(_framed(self)[1])

    def __getitem__(self, index: int) -> Record:
        frames, lengths, words, speakers = (part[index] for part in _framed(self))
        return {
            "image": frames[..., None],
            "length": int(lengths),
            "label": int(words),
            "speaker": int(speakers),
        }


@dataclass(frozen=True)
class Fsdd(Spoken):
    """The Free Spoken Digit Dataset, a file under `$STAGEJAX_DATA`: ten digits, six speakers, in a fixed random order.

    >>> Fsdd("test").frames
    16
    """

    split: str = "train"
    frames: int = 16
    limit: int = 2700

    def clips(self) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        return fsdd_clips(self.split, lambda take: shuffled(0, np.arange(len(take)), len(take))[: self.limit])

    def digest(self) -> str:
        return Dataset("fsdd", self.split).digest()


def fsdd_clips(
    split: str, chosen: Callable[[np.ndarray], np.ndarray]
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """`Spoken.clips` of the file of a split.

    Args:
      chosen: of the numbers of all takes, which clips, in which order.

    Raises:
      ValueError: there is no such file.
    """
    dataset = Dataset("fsdd", split)
    path = dataset.path()
    if path is None:
        len(dataset)  # says where it was looked for
        raise ValueError("fsdd is read from a file under $STAGEJAX_DATA")
    found = read_npz(path)
    bounds, rows = found["offset"], chosen(found["take"])
    signals = [found["audio"][bounds[i] : bounds[i + 1]].astype(np.float32) / 32768 for i in rows]
    return signals, found["digit"][rows].astype(np.int64), found["speaker"][rows].astype(np.int64)


@dataclass(frozen=True)
class Tones(Spoken):
    """Generated words: each is two tones, one after the other, by speakers who differ in pitch and timbre.

    >>> Tones(limit=4)[1]["image"].shape
    (8, 32, 1)
    """

    split: str = "train"
    frames: int = 8
    limit: int = 200
    words: int = 10

    def clips(self) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        draws = uniforms(random_words(int(self.split != "train"), np.arange(self.limit), 4))
        words, speakers = (draws[:, 0] * self.words).astype(np.int64), (draws[:, 1] * 3).astype(np.int64)
        signals = []
        for word, speaker, u in zip(words, speakers, draws, strict=True):
            half = int(320 * (2 + u[2] * (self.frames / 2 - 2)))
            first, second = 300 * 1.35 ** (word % 4), 300 * 1.35 ** (4 + word // 4)
            t = np.arange(half) / 8000 * (1 + 0.03 * speaker)
            tones = [np.sin(2 * np.pi * f * t) + 0.4 * speaker * np.sin(4 * np.pi * f * t) for f in (first, second)]
            signals.append((0.2 * np.concatenate(tones)).astype(np.float32))
        return signals, words, speakers

    def digest(self) -> str:
        return "generated"


@functools.lru_cache(maxsize=8)
def recorded(source: Spoken) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """`source.clips()`, read once."""
    return source.clips()


def speakers_of(source: Spoken, chosen: tuple[int, ...] | None) -> list[int]:
    """The chosen speakers, or all there are.

    >>> speakers_of(Tones(limit=40), None), speakers_of(Tones(limit=40), (2,))
    ([0, 1, 2], [2])
    """
    return sorted(set(recorded(source)[2].tolist())) if chosen is None else list(chosen)


@functools.lru_cache(maxsize=8)
def _framed(source: Spoken) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Frames (n, T, M), lengths, words and speakers of all clips."""
    signals, words, speakers = source.clips()
    frames = [frames_of(signal) for signal in signals]
    lengths = np.array([min(len(own), source.frames) for own in frames], np.int32)
    return np.stack([padded(own, source.frames) for own in frames]), lengths, words, speakers


@dataclass(frozen=True, kw_only=True)
class Clips(Data):
    """Batches of clips without their words: {"frames": float32 (batch, T, M), "real": bool (batch, T)}."""

    source: Spoken
    batch: int
    seed: int = 0
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        shape = (self.source.frames, MEL.bands)
        return {"frames": jax.ShapeDtypeStruct(shape, np.float32), "real": jax.ShapeDtypeStruct(shape[:1], np.bool_)}

    def size(self) -> int:
        return len(self.source)

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        return shuffled(self.seed, numbers, self.size())

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        return self.take_records(self.records(numbers))

    def take_records(self, rows: Int64[np.ndarray, " n"]) -> Batch:
        """The clips of these records of the source."""
        frames, lengths, _, _ = _framed(self.source)
        return {"frames": frames[rows], "real": np.arange(self.source.frames) < lengths[rows, None]}

    def digest(self) -> str:
        return self.source.digest()
