"""Samples that have their texts also masked, beside the texts as they are; and images also as another view."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float32, Int64

from stagejax.data.order import random_words, uniforms
from stagejax.data.pipeline import Around, Batch, Data
from stagejax.data.text import corrupt

_STREAM = 1 << 41  # apart from what data draws by the same seed


@dataclass(frozen=True, kw_only=True)
class MaskedToo(Around):
    """The samples of `data` with "masked" (length,), their "tokens" under BERT's masks, and "weights", 1 where chosen.

    Args:
      vocab: random tokens are drawn below it.
      rate: share of the tokens to choose.
      seed: of the masks.

    Reference: Devlin et al. 2018, https://arxiv.org/abs/1810.04805.
    """

    data: Data
    vocab: int
    rate: float = 0.15
    seed: int = 0

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        own = self.data.sample_spec()
        return own | {"masked": own["tokens"], "weights": jax.ShapeDtypeStruct(own["tokens"].shape, np.float32)}

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        batch = self.data.take(numbers)
        masked, weights = corrupt(batch["tokens"], numbers, seed=self.seed, rate=self.rate, vocab=self.vocab)
        return batch | {"masked": masked, "weights": weights}

    def digest(self) -> str:
        return self.data.digest()


@dataclass(frozen=True, kw_only=True)
class Flipped(Around):
    """The samples of `data`, the "image" of every second one (at random) mirrored.

    >>> from stagejax.data import Images
    >>> plain, data = Images(batch=4), Flipped(data=Images(batch=4))
    >>> one, two = (x.take(np.arange(9))["image"] for x in (plain, data))
    >>> all((a == b).all() or (a == b[:, ::-1]).all() for a, b in zip(one, two, strict=True))
    True
    """

    data: Data
    seed: int = 0

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return self.data.sample_spec()

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        batch, turned = self.data.take(numbers), uniforms(random_words(self.seed + _STREAM, numbers, 1))[:, 0] < 0.5
        image = batch["image"]
        return batch | {"image": np.where(turned[:, None, None, None], image[:, :, ::-1], image)}

    def digest(self) -> str:
        return self.data.digest()


@dataclass(frozen=True, kw_only=True)
class OtherView(Around):
    """The samples of `data`, their "image" distorted, and distorted again as "other": moved, mirrored, lit, and hidden.

    A view is rolled by up to a tenth of its size each way, mirrored at random, multiplied by 0.6 to 1.4, each colour by
    0.8 to 1.2 more, and black in a rectangle of half its height and width.
    """

    data: Data
    seed: int = 0

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        own = self.data.sample_spec()
        return own | {"other": own["image"]}

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        batch = self.data.take(numbers)
        draws = uniforms(random_words(self.seed + _STREAM, numbers, 20)).reshape(len(numbers), 2, 10)
        views = [np.stack([distorted(*own) for own in zip(batch["image"], draws[:, k], strict=True)]) for k in (0, 1)]
        return batch | {"image": views[0], "other": views[1]}

    def digest(self) -> str:
        return self.data.digest()


def distorted(image: Float32[np.ndarray, "Y X P"], draws: np.ndarray) -> Float32[np.ndarray, "Y X P"]:
    """One view of an image, by ten numbers in [0, 1)."""
    (Y, X), light = image.shape[:2], 0.6 + 0.8 * draws[0]
    view = np.roll(image, (round((draws[1] - 0.5) * Y / 5), round((draws[2] - 0.5) * X / 5)), (0, 1))
    view = (view[:, ::-1] if draws[3] < 0.5 else view) * np.float32(light) * (0.8 + 0.4 * draws[4:7]).astype(np.float32)
    top, left = int(draws[7] * Y), int(draws[8] * X)
    view[top : top + Y // 2, left : left + X // 2] = 0
    return np.clip(view, 0, 1)
