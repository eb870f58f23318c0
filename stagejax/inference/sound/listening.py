"""Nets of real speech that listen: how utterances are looked at, what words and whose voice are heard in them.

Letters: N utterances, T frames, M mel bands, S samples, D size of a speaker's vector, W words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int

from stagejax.data.sound.audio import LogMel
from stagejax.decode.cepstral_distance import cepstral_distance, mel_cepstra
from stagejax.decode.edits import edit_distance
from stagejax.inference import Frozen, apply
from stagejax.models.speech.tokenizer_speech import centred
from stagejax.objectives.sound.recognition import collapsed

_SHIFT, _SCALE = 4.0, 4.0  # log energies become (x + 4) / 4


@dataclass(frozen=True)
class Ear:
    """How utterances are looked at: log-mel frames of at most `frames` hops, and which of them are real.

    >>> Ear(LogMel(window=320, hop=160), 4).seen(np.zeros((2, 640), np.float32), np.array([600, 160]))["real"].sum(1)
    array([4, 1])
    """

    mel: LogMel
    frames: int

    def seen(self, signals: Float[np.ndarray, "N S"], lengths: Int[np.ndarray, " N"]) -> dict[str, np.ndarray]:
        """`frames` float32 (N, T, M), log energies as (x + 4) / 4, and `real` (N, T)."""
        frames = ((self.mel(signals) + _SHIFT) / _SCALE)[:, : self.frames]
        real = np.arange(self.frames) < -(-lengths // self.mel.hop)[:, None]
        return {"frames": frames.astype(np.float32), "real": real}


def centred_frames(seen: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same with frames less the utterance's mean in each band, zero where nothing is real.

    >>> seen = {"frames": np.array([[[1.0], [3.0], [9.0]]]), "real": np.array([[True, True, False]])}
    >>> centred_frames(seen)["frames"].ravel().tolist()
    [-1.0, 1.0, 0.0]
    """
    return seen | {"frames": centred(seen["frames"], seen["real"])}


def speaker_vectors(net: Frozen, seen: dict[str, np.ndarray], batch: int) -> Float[np.ndarray, "N D"]:
    """Of the utterances, by a `SpeakerNet`."""
    return apply(_vectors, net, seen, batch)


@dataclass(frozen=True)
class Listener:
    """A recogniser and a speaker net of real speech, and the vectors of the speakers that they know.

    Args:
      words, voices: the nets.
      known: speakers' vectors by number, the mean over real utterances.
    """

    ear: Ear
    words: Frozen
    voices: Frozen
    known: dict[int, np.ndarray]
    batch: int

    @classmethod
    def of(cls, ear: Ear, words: Frozen, voices: Frozen, real: dict[str, np.ndarray], batch: int) -> Listener:
        """One that knows the speakers of real utterances ("signal", "length", "speaker")."""
        own = speaker_vectors(voices, ear.seen(real["signal"], real["length"]), batch)
        known = {int(who): own[real["speaker"] == who].mean(0) for who in np.unique(real["speaker"])}
        return cls(ear, words, voices, known, batch)

    def hears(
        self, signals: np.ndarray, lengths: np.ndarray, words: Int[np.ndarray, "N W"], speakers: Int[np.ndarray, " N"]
    ) -> dict[str, np.ndarray]:
        """Of every utterance `right`, 1 - word errors / words, at least 0, `similarity` to the speaker, a cosine, and
        `said` (N, T), the words that are heard, from 1 on, 0 behind the last."""
        seen = self.ear.seen(signals, lengths)
        said = apply(_recognised, self.words, seen, self.batch)
        own = speaker_vectors(self.voices, seen, self.batch)
        near = np.stack([self.known[int(who)] for who in speakers])
        right = [
            max(0.0, 1 - edit_distance([str(i - 1) for i in row if i], list(map(str, wanted))) / len(wanted))
            for row, wanted in zip(said, words, strict=True)
        ]
        cosine = (own * near).sum(1) / np.sqrt(np.square(own).sum(1) * np.square(near).sum(1))
        return {"right": np.array(right), "similarity": cosine, "said": said.astype(np.int32)}

    def apart(
        self, signals: np.ndarray, lengths: np.ndarray, real: np.ndarray, real_lengths: np.ndarray
    ) -> Float[np.ndarray, " N"]:
        """Mel-cepstral distance of utterances to real ones of the same words, in dB."""
        both = [self.ear.seen(signals, lengths), self.ear.seen(real, real_lengths)]
        cepstra = [mel_cepstra(own["frames"] * _SCALE - _SHIFT) for own in both]
        return cepstral_distance(*cepstra, *(own["real"].sum(1) for own in both), self.ear.mel.bands)


def _vectors(model: Any, rows: Any) -> jax.Array:
    return model.vectors(rows["frames"], rows["real"])


def _recognised(model: Any, rows: Any) -> jax.Array:
    return collapsed(*model(rows["frames"], rows["real"]))
