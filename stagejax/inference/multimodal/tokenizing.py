"""Trained tokenizers at work: pictures and clips to codes and back, and what codes tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from stagejax.data.joined import for_every_record
from stagejax.data.multimodal.stories import FRAMES, Form, Stories
from stagejax.data.sound.speech import Clips, Spoken, padded
from stagejax.inference import Frozen, apply, flops_of_one


def encoded(
    stories: Mapping[Form, Stories], spoken: Spoken, eye: Frozen, ear: Frozen, prefix: str = ""
) -> dict[str, np.ndarray]:
    """The codes of all pictures and clips of a split: what a `Writer` reads.

    Args:
      eye, ear: trained tokenizers of pictures and of speech.
      prefix: of the names of what is returned.

    Returns:
      Of each form (records, frames, codes); "clips" (records, frames, books) and their "lengths", "words", "speakers".
    """
    found: dict[str, np.ndarray] = {}
    for form, source in stories.items():
        images = np.concatenate([source[i]["images"] for i in range(len(source))]).astype(np.float32) / 255
        found[form] = apply(_picture_codes, eye, images).reshape(len(source), FRAMES[form], -1)
    records = [spoken[i] for i in range(len(spoken))]
    for name, own in (("lengths", "length"), ("words", "label"), ("speakers", "speaker")):
        found[name] = np.array([record[own] for record in records])
    frames = np.stack([record["image"][..., 0] for record in records])
    found["clips"] = apply(_clip_codes, ear, _with_real(frames, found["lengths"]))
    return {prefix + name: array for name, array in found.items()}


def encoding_flops(eye: Any, ear: Any, pictures: int, clips: int, frames: int) -> float:
    """FLOPs of encoding so many pictures, and clips of so many frames, by tokenizers of these configurations."""
    image = jax.ShapeDtypeStruct((eye.pixels, eye.pixels, eye.channels), np.float32)
    clip = jax.ShapeDtypeStruct((frames, ear.bands + 1), np.float32)
    picture = flops_of_one(_picture_codes, eye, image)
    return float(pictures * picture + clips * flops_of_one(_clip_codes, ear, clip))


def pictures_of(eye: Frozen, codes: Sequence[np.ndarray]) -> np.ndarray:
    """The pictures (n, rows, columns, channels) of codes."""
    return apply(_picture, eye, np.stack(codes).astype(np.int32))


def clips_of(ear: Frozen, codes: Sequence[np.ndarray | None], frames: int) -> tuple[np.ndarray, np.ndarray]:
    """The frames (n, frames, bands) of clips' codes (T, books), and how many are real; None is silence."""
    lengths = np.array([0 if own is None else min(len(own), frames) for own in codes])
    full = np.zeros((len(codes), frames, ear.config.books), np.int32)
    for row, own, length in zip(full, codes, lengths, strict=True):
        if own is not None:
            row[:length] = own[:length]
    made = apply(_clip, ear, _with_real(full, lengths))
    return np.stack([padded(own[:length], frames) for own, length in zip(made, lengths, strict=True)]), lengths


def features_of(encoder: Any, clips: Clips) -> dict[str, np.ndarray]:
    """`features` (records, frames, embed) of a trained encoder for every clip, to be joined to `clips`."""
    net = Frozen.of(encoder)

    def of_batch(batch: Any) -> dict[str, np.ndarray]:
        return {"features": apply(_features, net, _with_real(batch["frames"], batch["real"].sum(1)), clips.batch)}

    return for_every_record(of_batch, clips)


def bags_of(codes: np.ndarray, lengths: np.ndarray, size: int) -> np.ndarray:
    """How often each clip (records, frames) has each code.

    >>> bags_of(np.array([[0, 2, 2]]), np.array([2]), 3).tolist()
    [[1, 0, 1]]
    """
    return np.stack([np.bincount(own[:length], minlength=size) for own, length in zip(codes, lengths, strict=True)])


def told_by(train: np.ndarray, test: np.ndarray, labels: np.ndarray, wanted: np.ndarray) -> float:
    """The accuracy of naive Bayes on bags of codes: what codes tell without their order.

    >>> told_by(np.eye(2), np.eye(2), np.array([0, 1]), np.array([0, 1]))
    1.0
    """
    counts = np.stack([train[labels == label].sum(0) + 1.0 for label in range(labels.max() + 1)])
    return float(((test @ np.log(counts / counts.sum(1, keepdims=True)).T).argmax(1) == wanted).mean())


def _with_real(frames: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Frames, or their codes, with one entry more that says whether the frame is real."""
    real = np.arange(frames.shape[1]) < lengths[:, None]
    return np.concatenate([frames, real[..., None].astype(frames.dtype)], -1)


def _features(model: Any, rows: jax.Array) -> jax.Array:
    return model.features(rows[..., :-1], rows[..., -1] > 0)


def _picture_codes(model: Any, images: jax.Array) -> jax.Array:
    return model.encode(images)


def _picture(model: Any, codes: jax.Array) -> jax.Array:
    return model.decode(codes)


def _clip_codes(model: Any, rows: jax.Array) -> jax.Array:
    return model.encode(rows[..., :-1], rows[..., -1] > 0)


def _clip(model: Any, rows: jax.Array) -> jax.Array:
    return model.decode(rows[..., :-1], rows[..., -1] > 0)
