"""Layouts of words on pages: tidy ones to learn from, and their boxes as tokens of a language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32

from stagejax.data.handwriting.glyph_pages import Boxes, Page, random_words
from stagejax.data.prompts.answers import answer_row
from stagejax.data.tokenizers import CLS, SEP

_ZERO, _COMMA, _COLON, _NUMBERS = 3, 13, 14, 15  # tokens: digits of words, what parts them, what ends them; pixels


def tidy(page: Page, words: Sequence[str], heights: tuple[int, int], rng: np.random.Generator) -> Boxes:
    """Boxes as people lay out few words: in reading order, on lines that leave each other room, of natural widths.

    Words share a line by chance where they fit; heights, in pixels, are drawn for each line.

    Raises:
      ValueError: they do not fit, at the least height.

    >>> tidy(Page((8, 12), (0.0, 0.0), 0.5), ["12", "3"], (4, 4), np.random.default_rng(0))[:, 2:].round(2).tolist()
    [[0.33, 0.5], [0.17, 0.5]]
    """
    rows, columns = page.shape
    for attempt in range(100):
        low, high = (heights[0], heights[0]) if attempt > 50 else heights
        lines: list[list[int]] = []
        sizes: list[int] = []
        widths = np.zeros(len(words))
        for k, word in enumerate(words):
            tall = sizes[-1] if sizes else 0
            wide = page.natural(word, tall) * tall * columns / rows if tall else 0.0
            if lines and rng.random() < 0.5 and sum(widths[lines[-1]]) + wide <= columns:
                lines[-1].append(k)
            else:
                tall = int(rng.integers(low, high + 1))
                wide = page.natural(word, tall) * tall * columns / rows
                lines.append([k])
                sizes.append(tall)
            widths[k] = wide
        spare = rows - sum(sizes)
        if spare < 0 or any(sum(widths[line]) > columns for line in lines):
            continue
        gaps, boxes = np.diff(np.sort(rng.uniform(0, spare, len(lines))), prepend=0), np.zeros((len(words), 4))
        top = 0.0
        for line, tall, gap in zip(lines, sizes, gaps, strict=True):
            top += gap
            free = columns - widths[line].sum()
            left = 0.0
            for k, room in zip(line, np.diff(np.sort(rng.uniform(0, free, len(line))), prepend=0), strict=True):
                left += room
                boxes[k] = left / columns, top / rows, widths[k] / columns, tall / rows
                left += widths[k]
            top += tall
        return boxes
    raise ValueError(f"{list(words)} do not fit on a page of {rows} x {columns} pixels in lines of {heights[0]}")


@dataclass(frozen=True)
class LayoutTokens:
    """[CLS, digits of the words with commas between, colon], and the answer: left, top, width, height of each, SEP.

    Numbers are pixels, one token each, so that the answer is what a language model says of the prompt.

    Reference: after the layouts as language of Chen et al. 2023 (TextDiffuser-2), https://arxiv.org/abs/2311.16465.

    >>> tokens = LayoutTokens(Page((28, 48)))
    >>> tokens.vocab, tokens.prompt(["12", "0"]).tolist()
    (64, [1, 4, 5, 13, 3, 14])
    >>> said = tokens.answer(np.array([[0.5, 0.0, 0.25, 0.5]]))
    >>> said.tolist(), tokens.boxes(said).tolist()
    ([39, 15, 27, 29, 2], [[0.5, 0.0, 0.25, 0.5]])
    """

    page: Page

    @property
    def vocab(self) -> int:
        return _NUMBERS + max(self.page.shape) + 1

    def prompt(self, words: Sequence[str]) -> Int32[np.ndarray, " p"]:
        """The words as tokens."""
        digits = [[_ZERO + int(c) for c in word] for word in words]
        rows = [token for word in digits for token in (_COMMA, *word)]
        return np.array([CLS, *rows[1:], _COLON], np.int32)

    def answer(self, boxes: Boxes) -> Int32[np.ndarray, " a"]:
        """The boxes as tokens."""
        pixels = np.round(boxes * np.tile(self.page.shape[::-1], 2)).astype(int).clip(0, max(self.page.shape))
        return np.array([*(_NUMBERS + pixels).ravel(), SEP], np.int32)

    def boxes(self, answer: np.ndarray) -> Boxes:
        """The boxes that an answer says, up to its first token that is no number, or box without an area."""
        pixels = []
        for token in np.asarray(answer).tolist():
            if token < _NUMBERS:
                break
            pixels.append(token - _NUMBERS)
        made = np.array(pixels[: len(pixels) // 4 * 4], float).reshape(-1, 4)
        flat = np.flatnonzero((made[:, 2:] <= 0).any(1))
        made = made[: flat[0]] if len(flat) else made
        return made / np.tile(self.page.shape[::-1], 2)

    def rows(self, count: int, words: int, longest: int, heights: tuple[int, int], seed: int) -> dict[str, np.ndarray]:
        """What a planner learns from: tidy layouts of 1 to `words` words of 1 to `longest` digits.

        Returns:
          "tokens", "targets" (count, T) and "weights" (count, T), which are 1 at the answers' tokens.
        """
        rng, length = np.random.default_rng(seed), words * (longest + 1) + 1 + 4 * words + 1
        made = []
        for _ in range(count):
            own = random_words(rng.integers(1, longest + 1, rng.integers(1, words + 1)).tolist(), rng)
            made.append(answer_row(self.prompt(own), self.answer(tidy(self.page, own, heights, rng)), length))
        tokens, weights = (np.stack(part) for part in zip(*made, strict=True))
        return {"tokens": tokens[:, :-1].copy(), "targets": tokens[:, 1:].copy(), "weights": weights}
