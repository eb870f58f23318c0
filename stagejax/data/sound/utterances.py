"""Utterances: several spoken words of one speaker in a row, as log-mel frames with the words that are said.

Letters: B batch, T frames, M mel bands, W words, S samples.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import jax
import numpy as np
from jaxtyping import Float32, Int64

from stagejax.data.order import random_words, uniforms
from stagejax.data.pipeline import Batch, joint_digest
from stagejax.data.records import OfRecords
from stagejax.data.sound.audio import LogMel
from stagejax.data.sound.speech import Spoken, recorded, speakers_of
from stagejax.data.sources import EmptySource, Record, Source

#: 50 frames a second at 8 kHz.
FIFTY = LogMel(rate=8000, window=320, hop=160, bands=32, low=60.0, floor=1e-4)
_SHIFT, _SCALE = 4.0, 4.0  # log energies become (x + 4) / 4


@dataclass(frozen=True)
class Utterances(Source):
    """Clips of one speaker in a row, with short silences between: records {"frames": (t, M), "words": (w,), "speaker"}.

    Which speaker, how many words, which clips and how long the silences are is drawn for every record.

    Args:
      clips: recordings of single words.
      speakers: those whose clips are used; None: all.
      part: (k, n): of their clips the k-th of every n; of all by (0, 1).
      words: least and most words.
      longest: samples of a clip; what is behind is cut off.
      gap: most samples of a silence.
      speed: each utterance is played by a factor from 1 - speed to 1 + speed faster, pitch and all.
      size: number of records.

    Raises:
      EmptySource: a speaker without clips, when a record is read.

    >>> from stagejax.data.sound.speech import Tones
    >>> record = Utterances(Tones(limit=40), words=(2, 2), longest=2000)[0]
    >>> record["frames"].shape[1], len(record["words"])
    (32, 2)
    """

    clips: Spoken
    speakers: tuple[int, ...] | None = None
    part: tuple[int, int] = (0, 1)
    words: tuple[int, int] = (2, 5)
    longest: int = 4800
    gap: int = 640
    speed: float = 0.0
    size: int = 1000
    mel: LogMel = FIFTY
    seed: int = 0

    @property
    def split(self) -> str:  # type: ignore[override]
        return self.clips.split

    def of_split(self, split: str) -> Source:
        return replace(self, clips=self.clips.of_split(split))

    @property
    def most_frames(self) -> int:
        """Of the longest utterance that there can be."""
        return self.mel.frames(self.words[1] * self.longest + (self.words[1] - 1) * self.gap)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < self.size:
            raise IndexError(f"record {index} of {self.size}")
        frames, words, speaker = _utterance(self, index)
        return {"frames": frames, "words": words, "speaker": speaker}

    def said(self) -> list[Int64[np.ndarray, " w"]]:
        """The words of every record, without its sound."""
        return [_drawn(self, i)[1] for i in range(self.size)]

    def digest(self) -> str:
        return joint_digest(self.clips.digest())


@functools.lru_cache(maxsize=32)
def _by_speaker(source: Utterances) -> list[np.ndarray]:
    """The clips of each speaker that the source may use."""
    _, _, owners = recorded(source.clips)
    (first, step), found = source.part, []
    for speaker in speakers_of(source.clips, source.speakers):
        found.append(np.flatnonzero(owners == speaker)[first::step])
        if not len(found[-1]):
            raise EmptySource(f"{source.clips} has no clip of speaker {speaker} in part {source.part}")
    return found


def _drawn(source: Utterances, index: int) -> tuple[np.ndarray, np.ndarray, int, np.ndarray]:
    """Clips, words, speaker and further draws of a record."""
    clips, (least, most) = _by_speaker(source), source.words
    draws = uniforms(random_words(source.seed, np.array([index]), 3 + 2 * most)[0])
    own = clips[int(draws[0] * len(clips))]
    count = least + int(draws[1] * (most - least + 1))
    chosen = own[(draws[3 : 3 + count] * len(own)).astype(np.int64)]
    _, words, owners = recorded(source.clips)
    return chosen, words[chosen], int(owners[chosen[0]]), np.concatenate([draws[2:3], draws[3 + most :]])


@functools.lru_cache(maxsize=1 << 13)
def _utterance(source: Utterances, index: int) -> tuple[np.ndarray, np.ndarray, int]:
    chosen, words, speaker, draws = _drawn(source, index)
    signals, parts = recorded(source.clips)[0], []
    faster = 1 + source.speed * (2 * draws[0] - 1)
    for k, clip in enumerate(chosen):
        parts += [np.zeros(int(draws[1 + k] * source.gap))] if k else []
        parts.append(played(signals[clip], faster)[: source.longest])
    frames = (source.mel(np.concatenate(parts).astype(np.float32)) + _SHIFT) / _SCALE
    return frames.astype(np.float32), words, speaker


def played(signal: Float32[np.ndarray, " S"], faster: float) -> np.ndarray:
    """A signal at another speed: so many times shorter, and higher, by linear interpolation.

    Reference: speed perturbation, Ko et al., Audio augmentation for speech recognition, Interspeech 2015.

    >>> played(np.arange(5, dtype=np.float32), 2.0).tolist()
    [0.0, 2.0, 4.0]
    """
    return np.interp(np.arange(0, len(signal), faster), np.arange(len(signal)), signal)


@dataclass(frozen=True, kw_only=True)
class Speech(OfRecords):
    """Batches of utterances: {"frames": float32 (B, T, M), "real": bool (B, T), "words": int32 (B, W)}.

    `real` are frames of the utterance, the others are silence; `words` are 1 + the number of each word, then 0.

    >>> from stagejax.data.sound.speech import Tones
    >>> data = Speech(source=Utterances(Tones(limit=40), words=(1, 3)), batch=2)
    >>> {name: leaf.shape for name, leaf in data.take(np.arange(2)).items()}
    {'frames': (2, 98, 32), 'real': (2, 98), 'words': (2, 3)}
    """

    source: Utterances
    batch: int
    seed: int = 0
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        frames, bands, words = self.source.most_frames, self.source.mel.bands, self.source.words[1]
        return {
            "frames": jax.ShapeDtypeStruct((frames, bands), np.float32),
            "real": jax.ShapeDtypeStruct((frames,), np.bool_),
            "words": jax.ShapeDtypeStruct((words,), np.int32),
        }

    def size(self) -> int:
        return len(self.source)

    def take_records(self, rows: Int64[np.ndarray, " n"]) -> Batch:
        """The utterances with these numbers."""
        spec, found = self.sample_spec(), [self.source[int(i)] for i in rows]
        silence = (np.log(self.source.mel.floor) + _SHIFT) / _SCALE
        frames = np.full((len(rows), *spec["frames"].shape), silence, np.float32)
        real = np.zeros((len(rows), *spec["real"].shape), bool)
        words = np.zeros((len(rows), *spec["words"].shape), np.int32)
        for row, record in enumerate(found):
            length, count = len(record["frames"]), len(record["words"])
            frames[row, :length], real[row, :length] = record["frames"], True
            words[row, :count] = record["words"] + 1
        return {"frames": frames, "real": real, "words": words}

    def digest(self) -> str:
        return self.source.digest()
