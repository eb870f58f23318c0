"""What is seen of a photograph of any size: a random part of it in training, its middle where it is scored."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import UInt8, UInt64

from stagejax.data.order import uniforms

_TRIES = 10

#: Left, top, right, bottom in pixels of the photograph, and whether it is mirrored.
View = tuple[float, float, float, float, bool]


@dataclass(frozen=True)
class Middle:
    """The square in the middle, `share` of the shorter side wide.

    >>> Middle().view(np.zeros(0, np.uint64), height=64, width=128)
    (36.0, 4.0, 92.0, 60.0, False)
    """

    share: float = 0.875
    words: ClassVar[int] = 0  # random ones that `view` takes

    def view(self, words: UInt64[np.ndarray, " words"], height: int, width: int) -> View:
        side = self.share * min(height, width)
        left, top = (width - side) / 2, (height - side) / 2
        return left, top, left + side, top + side, False

    def scored(self) -> Middle:
        """What is seen where there is no chance."""
        return self


@dataclass(frozen=True)
class Crop:
    """A random rectangle, and every other one mirrored: area uniform, logarithm of width to height uniform.

    Ten rectangles are drawn; the first that fits is taken, at a place drawn uniformly, and the whole middle square if
    none does.

    Args:
      least: the smallest area, as a share of the photograph's.
      ratio: the largest width to height; its inverse is the smallest.
      flip: whether half of them are mirrored.
      middle: share of the shorter side that is seen where it is scored.

    Reference: Szegedy et al., Going deeper with convolutions, CVPR 2015, section 6.

    >>> words = np.full(41, 2**63, np.uint64)  # every draw in the middle of its range
    >>> [round(x) for x in Crop(flip=False).view(words, height=100, width=100)[:4]]
    [13, 13, 87, 87]
    """

    least: float = 0.08
    ratio: float = 4 / 3
    flip: bool = True
    middle: float = 0.875
    words: ClassVar[int] = 4 * _TRIES + 1

    def __post_init__(self) -> None:
        if not 0 < self.least <= 1:
            raise ValueError(f"least={self.least} is no share of a photograph: set 0 < `least` <= 1")
        if self.ratio < 1:
            raise ValueError(f"ratio={self.ratio} is the largest width to height: set `ratio` >= 1")

    def view(self, words: UInt64[np.ndarray, " words"], height: int, width: int) -> View:
        u = uniforms(words)
        mirrored = bool(self.flip and u[-1] < 0.5)
        for area, shape, x, y in u[:-1].reshape(_TRIES, 4).tolist():
            area = (self.least + (1 - self.least) * area) * height * width
            wide = math.exp((2 * shape - 1) * math.log(self.ratio))
            w, h = math.sqrt(area * wide), math.sqrt(area / wide)
            if w <= width and h <= height:
                left, top = x * (width - w), y * (height - h)
                return left, top, left + w, top + h, mirrored
        return (*Middle(1.0).view(words, height, width)[:4], mirrored)

    def scored(self) -> Middle:
        """What is seen where there is no chance."""
        return Middle(self.middle)


def seen(photograph: UInt8[np.ndarray, " ..."], view: View, shape: tuple[int, int, int]) -> UInt8[np.ndarray, "y x c"]:
    """What a view shows, to whole pixels, as an image of a shape (height, width, channels), resized bicubically.

    A grey photograph becomes one of equal channels where more than one is asked for.

    Raises:
      ValueError: it has more channels than are asked for.
    """
    from PIL import Image

    height, width, channels = shape
    pixels = photograph[..., 0] if photograph.ndim == 3 and photograph.shape[2] == 1 else photograph
    if pixels.ndim == 3 and pixels.shape[2] != channels:
        raise ValueError(
            f"a photograph has the shape {photograph.shape}, but images of {shape} are asked for: set `shape` to "
            f"({height}, {width}, {pixels.shape[2]})"
        )
    left, right = (min(round(edge), pixels.shape[1] - 1) for edge in (view[0], view[2] - 1))
    top, bottom = (min(round(edge), pixels.shape[0] - 1) for edge in (view[1], view[3] - 1))
    part = pixels[top : max(top, bottom) + 1, left : max(left, right) + 1]
    image: Any = Image.fromarray(np.ascontiguousarray(part)).resize((width, height), Image.Resampling.BICUBIC)
    if view[4]:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    found = np.asarray(image)
    return np.repeat(found[..., None], channels, axis=2) if found.ndim == 2 else found
