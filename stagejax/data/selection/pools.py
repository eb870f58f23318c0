"""What a split of a source has to draw from: sentences of two kinds, images of some classes, recordings at one level.

A split is "train" or "valid", which share the source's train split nine to one, or "test", all of its test split.
Letters: r recordings, T frames of sound, M mel bands, k images, s side in pixels.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from stagejax.data.multimodal.composites import Objects
from stagejax.data.order import shuffled
from stagejax.data.pictures.tasks import resized
from stagejax.data.sound.audio import LogMel
from stagejax.data.sources import EmptySource, Source

_LEVEL = 0.1  # root mean square of a recording


def own_rows(split: str, size: int) -> Int64[np.ndarray, " _"]:
    """Which of `size` rows belong to a split.

    >>> {split: len(own_rows(split, 50)) for split in ("train", "valid", "test")}
    {'train': 45, 'valid': 5, 'test': 50}
    """
    tenth = shuffled(5, np.arange(size), size) % 10 == 9
    return np.flatnonzero({"train": ~tenth, "valid": tenth}.get(split, np.ones(size, bool)))


def _of(source: Any, split: str) -> Any:
    return source.of_split("test" if split == "test" else "train")


@functools.lru_cache(maxsize=16)
def sentences_of(
    source: Source, split: str, positive: tuple[int, ...], longest: int, text: str = "text", label: str = "label"
) -> tuple[list[str], list[str]]:
    """Sentences of `longest` words or fewer: those whose label is not positive, and those whose label is.

    Raises:
      EmptySource: there is none of a kind.
    """
    records = _of(source, split)
    short = [r for r in (records[int(i)] for i in own_rows(split, len(records))) if len(r[text].split()) <= longest]
    kinds = [[r[text] for r in short if (r[label] in positive) == kind] for kind in (False, True)]
    if not all(kinds):
        raise EmptySource(f"the {split} split of {source} has no sentence of a kind: change `positive` or `longest`")
    return kinds[0], kinds[1]


@functools.lru_cache(maxsize=8)
def mel_energies(sounds: Any, split: str, mel: LogMel) -> tuple[Float32[np.ndarray, "r T M"], Int64[np.ndarray, " r"]]:
    """Energies in mel bands of recordings at one root mean square (0.1), and their labels.

    Raises:
      EmptySource: there is no recording.
    """
    recordings = _of(sounds, split).recordings()
    own = [recordings[i] for i in own_rows(split, len(recordings))]
    if not own:
        raise EmptySource(f"the {split} split of {sounds} holds no recording")
    signals = np.zeros((len(own), sounds.samples), np.float32)
    for row, (signal, _, _) in zip(signals, own, strict=True):
        cut = signal[: len(row)]
        row[: len(cut)] = cut * (_LEVEL / max(float(np.sqrt(np.mean(np.square(cut)))), 1e-6))
    frames = np.concatenate([mel(part) for part in np.array_split(signals, -(-len(signals) // 256))])
    return np.maximum(np.exp(frames) - mel.floor, 0).astype(np.float32), np.array([label for _, label, _ in own])


@functools.lru_cache(maxsize=32)
def images_of(own: Objects, split: str, side: int) -> Float32[np.ndarray, "k s s"]:
    """Grey images from 0 to 1 of the classes that have a name, at `side` x `side` pixels.

    Raises:
      EmptySource: none of the images read is of such a class.
    """
    source = _of(own.source, split)
    records = [source[int(i)] for i in own_rows(split, min(own.limit, len(source)))]
    kept = [np.asarray(record[own.image]) for record in records if own.names[int(record[own.label])]]
    if not kept:
        raise EmptySource(f"the {split} images of {source} show none of {own.names}: raise `limit`")
    images = np.stack(kept)
    whole = images.reshape(images.shape[:3]).astype(np.float32) / (255 if images.dtype == np.uint8 else 1)
    return np.ascontiguousarray(resized(whole.transpose(1, 2, 0), side).transpose(2, 0, 1))
