"""Random distortions of images by their sample's number, and data that is distorted by them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Int64, UInt8, UInt64

from stagejax.data.order import random_words, uniforms
from stagejax.data.pictures.photos import readers
from stagejax.data.pipeline import Around, Batch, Data

_GREY = 128  # beyond the border of what is moved
_HIGHEST = 10.0  # the magnitude at which every operation is as strong as it gets
_STREAM = 1 << 40  # apart from what data draws by the same seed


@runtime_checkable
class Augment(Protocol):
    """A distortion: of an image, by as many random words as it takes."""

    @property
    def words(self) -> int: ...

    def __call__(self, image: np.ndarray, words: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class RandAugment:
    """Some operations drawn from fifteen, one after the other, each applied with a probability.

    Magnitudes are drawn from a normal distribution around `magnitude`, and kept from 0 to 10; every operation is
    stronger at a larger one. At m = magnitude / 10: rotation by ±30 m degrees, shear by ±0.3 m, shift by ±0.45 m of the
    size, colour, contrast, brightness and sharpness times 1 ± 0.9 m (at least 0.1), 4 - ⌊4 m⌋ bits of a channel kept,
    values inverted from 256 (1 - m) on, 110 m added below 128; contrast stretched, histogram levelled and values
    inverted have no strength.

    Args:
      magnitude: 0 to 10.
      operations: how many are drawn for an image.
      probability: of each, to be applied.
      std: of the magnitudes.

    References: Cubuk et al. 2020, https://arxiv.org/abs/1909.13719; the increasing set with noise in the magnitude and
    a probability is what recipes for vision transformers use (Touvron et al. 2020, https://arxiv.org/abs/2012.12877),
    with 9, 2, 1/2 and 1/2.

    >>> image = np.full((8, 8, 3), 100, np.uint8)
    >>> RandAugment(9.0)(image, np.arange(12, dtype=np.uint64)).shape
    (8, 8, 3)
    """

    magnitude: float = 9.0
    operations: int = 2
    probability: float = 0.5
    std: float = 0.5

    _DRAWS: ClassVar[int] = 6

    def __post_init__(self) -> None:
        if not 0 <= self.magnitude <= _HIGHEST:
            raise ValueError(f"magnitude={self.magnitude}: give one from 0 to {_HIGHEST:g}")

    @property
    def words(self) -> int:
        """Random ones that an image takes."""
        return self._DRAWS * self.operations

    def __call__(
        self, image: UInt8[np.ndarray, "Y X P"], words: UInt64[np.ndarray, " n"]
    ) -> UInt8[np.ndarray, "Y X P"]:
        """The distorted image, of the same shape; P is 1 or 3."""
        from PIL import Image

        grey = image.shape[2] == 1
        shown: Any = Image.fromarray(image[..., 0] if grey else image)
        draws = uniforms(words.reshape(self.operations, self._DRAWS))
        for which, applied, radius, angle, sign, smooth in draws.tolist():
            if applied < self.probability:
                normal = float(np.sqrt(-2 * np.log(1 - radius)) * np.cos(2 * np.pi * angle))
                strength = min(max(self.magnitude + self.std * normal, 0.0), _HIGHEST) / _HIGHEST
                operation = OPERATIONS[int(which * len(OPERATIONS))]
                shown = operation(shown, strength, 1.0 if sign < 0.5 else -1.0, smooth < 0.5)
        made = np.asarray(shown)
        return made[..., None] if grey else made


@dataclass(frozen=True, kw_only=True)
class Augmented(Around):
    """Other data, whose images (8-bit values, as floats from 0 to 1) are distorted; held out, they are not.

    What is done to a sample is a function of `seed` and its number alone: data that differs in `augment` shows the same
    records in the same order, so that the strength may change between two stages of one run. Images are distorted by
    all processors.

    >>> from stagejax.data import Images
    >>> weak = Augmented(data=Images(batch=4), augment=RandAugment(1.0))
    >>> weak.take(np.arange(4))["image"].shape
    (4, 8, 8, 1)
    """

    data: Data
    augment: Augment
    seed: int = 0
    image: str = "image"

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return self.data.sample_spec()

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        batch = self.data.take(numbers)
        pixels = np.rint(batch[self.image] * 255).astype(np.uint8)
        words = random_words(self.seed + _STREAM, numbers, self.augment.words)
        images = np.stack(list(readers().map(self.augment, pixels, words)))
        return batch | {self.image: images.astype(np.float32) / np.float32(255)}

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        return self.data.records(numbers)

    def held_out(self, batches: int, split: str = "test") -> Data:
        return self.data.held_out(batches, split)

    def digest(self) -> str:
        return self.data.digest()


#: (image, strength from 0 to 1, sign, whether bicubic) -> image; images are of PIL.
Operation = Callable[[Any, float, float, bool], Any]


def _moved(image: Any, matrix: tuple[float, ...], bicubic: bool) -> Any:
    """Pixel (x, y) is what was at (a x + b y + c, d x + e y + f)."""
    from PIL import Image

    how = Image.Resampling.BICUBIC if bicubic else Image.Resampling.BILINEAR
    return image.transform(image.size, Image.Transform.AFFINE, matrix, resample=how, fillcolor=_fill(image))


def _fill(image: Any) -> Any:
    return _GREY if image.mode == "L" else (_GREY,) * 3


def _rotate(image: Any, strength: float, sign: float, bicubic: bool) -> Any:
    from PIL import Image

    how = Image.Resampling.BICUBIC if bicubic else Image.Resampling.BILINEAR
    return image.rotate(sign * 30 * strength, resample=how, fillcolor=_fill(image))


def _shear_x(image: Any, strength: float, sign: float, bicubic: bool) -> Any:
    return _moved(image, (1.0, sign * 0.3 * strength, 0.0, 0.0, 1.0, 0.0), bicubic)


def _shear_y(image: Any, strength: float, sign: float, bicubic: bool) -> Any:
    return _moved(image, (1.0, 0.0, 0.0, sign * 0.3 * strength, 1.0, 0.0), bicubic)


def _shift_x(image: Any, strength: float, sign: float, bicubic: bool) -> Any:
    return _moved(image, (1.0, 0.0, sign * 0.45 * strength * image.size[0], 0.0, 1.0, 0.0), bicubic)


def _shift_y(image: Any, strength: float, sign: float, bicubic: bool) -> Any:
    return _moved(image, (1.0, 0.0, 0.0, 0.0, 1.0, sign * 0.45 * strength * image.size[1]), bicubic)


def _enhanced(name: str) -> Operation:
    def operation(image: Any, strength: float, sign: float, bicubic: bool) -> Any:
        from PIL import ImageEnhance

        return getattr(ImageEnhance, name)(image).enhance(max(0.1, 1 + sign * 0.9 * strength))

    return operation


def _posterize(image: Any, strength: float, sign: float, bicubic: bool) -> Any:
    """At least one bit is kept, as PIL demands."""
    from PIL import ImageOps

    return ImageOps.posterize(image, max(1, 4 - int(4 * strength)))


def _solarize(image: Any, strength: float, sign: float, bicubic: bool) -> Any:
    from PIL import ImageOps

    return ImageOps.solarize(image, 256 - int(256 * strength))


def _solarize_add(image: Any, strength: float, sign: float, bicubic: bool) -> Any:
    added = [min(255, v + int(110 * strength)) if v < 128 else v for v in range(256)]
    return image.point(added * len(image.getbands()))


def _plain(name: str) -> Operation:
    def operation(image: Any, strength: float, sign: float, bicubic: bool) -> Any:
        from PIL import ImageOps

        return getattr(ImageOps, name)(image)

    return operation


OPERATIONS: tuple[Operation, ...] = (
    _plain("autocontrast"), _plain("equalize"), _plain("invert"),
    _rotate, _shear_x, _shear_y, _shift_x, _shift_y,
    _posterize, _solarize, _solarize_add,
    _enhanced("Color"), _enhanced("Contrast"), _enhanced("Brightness"), _enhanced("Sharpness"),
)  # fmt: skip
