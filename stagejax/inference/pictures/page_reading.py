"""Optical character recognition of pages: where there is ink lie words, a network reads each, and rules compare.

A read word is its text and its box in pixels (top, bottom, left, right). Letters: Y, X pixels of a page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32

from stagejax.data.handwriting.glyph_pages import Page, Script, random_words, written_by
from stagejax.data.pictures.tasks import resized
from stagejax.decode.edits import edit_distance
from stagejax.inference.frozen import Frozen, apply
from stagejax.objectives.sound.recognition import collapsed, columns_of

Read = tuple[str, tuple[int, int, int, int]]  # a word, and where
_STRIPS = 256  # that are read together


@dataclass(frozen=True)
class Detector:
    """Words are patches of ink that lie closer to each other, on a line, than `bridge` columns.

    Args:
      ink: how dark a pixel is that counts.
      bridge: columns of paper that a word may have inside.
      least: pixels of ink below which a patch is a speck.
    """

    ink: float = 0.4
    bridge: int = 4
    least: int = 5

    def __call__(self, page_YX: Float[np.ndarray, "Y X"]) -> list[tuple[int, int, int, int]]:
        """Boxes of words, from the top of the page.

        >>> page = np.zeros((8, 16))
        >>> page[2:7, [1, 5, 12]] = 1
        >>> Detector()(page)
        [(2, 7, 1, 6), (2, 7, 12, 13)]
        """
        from scipy import ndimage

        inked = np.pad(page_YX > self.ink, ((0, 0), (self.bridge, self.bridge)))
        joined = ndimage.binary_closing(inked, np.ones((1, self.bridge + 1), bool))
        labels, _ = ndimage.label(joined, np.ones((3, 3)))
        found = []
        for number, place in enumerate(ndimage.find_objects(labels), 1):
            own = inked[place] & (labels[place] == number)
            if own.sum() >= self.least:
                rows, columns = np.flatnonzero(own.any(1)), np.flatnonzero(own.any(0))
                top, left = place[0].start, place[1].start - self.bridge
                found.append((top + rows[0], top + rows[-1] + 1, left + columns[0], left + columns[-1] + 1))
        return [tuple(int(side) for side in box) for box in sorted(found)]  # type: ignore[misc]


def strip_of(
    page_YX: Float[np.ndarray, "Y X"], box: tuple[int, int, int, int], shape: tuple[int, int]
) -> Float32[np.ndarray, "y x"]:
    """A word cut out, as high as the strip, and as wide as that makes it where it fits."""
    top, bottom, left, right = box
    height, width = shape
    wide = min(width - 2, max(1, round((right - left) * height / (bottom - top))))
    strip = np.zeros(shape, np.float32)
    strip[:, 1 : 1 + wide] = resized(page_YX[top:bottom, left:right, None], (height, wide))[..., 0]
    return strip


def strips_of(
    script: Script, page: Page, count: int, longest: int, heights: tuple[int, int], shape: tuple[int, int], seed: int
) -> dict[str, np.ndarray]:
    """What a reader learns from: words of 1 to `longest` digits by real hands, alone, wider and narrower than natural.

    Returns:
      "image" (count, *shape, 1), and "labels" (count, longest) from 0, -1 behind the last.
    """
    rng, images, labels = np.random.default_rng(seed), [], np.full((count, longest), -1, np.int32)
    for i in range(count):
        (word,) = random_words([int(rng.integers(1, longest + 1))], rng)
        tall = int(rng.integers(heights[0], heights[1] + 1))
        high = tall / page.shape[0]
        box = np.array([0, (page.shape[0] - tall) / 2 / page.shape[0], page.natural(word, tall) * high, high])
        box[2] = min(1.0, box[2] * rng.uniform(0.85, 1.15))
        drawn = page.write([word], box[None], written_by(script, [word], rng))
        drawn = drawn + rng.normal(0, rng.uniform(0, 0.06), drawn.shape)
        rows, columns = np.flatnonzero((drawn > 0.4).any(1)), np.flatnonzero((drawn > 0.4).any(0))
        place = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
        images.append(strip_of(drawn, place, shape))
        labels[i, : len(word)] = [int(c) for c in word]
    return {"image": np.stack(images)[..., None].astype(np.float32), "labels": labels}


def said(model: Any, images: Any) -> Any:
    """The digits + 1 of strips, 0 behind the last."""
    frames = columns_of(images)
    return collapsed(*model(frames, jnp.ones(frames.shape[:2], bool)))


@dataclass(frozen=True, eq=False)
class Reader:
    """Where words are, and a trained network that says which."""

    net: Frozen
    shape: tuple[int, int]  # of its strips
    detector: Detector = Detector()

    def __call__(self, pages: Float[np.ndarray, "N Y X"]) -> list[list[Read]]:
        """The words of each page with their boxes; a patch of ink in which nothing is read is none."""
        places = [self.detector(page) for page in pages]
        strips = [strip_of(page, box, self.shape) for page, own in zip(pages, places, strict=True) for box in own]
        if not strips:
            return [[] for _ in pages]
        codes = iter(apply(said, self.net, np.stack(strips)[..., None], _STRIPS))
        found = []
        for own in places:
            texts = ["".join(str(k - 1) for k in next(codes).tolist() if k) for _ in own]
            found.append([(text, box) for text, box in zip(texts, own, strict=True) if text])
        return found


def word_scores(read: Sequence[str], wanted: Sequence[str]) -> dict[str, float]:
    """How well words were read, in whatever order: multisets R and W are compared.

    Returns:
      `precision` |R ∩ W| / |R|, `recall` |R ∩ W| / |W|, their `f1` 2 |R ∩ W| / (|R| + |W|), `exact`: whether R = W;
      and `closeness`, 1 - the mean over wanted words of the edit distance to the nearest read one by its length, at
      most 1.

    >>> word_scores(["12", "12", "7"], ["12", "79"])
    {'precision': 0.3333333333333333, 'recall': 0.5, 'f1': 0.4, 'exact': 0.0, 'closeness': 0.75}
    """
    both = (Counter(read) & Counter(wanted)).total()
    far = [min([1.0, *(edit_distance(list(own), list(word)) / len(word) for own in read)]) for word in wanted]
    return {
        "precision": both / len(read) if read else 0.0,
        "recall": both / len(wanted),
        "f1": 2 * both / (len(read) + len(wanted)),
        "exact": float(Counter(read) == Counter(wanted)),
        "closeness": 1 - float(np.mean(far)),
    }


def scores_of_pages(
    made: Sequence[np.ndarray], words: Sequence[Sequence[str]], readers: Sequence[Reader], more: Any = None
) -> dict[str, Any]:
    """Pages (n, P, Y, X), and what two readers say of them.

    Args:
      readers: one that chooses, and one that judges.
      more: arrays that are passed on.

    Returns:
      "pages", and every score of `word_scores` (n, P) by the judge; by the one that chooses as "f1 seen" and so on.
    """
    found: dict[str, Any] = {"pages": np.stack(list(made)).astype(np.float32)}
    for suffix, reader in zip((" seen", ""), readers, strict=True):
        rows = []
        for pages in made:
            read = [[text for text, _ in own] for own in reader(pages)]
            rows.append([word_scores(own, wanted) for own, wanted in zip(read, words, strict=True)])
        found |= {name + suffix: np.array([[page[name] for page in row] for row in rows]) for name in rows[0][0]}
    return found | (more or {})


def wrong_words(
    read: Sequence[Read], words: Sequence[str], areas: Sequence[tuple[int, int, int, int]], near: int = 1
) -> list[int]:
    """Numbers of the words that are not read in their own area of the page.

    Each read word whose middle lies in an area, or up to `near` pixels beside it, may stand for that area's word; the
    one at the least edit distance does, and what is read stands for one word only.

    >>> wrong_words([("12", (0, 4, 0, 6)), ("8", (6, 9, 0, 3))], ["12", "3"], [(0, 4, 0, 6), (6, 10, 0, 4)])
    [1]
    """
    pairs = []
    for k, (word, (top, bottom, left, right)) in enumerate(zip(words, areas, strict=True)):
        for i, (text, (a, b, c, d)) in enumerate(read):
            y, x = (a + b) / 2, (c + d) / 2
            if top - near <= y <= bottom + near and left - near <= x <= right + near:
                pairs.append((edit_distance(list(text), list(word)), k, i))
    right_ones: set[int] = set()
    known: set[int] = set()
    used: set[int] = set()
    for distance, k, i in sorted(pairs):
        if k not in known and i not in used:
            known.add(k)
            used.add(i)
            if distance == 0:
                right_ones.add(k)
    return [k for k in range(len(words)) if k not in right_ones]
