"""Layouts of prompts: a language model says them, dropped words get a box, and annealing takes boxes apart.

Letters: P prompts, K words of a prompt at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from stagejax.data.handwriting.glyph_pages import Page
from stagejax.data.handwriting.page_layouts import LayoutTokens
from stagejax.data.tokenizers import SEP
from stagejax.decode import padded_prompts, sample
from stagejax.inference.answering import ask
from stagejax.inference.frozen import Frozen
from stagejax.search.layouts import overlaps


@dataclass(frozen=True)
class Layouts:
    """Words of pages, the box of each where `there`, and which glyphs of the map are missing is drawn by whoever draws.

    Args:
      words: of each page, K at most.
      boxes: (P, K, 4) in shares of the page.
      there: (P, K).
    """

    words: tuple[tuple[str, ...], ...]
    boxes: np.ndarray
    there: np.ndarray

    def of(self, number: int) -> tuple[list[int], list[str], np.ndarray]:
        """The numbers of the words of a page that have a box, these words, and their boxes."""
        known = [k for k in range(len(self.words[number])) if self.there[number, k]]
        return known, [self.words[number][k] for k in known], self.boxes[number][known]


def layouts_of(words: Sequence[Sequence[str]], boxes: Sequence[np.ndarray], most: int) -> Layouts:
    """Layouts of generated boxes: the first box is of the first word; words without a box are dropped words.

    >>> layouts_of([["1", "2"]], [np.ones((1, 4))], 3).there.tolist()
    [[True, False, False]]
    """
    full, there = np.zeros((len(words), most, 4)), np.zeros((len(words), most), bool)
    for number, (own, made) in enumerate(zip(words, boxes, strict=True)):
        count = min(len(own), len(made))
        full[number, :count], there[number, :count] = made[:count], True
    return Layouts(tuple(map(tuple, words)), full, there)


def with_all_words(layouts: Layouts, page: Page, height: float, seed: int) -> Layouts:
    """Every word has a box: those that had none get one of natural shape, `height` of the page high, anywhere on it."""
    rng, boxes, there = np.random.default_rng(seed), layouts.boxes.copy(), layouts.there.copy()
    for number, words in enumerate(layouts.words):
        for k in range(len(words)):
            if not there[number, k]:
                wide = min(1.0, page.natural(words[k], height * page.shape[0]) * height)
                boxes[number, k] = rng.uniform(0, 1 - wide), rng.uniform(0, 1 - height), wide, height
                there[number, k] = True
    return Layouts(layouts.words, boxes, there)


def ratios_of(layouts: Layouts, page: Page, height: float) -> Float[np.ndarray, "P K"]:
    """The natural width by height of each word's box; 1 where there is no word."""
    ratios = np.ones(layouts.there.shape)
    for number, words in enumerate(layouts.words):
        ratios[number, : len(words)] = [page.natural(word, height * page.shape[0]) for word in words]
    return ratios


def answers(model: Any, batch: Any, length: int, n: int, temperature: float) -> Any:
    """`n` layouts of each prompt, as tokens, and where they begin."""
    found = sample(model, batch["prompts"], batch["key"], length=length, n=n, temperature=temperature, stops=((SEP,),))
    return found.tokens_BNS, found.starts_BN


def planned(
    planner: Frozen,
    tokens: LayoutTokens,
    words: Sequence[Sequence[str]],
    most: int,
    draws: int,
    temperature: float,
    seed: int,
) -> list[Layouts]:
    """`draws` layouts of every prompt by a language model; see `LayoutTokens`.

    Args:
      most: K.
    """
    prompts = [tokens.prompt(own) for own in words]
    longest = max(map(len, prompts))
    batch = {"prompts": padded_prompts(prompts, longest), "key": jax.random.key(seed)}
    said, starts = ask(answers, planner, batch, longest + 4 * most + 1, draws, temperature)
    return [
        layouts_of(words, [tokens.boxes(said[p, k, starts[p, k] :]) for p in range(len(words))], most)
        for k in range(draws)
    ]


def pairwise_iou(layouts: Layouts) -> float:
    """The mean IoU of all pairs of boxes of one page each; 0 where there is no pair.

    >>> two = layouts_of([["1", "2"]], [np.array([[0, 0, 1, 1], [0, 0, 1, 0.5]])], 2)
    >>> pairwise_iou(two)
    0.5
    """
    count = layouts.there.sum(1)
    return float(overlaps(layouts.boxes, layouts.there).sum() / max(1, (count * (count - 1) / 2).sum()))
