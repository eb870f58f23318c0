"""Batches of images with a label for every pixel, generated scenes of shapes, and scenes at night or cut to squares."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.order import random_words
from stagejax.data.pipeline import Batch, joint_digest
from stagejax.data.records import OfRecords
from stagejax.data.sources import Derived, EmptySource, Record, Source

#: The label of pixels that belong to no class: no part of a loss or a score.
VOID = -1


@dataclass(frozen=True)
class Shapes(Source):
    """Generated scenes: ground, sky, and boxes and discs in front of them, each class in a colour that varies.

    Records are {"x": uint8 (*size, 3), "y": uint8 (*size)}. Class 0 is the upper part of a scene, 1 the lower one, the
    others are objects, odd ones boxes and even ones discs; label `classes` is a border of void around every object.

    >>> scene = Shapes(4)[0]
    >>> scene["x"].shape, int(scene["y"].max()) <= 5
    ((24, 32, 3), True)
    """

    count: int
    size: tuple[int, int] = (24, 32)
    classes: int = 5
    noise: float = 0.08
    seed: int = 0
    split: str = "train"

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Record:
        return _scene(self, range(self.count)[index])

    def digest(self) -> str:
        return joint_digest(str(self))


@functools.lru_cache(maxsize=4096)
def _scene(source: Shapes, index: int) -> Record:
    """Scene `index`, drawn from its number, the seed and the split."""
    word = random_words(2 * source.seed + (source.split != "train"), np.array([index]), 1)[0, 0]
    rng, (height, width) = np.random.default_rng(int(word)), source.size
    y, x = np.mgrid[:height, :width]
    labels = (y > height * rng.uniform(0.4, 0.7)).astype(np.uint8)
    for kind in rng.permutation(np.arange(2, source.classes)):
        cy, cx, radius = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(0.12, 0.25) * height
        dy, dx = np.abs(y - cy), np.abs(x - cx)
        distance = np.maximum(dy, dx) if kind % 2 else np.hypot(dy, dx)
        labels[distance < radius + 1] = source.classes
        labels[distance < radius] = kind
    colours = np.random.default_rng(source.seed).uniform(0.1, 0.9, (source.classes + 1, 3))
    colours = colours + rng.normal(0, source.noise, colours.shape)
    image = colours[labels] + rng.normal(0, source.noise, (height, width, 3))
    return {"x": (np.clip(image, 0, 1) * 255).astype(np.uint8), "y": labels}


@dataclass(frozen=True)
class Night(Derived):
    """The scenes of a source in the dark: image^gamma, scaled and shifted to blue, with noise of its own.

    >>> night = Night(Shapes(4))
    >>> bool(night[0]["x"].mean() < Shapes(4)[0]["x"].mean()), bool((night[0]["y"] == Shapes(4)[0]["y"]).all())
    (True, True)
    """

    gamma: float = 2.0
    tint: tuple[float, float, float] = (0.7, 0.75, 1.0)
    noise: float = 0.04
    image: str = "x"

    def __getitem__(self, index: int) -> Record:
        record = self.source[index]
        dark = (record[self.image] / 255.0) ** self.gamma * np.asarray(self.tint)
        noise = np.random.default_rng(index).normal(0, self.noise, dark.shape)
        return {**record, self.image: (np.clip(dark + noise, 0, 1) * 255).astype(np.uint8)}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"{self.gamma} {self.tint} {self.noise}")


@dataclass(frozen=True)
class MiddleSquare(Derived):
    """The square in the middle of every scene, as high as the scene, with its labels.

    Args:
      fields: of a record, those that are (rows, columns, ...).

    >>> square = MiddleSquare(Shapes(4, size=(24, 32)))[0]
    >>> square["x"].shape, square["y"].shape
    ((24, 24, 3), (24, 24))
    """

    fields: tuple[str, ...] = ("x", "y")

    def __getitem__(self, index: int) -> Record:
        record = self.source[index]
        height, width = np.shape(record[self.fields[0]])[:2]
        if width < height:
            raise ValueError(f"{self.source} has scenes of {height} x {width}: their middle square is not as high")
        left = (width - height) // 2
        return {**record, **{name: record[name][:, left : left + height] for name in self.fields}}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"middle of {self.fields}")


@dataclass(frozen=True, kw_only=True)
class Segmentation(OfRecords):
    """{"image": float32 (batch, *shape) from 0 to 1, "label": int32 (batch, rows, columns)}, `VOID` where of no class.

    Records whose images are a whole number of times larger than `shape` are reduced to it, images by area and labels by
    taking one pixel of each block.

    Args:
      source: where the images are from, uint8 with integer labels of the same rows and columns.
      classes: labels of the source that count, in order; label classes[i] becomes i, every other one `VOID`.
      batch: images in a global batch.
      shape: height, width, channels.
      seed: of the order.
      count: number of batches; None: endless.
      image, label: the fields of a record.

    >>> data = Segmentation(source=Shapes(8), classes=(0, 1, 2, 3, 4), batch=4, shape=(24, 32, 3))
    >>> with data.batches() as batches:
    ...     sorted(set(next(batches)["label"].ravel().tolist()))
    [-1, 0, 1, 2, 3, 4]
    """

    source: Source
    classes: tuple[int, ...]
    batch: int
    shape: tuple[int, int, int] = (48, 64, 3)
    seed: int = 0
    count: int | None = None
    image: str = field(default="x")
    label: str = field(default="y")

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        labels = jax.ShapeDtypeStruct(self.shape[:2], np.int32)
        return {"image": jax.ShapeDtypeStruct(self.shape, np.float32), "label": labels}

    def size(self) -> int:
        if len(self.source) == 0:
            raise EmptySource(f"{self.source} holds no record")
        found, labels = (np.shape(self.source[0][name]) for name in (self.image, self.label))
        times = {size // own for size, own in zip(found[:2], self.shape[:2], strict=True)}
        fits = len(times) == 1 and found == (*(size * min(times) for size in self.shape[:2]), self.shape[2])
        if not fits or labels[:2] != found[:2]:
            raise ValueError(
                f"{self.source} has images of shape {found} and labels of {labels}, but shape={self.shape}. Set "
                "`shape` to theirs, or to a whole fraction of it."
            )
        return len(self.source)

    def take_records(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        records = [self.source[int(row)] for row in numbers]
        images, labels = (np.stack([record[name] for record in records]) for name in (self.image, self.label))
        height, width, channels = self.shape
        times = images.shape[1] // height
        blocks = images.reshape(-1, height, times, width, times, channels).astype(np.float32)
        table = np.full(256, VOID, np.int32)
        table[list(self.classes)] = np.arange(len(self.classes))
        labels = labels.reshape(len(records), height * times, width * times)[:, ::times, ::times]
        return {"image": blocks.mean((2, 4)) / np.float32(255), "label": table[labels]}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), str(self.classes))
