"""Batches of sign-language videos with their sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax
import numpy as np
from jaxtyping import Float32, Int64, UInt8

from stagejax.data.language.restoring import Restored
from stagejax.data.multimodal.captions import square
from stagejax.data.order import random_words, uniforms
from stagejax.data.pipeline import Batch, Data
from stagejax.data.records import OfRecords
from stagejax.data.sources import Source


@dataclass(frozen=True)
class Distortion:
    """All frames of a video turned, resized and shifted alike, each with probability 1/2.

    Args:
      angle: degrees at most, either way.
      scale: by at most this share larger or smaller.
      shift: pixels at most, either way.

    >>> frames = np.ones((2, 4, 4, 1), np.float32)
    >>> Distortion()(frames, np.zeros(7)).shape
    (2, 4, 4, 1)
    """

    angle: float = 30.0
    scale: float = 0.2
    shift: float = 1.0

    def __call__(self, frames: Float32[np.ndarray, "F Y X C"], u: np.ndarray) -> Float32[np.ndarray, "F Y X C"]:
        """The distorted frames by seven numbers from 0 to 1; bilinear, and 0 beyond the border."""
        turn, grow, move = (u[:3] < 0.5).tolist()
        angle = np.deg2rad(self.angle) * (2 * u[3] - 1) * turn
        scale = 1 + self.scale * (2 * u[4] - 1) * grow
        _, Y, X, _ = frames.shape
        centre = np.array([[(Y - 1) / 2], [(X - 1) / 2]])
        back = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / scale
        shift = self.shift * (2 * u[5:7, None] - 1) * move
        places = back @ (np.indices((Y, X)).reshape(2, -1) - centre - shift) + centre
        low = np.floor(places).astype(int)
        padded, part = np.pad(frames, ((0, 0), (1, 1), (1, 1), (0, 0))), (places - low).astype(np.float32)
        made = np.zeros((len(frames), Y * X, frames.shape[3]), np.float32)
        for corner in np.ndindex(2, 2):
            weight = np.prod([part[i] if corner[i] else 1 - part[i] for i in (0, 1)], axis=0)
            y, x = (np.clip(low[i] + corner[i] + 1, 0, (Y, X)[i] + 1) for i in (0, 1))
            made += weight[:, None] * padded[:, y, x]
        return made.reshape(frames.shape)


def features_of(frames: int, kernels: Sequence[int]) -> int:
    """How many features unpadded convolutions along time leave, each with a pooling of two behind it.

    >>> features_of(32, (3, 3)), features_of(320, (5, 5))
    (6, 77)
    """
    for size in kernels:
        frames = (frames - size + 1) // 2
    return frames


@dataclass(frozen=True, kw_only=True)
class SignClips(OfRecords):
    """Videos beside their texts: a sample of `texts`, and {"inputs": float32 (frames, pixels, pixels, C), "mask":
    bool (features,)}.

    Of a video with too many frames as many as fit are drawn, in their order. The first frame is repeated `pad` times
    before it, the last one up to a multiple of four and at least `pad` times behind; "mask" says which features of
    convolutions along time stem from these frames.

    Args:
      texts: the same records, as texts.
      frames: of a sample; what is behind a shorter video repeats its last frame.
      pad: frames.
      kernels: of the convolutions along time.
      pixels, channels: of a frame; another one is cut to a square and sampled.
      distortion: drawn by a sample's number; held out, there is none.

    Reference: Zhou et al. 2023 (GFSLT-VLP), https://arxiv.org/abs/2307.14768, and its code.
    """

    texts: Restored
    frames: int
    pad: int
    kernels: tuple[int, ...]
    pixels: int
    channels: int = 1
    distortion: Distortion | None = None

    @property
    def source(self) -> Source:  # type: ignore[override]
        return self.texts.source

    @property
    def batch(self) -> int:  # type: ignore[override]
        return self.texts.batch

    @property
    def seed(self) -> int:  # type: ignore[override]
        return self.texts.seed

    @property
    def count(self) -> int | None:  # type: ignore[override]
        return self.texts.count

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        video = jax.ShapeDtypeStruct((self.frames, self.pixels, self.pixels, self.channels), np.dtype("float32"))
        mask = jax.ShapeDtypeStruct((features_of(self.frames, self.kernels),), np.dtype("bool"))
        return self.texts.sample_spec() | {"inputs": video, "mask": mask}

    def size(self) -> int:
        return len(self.source)

    def held_out(self, batches: int, split: str = "test") -> Data:
        return replace(self, texts=self.texts.held_out(batches, split), distortion=None)

    def take_as(self, numbers: Int64[np.ndarray, " n"], records: Int64[np.ndarray, " n"]) -> Batch:
        made = self.texts.take_as(numbers, records)
        spec = {name: self.sample_spec()[name] for name in ("inputs", "mask")}
        made |= {name: np.zeros((len(numbers), *leaf.shape), leaf.dtype) for name, leaf in spec.items()}
        drawn = random_words(self.seed + _STREAM, numbers, 7 + 2 * self.frames)
        for row, (record, words) in enumerate(zip(records.tolist(), drawn, strict=True)):
            video = self._fitting(np.asarray(self.source[record]["video"]), words[7:])
            shown = np.stack([square(frame, self.pixels) for frame in video]).astype(np.float32) / np.float32(255)
            if self.distortion is not None:
                shown = self.distortion(shown, uniforms(words[:7]))
            length = -(-len(shown) // 4) * 4 + 2 * self.pad
            at = np.clip(np.arange(self.frames) - self.pad, 0, len(shown) - 1)
            made["inputs"][row] = shown[at]
            made["mask"][row, : features_of(min(length, self.frames), self.kernels)] = True
        return made

    def _fitting(self, video: UInt8[np.ndarray, "F Y X C"], words: np.ndarray) -> UInt8[np.ndarray, "f Y X C"]:
        most = (self.frames - 2 * self.pad) // 4 * 4
        if len(video) <= most:
            return video
        drawn = np.random.default_rng(int(words[0])).choice(len(video), most, replace=False)
        return video[np.sort(drawn)]

    def digest(self) -> str:
        return self.texts.digest()


_STREAM = 1 << 42  # apart from what other data draws by the same seed
