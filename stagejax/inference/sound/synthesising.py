"""Trained parts of a synthesiser of speech at work: units and vectors of frames, frames of texts, waves of frames.

Letters: N utterances, n characters, T frames, S samples, F features, D size of a speaker's vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Int32

from stagejax.data.sound.word_pairs import levelled
from stagejax.decode.cepstral_distance import mel_cepstra
from stagejax.inference import Frozen, apply, flops_of_one
from stagejax.inference.sound.listening import centred_frames
from stagejax.objectives.sound.text_to_frames import frames_of_text


def cepstral_units(seen: dict[str, np.ndarray], count: int, seed: int) -> Int32[np.ndarray, "N T"]:
    """The k-means cluster of every frame's cepstra and their slopes, less the utterance's mean: HuBERT's first units.

    Every second frame is clustered.

    >>> # units = cepstral_units(Ear(mel, 64).seen(signals, lengths), 64, seed=0)
    """
    from sklearn.cluster import KMeans

    cepstra = mel_cepstra(centred_frames(seen)["frames"])
    both = np.concatenate([cepstra, np.gradient(cepstra, axis=1)], -1)
    both = both / both[seen["real"]].std(0)
    clusters = KMeans(count, n_init=1, max_iter=30, random_state=seed).fit(both[seen["real"]][::2])
    return clusters.predict(both.reshape(-1, both.shape[-1])).reshape(both.shape[:2]).astype(np.int32)


def embedding_flops(encoder: Any, frames: int) -> float:
    """FLOPs of `embedded` for one utterance of so many frames, by an encoder of this configuration."""
    row = {
        "frames": jax.ShapeDtypeStruct((frames, encoder.bands), np.float32),
        "real": jax.ShapeDtypeStruct((frames,), np.bool_),
    }
    return float(flops_of_one(_embedded, encoder, row))


def embedded(net: Frozen, seen: dict[str, np.ndarray], batch: int) -> Float[np.ndarray, "N T F"]:
    """What a frozen speech encoder makes of every frame in its context."""
    return apply(_embedded, net, centred_frames(seen), batch)


def vocoded(
    net: Frozen, frames: np.ndarray, vectors: np.ndarray, counts: Int[np.ndarray, " N"], batch: int
) -> tuple[Float[np.ndarray, "N S"], Int[np.ndarray, " N"]]:
    """The waves of frames and speakers, all equally loud, silence behind the last frame; and their samples."""
    edge = np.minimum(np.arange(frames.shape[1]), np.maximum(counts, 1)[:, None] - 1)
    rows = {"frames": np.take_along_axis(frames, edge[..., None], 1).astype(np.float32)}
    made = apply(_waves, net, rows | {"speaker": vectors.astype(np.float32)}, batch)
    lengths = np.maximum(counts, 1) * net.config.hop
    waves = [levelled(np.where(np.arange(len(own)) < end, own, 0)) for own, end in zip(made, lengths, strict=True)]
    return np.stack(waves), lengths


def said_frames(
    net: Frozen, tokens: Int[np.ndarray, "N n"], vectors: np.ndarray, frames: int, batch: int
) -> tuple[Float[np.ndarray, "N T F"], Int[np.ndarray, " N"]]:
    """The frames of texts by a text-to-frames network, and how many of them are real."""
    rows = {"tokens": tokens.astype(np.int32), "speaker": vectors.astype(np.float32)}
    made = apply(_SaidFrames(frames), net, rows, batch)
    return made[..., :-1], made[..., -1].sum(1).astype(np.int64)


@dataclass(frozen=True)
class _SaidFrames:
    frames: int

    def __call__(self, model: Any, rows: Any) -> jax.Array:
        made, count = frames_of_text(model, rows["tokens"], rows["speaker"], self.frames)
        real = jnp.arange(self.frames) < count[:, None]
        return jnp.concatenate([made, real[..., None].astype(made.dtype)], -1)


def _embedded(model: Any, rows: Any) -> jax.Array:
    return model.features(rows["frames"], rows["real"])


def _waves(model: Any, rows: Any) -> jax.Array:
    return model(rows["frames"], rows["speaker"])
