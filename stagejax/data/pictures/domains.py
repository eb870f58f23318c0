"""Domains of the same classes: digits blended with photographs, grey images in colour, two moons and turned ones."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np

from stagejax.data.order import random_words
from stagejax.data.pictures.tasks import ImageTask, resized
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record, Source


@dataclass(frozen=True)
class Blended(Source):
    """MNIST-M: |patch - digit| in each colour, the digit binarised to 0 or 1, the patch a random crop of a photograph.

    The blend has the size of the digits, and is then reduced to `size` by area. Photograph and crop of record i are a
    function of `seed` and i.

    Reference: Ganin et al. 2016, https://arxiv.org/abs/1505.07818, section 5.2.

    Args:
      digits: grey images from 0 to 1.
      photos: colour images of at least that size.

    >>> from stagejax.data import Digits
    >>> from stagejax.data.multimodal.composites import DIGITS, Composites, Objects, Pairs
    >>> from stagejax.data.pictures.tasks import Part
    >>> photos = ImageTask((Part(Composites((Pairs(50, (Objects(Digits(), DIGITS),)),), size=18, side=8)),), 18)
    >>> Blended(ImageTask((Part(Digits()),), 8), photos, size=8)[0]["image"].shape
    (8, 8, 3)
    """

    digits: ImageTask
    photos: ImageTask
    size: int
    seed: int = 0

    @property
    def split(self) -> str:  # type: ignore[override]
        return self.digits.split

    def of_split(self, split: str) -> Source:
        if split == self.split:
            return self
        return replace(self, digits=self.digits.of_split(split), photos=self.photos.of_split(split))

    def __len__(self) -> int:
        return len(self.digits)

    def __getitem__(self, index: int) -> Record:
        image, label = _blended(self, index)
        return {"image": image, "label": label}

    def digest(self) -> str:
        return joint_digest(self.digits.digest(), self.photos.digest(), f"{self.size} {self.seed}")


@dataclass(frozen=True)
class Unlabelled(Derived):
    """Images of a source that has no labels, such as photographs for a background: each gets the label 0."""

    def __getitem__(self, index: int) -> Record:
        return {"image": self.source[index]["image"], "label": 0}

    def digest(self) -> str:
        return self.source.digest()


@dataclass(frozen=True)
class InColour(Derived):
    """Grey images with three equal channels."""

    source: ImageTask

    def __getitem__(self, index: int) -> Record:
        record = self.source[index]
        return {"image": np.repeat(record["image"], 3, axis=-1), "label": record["label"]}

    def digest(self) -> str:
        return self.source.digest()


@dataclass(frozen=True)
class Moons(Source):
    """Two inter-twinning half circles with noise, turned: points as images of one pixel with two channels.

    Records are {"image": float32 (1, 1, 2), "label": 0 or 1}. The first moon is (cos t, sin t), the second one
    (1 - cos t, 0.5 - sin t), t in [0, pi]; both are turned around their common centre (0.5, 0.25) by `degrees`.

    >>> import math
    >>> x = Moons(noise=0.0)[2]["image"].ravel()
    >>> round(math.hypot(*x), 4)
    1.0
    """

    count: int = 300
    degrees: float = 0.0
    noise: float = 0.05
    seed: int = 0
    split: str = "train"

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Record:
        return {"image": self._points()[index].reshape(1, 1, 2), "label": index % 2}

    def digest(self) -> str:
        return joint_digest(str(self))

    def _points(self) -> np.ndarray:
        return _moons(self)


@functools.lru_cache(maxsize=16)
def _moons(source: Moons) -> np.ndarray:
    words = random_words(2 * source.seed + (source.split != "train"), np.arange(source.count), 3)
    t, u, v = ((words >> np.uint64(11)).astype(np.float64).T + 0.5) / 2.0**53
    second, angle = np.arange(source.count) % 2 == 1, np.pi * t
    x = np.where(second, 1 - np.cos(angle), np.cos(angle))
    y = np.where(second, 0.5 - np.sin(angle), np.sin(angle))
    radius = source.noise * np.sqrt(-2 * np.log(u))
    x, y = x + radius * np.cos(2 * np.pi * v) - 0.5, y + radius * np.sin(2 * np.pi * v) - 0.25
    c, s = np.cos(np.deg2rad(source.degrees)), np.sin(np.deg2rad(source.degrees))
    return np.stack([c * x - s * y + 0.5, s * x + c * y + 0.25], axis=1).astype(np.float32)


@functools.lru_cache(maxsize=1 << 14)
def _blended(source: Blended, index: int) -> tuple[np.ndarray, int]:
    record, side = source.digits[index], source.digits.size
    free = source.photos.size - side
    if free < 0:
        raise ValueError(f"photographs of {source.photos.size} pixels are smaller than digits of {side}")
    words = random_words(source.seed, np.array([index]), 3)[0]
    photo = source.photos[int(words[0] % np.uint64(len(source.photos)))]["image"]
    y, x = (int(word % np.uint64(free + 1)) for word in words[1:])
    digit = (record["image"] > 0.5).astype(np.float32)
    return resized(np.abs(photo[y : y + side, x : x + side] - digit), source.size), record["label"]
