"""Lines of handwriting composed of single symbols, with a box around each: what has no line labels can be rehearsed.

A box reaches from the top of the line to its bottom, (0, left, 1, right) in shares of the line.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float32, Int64

from stagejax.data.handwriting.handwriting import Style, written
from stagejax.data.order import random_words
from stagejax.data.pictures.scenes import NO_BOX
from stagejax.data.pictures.tasks import resized
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, EmptySource, Record, Source

_SHORT = 256  # columns up to which lines are kept in memory: 8,192 of them
_INK = 0.3  # what is darker counts as ink where boxes are drawn


@dataclass(frozen=True)
class Hand:
    """How symbols are written in a row. Lengths are in pixels; of a pair, any value between the two is drawn.

    Args:
      angle: degrees by which a symbol is turned, either way.
      scale: of a symbol's side.
      pen: what its strokes gain on every side.
      gap: between two symbols; below 0 they overlap.
      lines: rows that come in from the lines above and below.
      ruled: the probability of a horizontal rule.
      blur: standard deviation.
      noise: standard deviation of a pixel's brightness.
    """

    angle: float = 5.0
    scale: tuple[float, float] = (0.8, 1.1)
    pen: tuple[float, float] = (-0.3, 0.7)
    gap: tuple[int, int] = (-2, 8)
    lines: tuple[int, int] = (0, 5)
    ruled: float = 0.0
    blur: tuple[float, float] = (0.0, 0.4)
    noise: float = 0.03


@dataclass(frozen=True)
class Lines(Source):
    """Lines of symbols of a source, addressed by index.

    Records are {"image": float32 (height, width, 1), ink 1 on paper 0, "boxes": float32 (most, 4), "labels": int32
    (most,)}, from left to right; places behind the last symbol have the label `NO_BOX`. Line i is drawn from the seed,
    the split and i. Every symbol is any of the source's records, all alike, until the line is full.

    Args:
      symbols: records with "image" and "label".
      count: lines.
      shape: height and width.
      side: of a symbol's image before `hand.scale`.
      symbols_of_a_line: the least and the most.
      neighbours: lines from which strips above and below are cut; None: lines of the same symbols.

    >>> from stagejax.data import Digits
    >>> record = Lines(Digits(), 4, shape=(24, 96), side=20, symbols_of_a_line=(3, 5))[0]
    >>> record["image"].shape, record["boxes"].shape, bool((record["labels"] >= 0).sum() >= 3)
    ((24, 96, 1), (5, 4), True)
    """

    symbols: Source
    count: int
    shape: tuple[int, int] = (32, 224)
    side: int = 28
    symbols_of_a_line: tuple[int, int] = (8, 12)
    hand: Hand = Hand()
    neighbours: Source | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if round(self.side * self.hand.scale[1]) > self.shape[0]:
            raise ValueError(
                f"side={self.side} times scale {self.hand.scale[1]} is higher than the line, {self.shape[0]}"
            )

    @property
    def split(self) -> str:  # type: ignore[override]
        return self.symbols.split

    @property
    def most(self) -> int:
        """Places for boxes in a record."""
        return self.symbols_of_a_line[1]

    def of_split(self, split: str) -> Source:
        return replace(self, symbols=self.symbols.of_split(split))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Record:
        make = _line if self.shape[1] <= _SHORT else _line.__wrapped__
        return make(self, range(self.count)[index])

    def digest(self) -> str:
        near = "" if self.neighbours is None else self.neighbours.digest()
        own = (self.count, self.shape, self.side, self.symbols_of_a_line, self.hand, self.seed)
        return joint_digest(self.symbols.digest(), near, str(own))


@functools.lru_cache(maxsize=1 << 13)
def _line(lines: Lines, index: int) -> Record:
    words = random_words(lines.seed * 2 + (lines.split != "train"), np.array([index]), 3)[0]
    rng, *others = (np.random.default_rng(int(word)) for word in words)
    hand, (height, width) = lines.hand, lines.shape
    ink, boxes, labels = _row(lines, rng)
    for below, other in enumerate(others):
        rows = int(rng.integers(hand.lines[0], hand.lines[1] + 1))
        if rows:
            near = _row(lines, other)[0] if lines.neighbours is None else _of(lines.neighbours, other)
            strip = near[:rows] if below else near[-rows:]
            own = ink[height - rows :] if below else ink[:rows]
            np.maximum(own, strip, out=own)
    if rng.random() < hand.ruled:
        at = int(rng.integers(height * 3 // 4, height))
        np.maximum(ink[at], np.float32(rng.uniform(0.3, 0.7)), out=ink[at])
    image = written(ink, Style(paper=0.0, ink=1.0, blur=float(rng.uniform(*hand.blur)), noise=hand.noise), rng)
    return {"image": image[..., None], "boxes": boxes / np.float32([1, width, 1, width]), "labels": labels}


def _of(source: Source, rng: np.random.Generator) -> Float32[np.ndarray, "Y X"]:
    return np.asarray(source[int(rng.integers(len(source)))]["image"])[..., 0]


def _row(lines: Lines, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ink, boxes in pixels and labels of symbols side by side."""
    hand, (height, width) = lines.hand, lines.shape
    ink = np.zeros(lines.shape, np.float32)
    boxes, labels = np.zeros((lines.most, 4), np.float32), np.full(lines.most, NO_BOX, np.int32)
    end = int(rng.integers(2, 8))
    for place in range(int(rng.integers(lines.symbols_of_a_line[0], lines.most + 1))):
        symbol, label = glyph(lines.symbols, int(rng.integers(len(lines.symbols))))
        side = round(lines.side * rng.uniform(*hand.scale))
        style = Style(paper=0.0, ink=1.0, pen=float(rng.uniform(*hand.pen)), angle=rng.uniform(-1, 1) * hand.angle)
        drawn = trimmed(np.clip(written(resized(symbol[..., None], side)[..., 0], style, rng), 0, 1))
        left = max(0, end + int(rng.integers(hand.gap[0], hand.gap[1] + 1)) if place else end)
        end = left + drawn.shape[1]
        if end > width:
            break
        top = int(rng.integers(0, height - side + 1))
        own = ink[top : top + side, left:end]
        np.maximum(own, drawn, out=own)
        boxes[place], labels[place] = (0, left, 1, end), label
    return ink, boxes, labels


@functools.lru_cache(maxsize=1 << 14)
def glyph(source: Source, row: int) -> tuple[Float32[np.ndarray, "y x"], int]:
    """A symbol as ink from 0 to 1, whatever the brightness of its paper, and its label."""
    record = source[row]
    image = np.asarray(record["image"])
    ink = image.astype(np.float32) / np.float32(255 if image.dtype == np.uint8 else 1)
    ink = ink.mean(-1) if ink.ndim == 3 else ink
    ink = 1 - ink if np.median(ink) > 0.5 else ink
    return ink / max(1e-6, float(ink.max())), int(record["label"])


def trimmed(ink_YX: Float[np.ndarray, "Y X"]) -> Float[np.ndarray, "Y x"]:
    """A symbol without the columns beside its ink.

    >>> trimmed(np.array([[0.0, 1.0, 0.0, 1.0, 0.0]])).tolist()
    [[1.0, 0.0, 1.0]]
    """
    columns = np.flatnonzero((ink_YX > _INK).any(0))
    return ink_YX[:, columns[0] : columns[-1] + 1] if len(columns) else ink_YX[:, :1]


def query(
    symbol_YX: Float32[np.ndarray, "Y X"], side: int, canvas: int
) -> tuple[Float32[np.ndarray, "canvas canvas 1"], Float32[np.ndarray, " 4"]]:
    """An image of one symbol in the middle of a line as high as `canvas`, and the box of its ink in it.

    >>> image, box = query(np.ones((4, 4), np.float32), 4, 8)
    >>> image.shape, box.tolist()
    ((8, 8, 1), [0.0, 0.25, 1.0, 0.75])
    """
    drawn = trimmed(resized(symbol_YX[..., None], side)[..., 0])
    image, (high, wide) = np.zeros((canvas, canvas, 1), np.float32), drawn.shape
    top, left = (canvas - high) // 2, (canvas - wide) // 2
    image[top : top + high, left : left + wide, 0] = drawn
    return image, np.array([0, left / canvas, 1, (left + wide) / canvas], np.float32)


@dataclass(frozen=True)
class Turned(Derived):
    """The symbols of a source as they are and by one, two and three quarters of a turn, each a symbol of its own.

    Records are {"image", "label"}, with label 4 * letter + quarters.

    Args:
      letter: the field of a record with its letter.

    Reference: Santoro et al. 2016, https://arxiv.org/abs/1605.06065, section 4.2, on Omniglot.

    >>> from stagejax.data import Digits
    >>> turned = Turned(Digits(), "label")
    >>> len(turned) == 4 * len(Digits()), turned[5]["label"] - 4 * Digits()[1]["label"]
    (True, 1)
    """

    letter: str = "letter"

    def __len__(self) -> int:
        return 4 * len(self.source)

    def __getitem__(self, index: int) -> Record:
        if not len(self.source):
            raise EmptySource(f"{self.source} holds no record")
        row, quarters = divmod(range(len(self))[index], 4)
        record = self.source[row]
        image = np.rot90(np.asarray(record["image"]), quarters)
        return {"image": image, "label": 4 * int(record[self.letter]) + quarters}

    def column(self, field: str) -> Int64[np.ndarray, " N"]:
        if field != "label":
            return super().column(field)
        return (4 * self.source.column(self.letter)[:, None] + np.arange(4)).reshape(-1)

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"four turns of each {self.letter}")
