"""Letters in many hands and on many papers: fixed rules from images of ink to images as a camera has them."""

from __future__ import annotations

import functools
from dataclasses import astuple, dataclass

import numpy as np
from jaxtyping import Float, Int64

from stagejax.data.order import random_words
from stagejax.data.pictures.tasks import resized
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record


@dataclass(frozen=True)
class Style:
    """How letters are written and photographed. Lengths are in pixels, brightness is from 0 (black) to 1.

    Args:
      pen: what the stroke gains: 1 is one pixel on every side, -1 takes one away; what lies between is blended.
      angle: degrees by which the line is turned.
      slant: columns that a row moves to the right of the one below.
      paper, ink: brightness of both.
      blur: standard deviation of the camera's blur.
      texture: deviation of slow changes in the paper's brightness.
      noise: deviation of a pixel's.

    >>> Style(pen=1.0, ink=1.0, paper=0.0).between(Style(pen=-1.0), 0.5)
    Style(pen=0.0, angle=0.0, slant=0.0, paper=0.5, ink=0.5, blur=0.0, texture=0.0, noise=0.0)
    """

    pen: float = 0.0
    angle: float = 0.0
    slant: float = 0.0
    paper: float = 1.0
    ink: float = 0.0
    blur: float = 0.0
    texture: float = 0.0
    noise: float = 0.0

    def between(self, other: Style, share: float) -> Style:
        """The style on the way from this one (share 0) to another (share 1): every field interpolated."""
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Style(*((1 - share) * own + share * others for own, others in pairs))


def written(ink_YX: Float[np.ndarray, "Y X"], style: Style, rng: np.random.Generator) -> Float[np.ndarray, "Y X"]:
    """An image of ink, from 0 (none) to 1, in a style.

    >>> ink = np.zeros((5, 5), np.float32)
    >>> ink[:, 2] = 1
    >>> written(ink, Style(pen=1.0), np.random.default_rng(0))[2].tolist()
    [1.0, 0.0, 0.0, 0.0, 1.0]
    """
    from scipy import ndimage

    if style.pen:
        changed = (ndimage.grey_dilation if style.pen > 0 else ndimage.grey_erosion)(ink_YX, (3, 3))
        ink_YX = ink_YX + abs(style.pen) * (changed - ink_YX)
    if style.angle or style.slant:
        turn = np.deg2rad(style.angle)
        back = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ [[1, 0], [style.slant, 1]]
        centre = (np.array(ink_YX.shape) - 1) / 2
        ink_YX = ndimage.affine_transform(ink_YX, back, centre - back @ centre, order=1)
    paper: float | np.ndarray = style.paper
    if style.texture:
        slow = ndimage.gaussian_filter(rng.normal(size=ink_YX.shape), 3, mode="wrap")
        paper = paper + style.texture * slow / slow.std()
    image = paper + ink_YX * (style.ink - paper)
    if style.blur:
        image = ndimage.gaussian_filter(image, style.blur, mode="nearest")
    if style.noise:
        image = image + style.noise * rng.normal(size=image.shape)
    return np.clip(image, 0, 1).astype(np.float32)


@dataclass(frozen=True)
class Rendered(Derived):
    """The letters of a source in one style: records {"image": float32 (size, size, 1), "label", "domain"}.

    Images of a dark paper are ink where they are bright, those of a bright paper where they are dark.

    Args:
      style: of all of them; what is random in it is drawn from the record's number and `domain`.
      size: height and width.
      first: the label of letter 0.
      domain: a number for the style.
      letter: the field of a record with its letter.

    >>> from stagejax.data import Digits
    >>> record = Rendered(Digits(), Style(), size=8, first=10, letter="label")[3]
    >>> record["label"] - Digits()[3]["label"], bool(np.allclose(record["image"], 1 - Digits()[3]["image"]))
    (10, True)
    """

    style: Style = Style()
    size: int = 28
    first: int = 0
    domain: int = 0
    letter: str = "letter"

    def __getitem__(self, index: int) -> Record:
        return _rendered(self, range(len(self))[index])

    def column(self, field: str) -> Int64[np.ndarray, " N"]:
        if field != "label":
            return super().column(field)
        return self.first + self.source.column(self.letter)

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"{self.style} {self.size} {self.first} {self.domain}")


@functools.lru_cache(maxsize=1 << 16)
def _rendered(letters: Rendered, index: int) -> Record:
    record = letters.source[index]
    image = np.asarray(record["image"])
    ink = (image.astype(np.float32) / np.float32(255 if image.dtype == np.uint8 else 1)).mean(-1)
    ink = 1 - ink if np.median(ink) > 0.5 else ink
    rng = np.random.default_rng(int(random_words(letters.domain, np.array([index]), 1)[0, 0]))
    drawn = written(resized(ink[..., None], letters.size)[..., 0], letters.style, rng)
    return {"image": drawn[..., None], "label": letters.first + int(record[letters.letter]), "domain": letters.domain}
