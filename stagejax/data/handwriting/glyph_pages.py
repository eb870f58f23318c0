"""Pages of handwritten words in boxes, and the maps of plain glyphs that a generator of such pages is shown.

A box is (left, top, width, height) in shares of the page. A word is a string of digits; every character of a page is a
record of a source of real handwriting. Ink is 1, paper 0.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from stagejax.data.pictures.tasks import resized
from stagejax.data.sources import Source

Boxes = np.ndarray  # (K, 4)
_TALL, _WIDE = 20, 12  # pixels of a cell: the ink of one character, squeezed where it is wider
_NARROW = 9  # pixels to which narrower ones are stretched: between two strokes is less room than between two words
_THICK = 0.35  # ink above which a pixel belongs to a character's extent


@dataclass(frozen=True)
class Script:
    """Characters by real hands: records start..stop-1 of a source, in its own order, so that writers stay together.

    Args:
      image, label: fields of a record with the drawing and its digit.

    >>> from stagejax.data import Digits
    >>> ink, labels = Script(Digits(), 0, 90).cells()
    >>> ink.shape, sorted(set(labels.tolist())) == list(range(10))
    ((90, 20, 12), True)
    """

    source: Source
    start: int = 0
    stop: int | None = None
    image: str = "image"
    label: str = "label"

    def cells(self) -> tuple[Float32[np.ndarray, "N 20 12"], Int64[np.ndarray, " N"]]:
        """Every character as a cell that its ink fills from top to bottom, and its label."""
        return _cells(self)

    def plain(self) -> Float32[np.ndarray, "10 20 12"]:
        """One glyph a digit, the same on every map: the cell that is nearest to the mean of its digit's cells."""
        ink, labels = self.cells()
        found = []
        for own in (ink[labels == k] for k in range(10)):
            found.append(own[((own - own.mean(0)) ** 2).sum((1, 2)).argmin()])
        return np.stack(found)


@functools.lru_cache(maxsize=16)
def _cells(script: Script) -> tuple[np.ndarray, np.ndarray]:
    found = []
    for row in range(script.start, len(script.source) if script.stop is None else script.stop):
        record = script.source[row]
        found.append((cell(np.asarray(record[script.image])), int(record[script.label])))
    ink, labels = zip(*found, strict=True)
    return np.stack(ink), np.array(labels)


def cell(image: np.ndarray) -> Float32[np.ndarray, "20 12"]:
    """The ink of a drawing, bright on dark: trimmed, as high as the cell, and 9 to 12 columns wide.

    >>> bar = np.zeros((9, 9))
    >>> bar[2:7, 4] = 1
    >>> cell(bar).max(0).round(1).tolist()
    [0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]
    """
    ink = image.astype(np.float32).reshape(image.shape[:2])
    ink /= max(float(ink.max()), 1e-6)
    rows, columns = np.flatnonzero((ink > _THICK).any(1)), np.flatnonzero((ink > _THICK).any(0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    wide = min(_WIDE, max(_NARROW, round(_TALL * ink.shape[1] / ink.shape[0])))
    drawn, left = np.zeros((_TALL, _WIDE), np.float32), (_WIDE - wide) // 2
    drawn[:, left : left + wide] = resized(ink[..., None], (_TALL, wide))[..., 0]
    return drawn


@dataclass(frozen=True)
class Page:
    """The size of a page, and how much of a box is margin.

    Args:
      shape: rows and columns of pixels.
      margin: rows and columns of a box, on each side, that its word leaves free.
      character: width of a character by its height, in pixels.

    >>> round(Page().natural("123") * 48 / 28, 2)  # by pixels, of a box for three digits
    2.42
    """

    shape: tuple[int, int] = (28, 48)
    margin: tuple[float, float] = (0.5, 2.5)
    character: float = 0.7

    def natural(self, word: str, height: int | float = 9) -> float:
        """Width by height, in shares of the page, of a box that shows a word undistorted in so many rows of pixels."""
        width = len(word) * self.character * (height - 2 * self.margin[0]) + 2 * self.margin[1]
        return width / height * self.shape[0] / self.shape[1]

    def ink_of(self, box: np.ndarray) -> tuple[int, int, int, int]:
        """Rows and columns (top, bottom, left, right) of the ink of a box, at least two of each, inside the page."""
        (height, width), (y, x) = self.shape, self.margin
        top, bottom = round(box[1] * height + y), round((box[1] + box[3]) * height - y)
        left, right = round(box[0] * width + x), round((box[0] + box[2]) * width - x)
        top, left = min(max(top, 0), height - 2), min(max(left, 0), width - 2)
        return top, min(max(bottom, top + 2), height), left, min(max(right, left + 2), width)

    def write(self, words: Sequence[str], boxes: Boxes, cells: Sequence[np.ndarray]) -> Float32[np.ndarray, "Y X"]:
        """A page of the cells of all characters in turn; where words overlap, so does their ink."""
        page, upcoming = np.zeros(self.shape, np.float32), iter(cells)
        for word, box in zip(words, boxes, strict=True):
            top, bottom, left, right = self.ink_of(box)
            edges = np.linspace(left, right, len(word) + 1)
            for one, other in zip(edges[:-1].round().astype(int), edges[1:].round().astype(int), strict=True):
                drawn = next(upcoming)
                wide = max(1, int(other - one - (other - one > 3)))  # a free column behind each
                place = page[top:bottom, one : one + wide]
                np.maximum(place, resized(drawn[..., None], (bottom - top, wide))[:, : place.shape[1], 0], out=place)
        return page

    def glyphs(
        self,
        words: Sequence[str],
        boxes: Boxes,
        plain: np.ndarray,
        drop: float,
        blur: float,
        rng: np.random.Generator,
    ) -> Float32[np.ndarray, "Y X 2"]:
        """What a generator is shown of a layout: plain glyphs, and the boxes; as rendered ones, they are not all there.

        Args:
          plain: one cell a digit, see `Script.plain`.
          drop: probability that a character's glyph is missing.
          blur: standard deviation in pixels.
        """
        from scipy import ndimage

        kept = [plain[int(c)] * (rng.random() >= drop) for word in words for c in word]
        shown = np.stack([self.write(words, boxes, kept), self.covered(boxes)], -1)
        shown[..., 0] = ndimage.gaussian_filter(shown[..., 0], blur) if blur else shown[..., 0]
        return shown

    def covered(self, boxes: Boxes, wider: int = 0) -> Float32[np.ndarray, "Y X"]:
        """1 in the ink area of boxes, and in so many pixels around it.

        >>> Page((8, 8), (0.0, 0.0)).covered(np.array([[0.25, 0.5, 0.5, 0.25]])).sum()
        np.float32(8.0)
        """
        page = np.zeros(self.shape, np.float32)
        for box in boxes:
            top, bottom, left, right = self.ink_of(box)
            page[max(0, top - wider) : bottom + wider, max(0, left - wider) : right + wider] = 1
        return page


def written_by(script: Script, words: Sequence[str], rng: np.random.Generator) -> list[Float32[np.ndarray, "20 12"]]:
    """A cell for every character of words, each drawn from all of that digit."""
    ink, places = script.cells()[0], places_of(script)
    return [ink[rng.choice(places[int(c)])] for word in words for c in word]


@functools.lru_cache(maxsize=16)
def places_of(script: Script) -> tuple[Int64[np.ndarray, " n"], ...]:
    """Which cells are of each digit."""
    labels = script.cells()[1]
    return tuple(np.flatnonzero(labels == k) for k in range(10))


def random_words(lengths: Sequence[int], rng: np.random.Generator) -> list[str]:
    """Strings of digits of given lengths, all different.

    >>> random_words([1, 3], np.random.default_rng(0))
    ['8', '652']
    """
    found: list[str] = []
    for length in lengths:
        word = ""
        while not word or word in found:
            word = "".join(map(str, rng.integers(0, 10, length)))
        found.append(word)
    return found
