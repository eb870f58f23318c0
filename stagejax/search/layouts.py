"""Layouts of words on a page that are repaired: an energy of boxes, and moves of one box, for `Annealing`.

Letters: P pages, K boxes of a page at most. A box is (left, top, width, height) in shares of the page.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from stagejax.search.annealing import Annealed, Annealing

Boxes = Float[np.ndarray, "P K 4"]


@dataclass(frozen=True)
class LayoutEnergy:
    """How bad layouts are, by what weights:

    E = overlap Σ_{i<j} IoU(b_i, b_j) + outside Σ area(b_i outside the page) + ratio Σ |w_i / h_i - r_i| / r_i
        + away Σ |b_i - b_i⁰| + order (pairs i < j of which j is read before i).

    Words on one line, whose middles are nearer than half the lower box, are read from left to right.

    >>> start = np.array([[[0.0, 0.0, 0.5, 0.5], [0.5, 0.0, 0.5, 0.5]]])
    >>> of = lambda boxes: float(LayoutEnergy()(boxes, start, np.ones((1, 2)), np.ones((1, 2), bool))[0])
    >>> of(start), of(start[:, ::-1])  # exchanged: both half a page away, and not in their order
    (0.0, 0.4)
    """

    overlap: float = 1.0
    outside: float = 2.0
    ratio: float = 0.3
    away: float = 0.1
    order: float = 0.3

    def __call__(
        self, boxes: Boxes, start: Boxes, ratios: Float[np.ndarray, "P K"], there: Bool[np.ndarray, "P K"]
    ) -> Float[np.ndarray, " P"]:
        """Of each page.

        Args:
          start: b⁰, the boxes of a generator.
          ratios: r, the natural width by height of each word's box.
          there: which boxes there are.
        """
        bent = np.abs(boxes[..., 2] / np.where(there, boxes[..., 3], 1.0) - ratios) / ratios
        moved = np.sqrt(((boxes - start) ** 2).sum(-1))
        each = self.outside * outside(boxes) + self.ratio * bent + self.away * moved
        pairs = self.overlap * overlaps(boxes, there).sum((1, 2)) + self.order * disorder(boxes, there)
        return (each * there).sum(1) + pairs


def overlaps(boxes: Boxes, there: Bool[np.ndarray, "P K"]) -> Float[np.ndarray, "P K K"]:
    """IoU of the pairs i < j of boxes; 0 elsewhere.

    >>> overlaps(np.array([[[0, 0, 1, 1], [0, 0, 1, 0.5]]]), np.ones((1, 2), bool))[0, 0].tolist()
    [0.0, 0.5]
    """
    low, high = boxes[..., :2], boxes[..., :2] + boxes[..., 2:]
    sides = np.minimum(high[:, :, None], high[:, None]) - np.maximum(low[:, :, None], low[:, None])
    both = np.maximum(sides, 0).prod(-1)
    area = boxes[..., 2:].prod(-1)
    found = both / np.maximum(area[:, :, None] + area[:, None] - both, 1e-9)
    return np.triu(found * (there[:, :, None] & there[:, None]), 1)


def outside(boxes: Boxes) -> Float[np.ndarray, "P K"]:
    """Area of each box that is not on the page."""
    low, high = np.clip(boxes[..., :2], 0, 1), np.clip(boxes[..., :2] + boxes[..., 2:], 0, 1)
    return boxes[..., 2:].prod(-1) - (high - low).prod(-1)


def disorder(boxes: Boxes, there: Bool[np.ndarray, "P K"]) -> Float[np.ndarray, " P"]:
    """How many pairs i < j are read the other way round."""
    x, y = (boxes[..., i] + boxes[..., i + 2] / 2 for i in (0, 1))
    same = same_line(boxes)
    back = np.where(same, x[:, None] < x[:, :, None], y[:, None] < y[:, :, None])
    return np.triu(back & there[:, :, None] & there[:, None], 1).sum((1, 2)).astype(float)


def same_line(boxes: Boxes) -> Bool[np.ndarray, "P K K"]:
    """Pairs whose middles are nearer than half of the lower box."""
    y, h = boxes[..., 1] + boxes[..., 3] / 2, boxes[..., 3]
    return np.abs(y[:, :, None] - y[:, None]) < np.minimum(h[:, :, None], h[:, None]) / 2


@dataclass(frozen=True)
class LayoutMoves:
    """One box of each page is translated, rescaled, exchanged with one of its line, or sent to a free row.

    Args:
      step: standard deviation of a translation, in shares of the page.
      stretch: standard deviation of the logarithms of a width's and a height's factors.
      least: height below which no box is made: what is lower cannot be read.
    """

    step: float = 0.1
    stretch: float = 0.2
    least: float = 0.25

    def __call__(self, boxes: Boxes, there: Bool[np.ndarray, "P K"], rng: np.random.Generator) -> Boxes:
        """A move of each page, all four kinds alike often."""
        made, pages = boxes.copy(), np.arange(len(boxes))
        chosen = np.where(there, rng.random(there.shape), -1).argmax(1)
        box = boxes[pages, chosen]
        kind = rng.integers(0, 4, len(pages))[:, None]
        shift = np.pad(rng.normal(0, self.step, (len(pages), 2)), ((0, 0), (0, 2)))
        size = box[:, 2:] * np.exp(rng.normal(0, self.stretch, (len(pages), 2)))
        size = np.clip(size, (0.02, self.least), 1.0)
        scaled = np.concatenate([box[:, :2] + (box[:, 2:] - size) / 2, size], 1)
        sent = box.copy()
        sent[:, 1] = self._free_row(boxes, there, chosen, rng)
        made[pages, chosen] = np.select([kind == 0, kind == 1, kind == 3], [box + shift, scaled, sent], box)
        line = same_line(boxes)[pages, chosen] & there
        line[pages, chosen] = False
        other = np.where(line, rng.random(line.shape), -1).argmax(1)
        swapped = (kind[:, 0] == 2) & line.any(1)
        one, two = chosen[swapped], other[swapped]
        middles = boxes[..., 0] + boxes[..., 2] / 2
        made[pages[swapped], one, 0] = middles[pages[swapped], two] - boxes[pages[swapped], one, 2] / 2
        made[pages[swapped], two, 0] = middles[pages[swapped], one] - boxes[pages[swapped], two, 2] / 2
        return made

    def _free_row(self, boxes: Boxes, there: np.ndarray, chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Tops at which the chosen boxes share no row with another; where there is none, the tops that they have."""
        pages = np.arange(len(boxes))
        own = boxes[pages, chosen]
        tops = np.linspace(0, 1, 13)[None] * np.maximum(1 - own[:, 3:], 0)
        others = there.copy()
        others[pages, chosen] = False
        below = tops[:, :, None] < (boxes[..., 1] + boxes[..., 3])[:, None]
        above = (tops + own[:, 3:])[:, :, None] > boxes[:, None, :, 1]
        free = ~(below & above & others[:, None]).any(2)
        drawn = np.where(free, rng.random(free.shape), -1).argmax(1)
        return np.where(free.any(1), tops[pages, drawn], own[:, 1])


def repaired(
    start: Boxes,
    ratios: Float[np.ndarray, "P K"],
    there: Bool[np.ndarray, "P K"],
    annealing: Annealing,
    energy: LayoutEnergy,
    moves: LayoutMoves,
    *,
    to_the_end: bool = False,
    seed: int = 0,
) -> Annealed:
    """Layouts annealed from a generator's, until no two boxes of the best overlap, or `to_the_end` of the schedule.

    >>> both, there = np.array([[[0.0, 0.0, 0.5, 0.5], [0.1, 0.0, 0.5, 0.5]]]), np.ones((1, 2), bool)
    >>> found = repaired(both, np.ones((1, 2)), there, Annealing(), LayoutEnergy(), LayoutMoves()).states
    >>> float(overlaps(found, there).sum())
    0.0
    """

    def apart(boxes: Boxes) -> Bool[np.ndarray, " P"]:
        return overlaps(boxes, there).sum((1, 2)) == 0

    return annealing(
        start,
        lambda boxes: energy(boxes, start, ratios, there),
        lambda boxes, rng: moves(boxes, there, rng),
        None if to_the_end else apart,
        seed,
    )
