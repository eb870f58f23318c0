"""The usual distortion of small images: moved by some pixels, and mirrored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8, UInt64


@dataclass(frozen=True)
class ShiftAndFlip:
    """Moved by up to `pixels` along each axis, black beyond the border, and every other image mirrored.

    All (2 pixels + 1)² shifts are equally likely. To be used by `Augmented`.

    Reference: He et al. 2015, https://arxiv.org/abs/1512.03385, section 4.2 (4 pixels of 32).

    >>> image = np.arange(4, dtype=np.uint8).reshape(2, 2, 1)
    >>> ShiftAndFlip(0)(image, np.array([0, 0, 0], np.uint64))[..., 0]  # the last word is even: mirrored
    array([[1, 0],
           [3, 2]], dtype=uint8)
    """

    pixels: int = 2
    flip: bool = True

    def __post_init__(self) -> None:
        if self.pixels < 0:
            raise ValueError(f"pixels={self.pixels}: give 0 or more")

    @property
    def words(self) -> int:
        """Random ones that an image takes."""
        return 3

    def __call__(
        self, image: UInt8[np.ndarray, "Y X P"], words: UInt64[np.ndarray, " 3"]
    ) -> UInt8[np.ndarray, "Y X P"]:
        """The distorted image, of the same shape."""
        border, (height, width) = self.pixels, image.shape[:2]
        top, left = (int(word % np.uint64(2 * border + 1)) for word in words[:2])
        padded = np.pad(image, ((border, border), (border, border), (0, 0)))
        shown = padded[top : top + height, left : left + width]
        return shown[:, ::-1] if self.flip and words[2] % np.uint64(2) == 0 else shown
