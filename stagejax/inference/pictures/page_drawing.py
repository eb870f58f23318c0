"""Pages drawn by a generator that is shown layouts: samples, the best of several, and words that are painted again.

Letters: P pages, K boxes of a page at most, Y, X pixels. Pixels are from -1 (paper) to 1 (ink) in the generator, and
from 0 to 1 elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Float32, Int32

from stagejax.data.handwriting.glyph_pages import Page
from stagejax.inference.answering import ask
from stagejax.inference.frozen import Frozen, flops_of_one
from stagejax.inference.pictures.page_planning import Layouts
from stagejax.inference.pictures.page_reading import Reader, word_scores, wrong_words
from stagejax.objectives.flow import inpaint, shifted_times


def prompt_tokens(words: Sequence[str], length: int) -> Int32[np.ndarray, "length 3"]:
    """Of each character of a prompt's words: the digit + 1, its place in its word, its word; 0 behind the last.

    >>> prompt_tokens(["70", "1"], 4).tolist()
    [[8, 0, 0], [1, 1, 0], [2, 0, 1], [0, 0, 0]]
    """
    found = np.zeros((length, 3), np.int32)
    rows = [(int(c) + 1, place, number) for number, word in enumerate(words) for place, c in enumerate(word)]
    found[: len(rows)] = rows
    return found


@dataclass(frozen=True, eq=False)
class Draughtsman:
    """A frozen generator and all that it needs to draw pages of layouts.

    Args:
      net: `model(image, t, glyphs, prompt)` gives a velocity.
      page: what a layout means in pixels.
      plain: glyphs (10, y, x) of its maps.
      drop, blur: of its maps; see `Page.glyphs`.
      steps: of Euler's method: network evaluations of a page.
      characters: of a prompt at most.
      batch: pages that are drawn together, in one program.
    """

    net: Frozen
    page: Page
    plain: np.ndarray
    drop: float
    blur: float
    steps: int
    characters: int
    batch: int = 64

    def maps(self, layouts: Layouts, rng: np.random.Generator) -> Float32[np.ndarray, "P Y X 2"]:
        """Maps of glyphs of all pages, with other glyphs missing each time."""
        made = []
        for number in range(len(layouts.words)):
            _, words, boxes = layouts.of(number)
            made.append(self.page.glyphs(words, boxes, self.plain, self.drop, self.blur, rng))
        return np.stack(made)

    def draw(
        self,
        layouts: Layouts,
        glyphs: Float[np.ndarray, "P Y X 2"],
        rng: np.random.Generator,
        known: Float[np.ndarray, "P Y X"] | None = None,
        mask: Float[np.ndarray, "P Y X"] | None = None,
    ) -> Float32[np.ndarray, "P Y X"]:
        """A page of each layout: all of it, or what is masked of `known` pages."""
        shape = (len(glyphs), *self.page.shape)
        known = np.zeros(shape) if known is None else known
        mask = np.ones(shape) if mask is None else mask
        rows = {
            "noise": rng.normal(size=shape)[..., None],
            "known": 2 * known[..., None] - 1,
            "mask": mask[..., None],
            "glyphs": glyphs,
        }
        rows = {name: row.astype(np.float32) for name, row in rows.items()}
        rows["prompt"] = np.stack([prompt_tokens(words, self.characters) for words in layouts.words])
        found = []
        for start in range(0, shape[0], self.batch):
            part = {name: row[start : start + self.batch] for name, row in rows.items()}
            count = len(part["noise"])
            part = {
                name: np.pad(row, [(0, self.batch - count)] + [(0, 0)] * (row.ndim - 1), mode="edge")
                for name, row in part.items()
            }
            found.append(ask(painted, self.net, part, self.steps)[:count])
        return np.clip((np.concatenate(found)[..., 0] + 1) / 2, 0, 1)

    def flops(self) -> float:
        """Of one page: `steps` network evaluations."""
        return float(self.steps * page_flops(self.net.config, self.page, self.characters))


def painted(model: Any, batch: Any, steps: int) -> Any:
    """Images from noise, glyphs and prompts, where the mask is 1."""

    def velocity(x: Any, t: Any) -> Any:
        return model(x, t, batch["glyphs"], batch["prompt"])

    return inpaint(velocity, batch["noise"], batch["known"], batch["mask"], shifted_times(steps))


def once(model: Any, rows: Any) -> Any:
    """One network evaluation, of which FLOPs are counted."""
    return model(rows["image"], rows["t"], rows["glyphs"], rows["prompt"])


def page_flops(config: Any, page: Page, characters: int) -> float:
    """FLOPs of one network evaluation for one page."""
    shapes = {"image": (*page.shape, 1), "t": (), "glyphs": (*page.shape, 2)}
    row = {name: jax.ShapeDtypeStruct(shape, np.dtype("float32")) for name, shape in shapes.items()}
    row["prompt"] = jax.ShapeDtypeStruct((characters, 3), np.dtype("int32"))
    return float(flops_of_one(once, config, row))


@dataclass(frozen=True)
class Drawn:
    """Pages with the maps they were drawn from, what was read on them, and how well."""

    layouts: Layouts
    glyphs: np.ndarray
    pages: np.ndarray
    read: list[Any] = field(repr=False)
    scores: np.ndarray  # (P,)

    def or_better(self, other: Drawn) -> Drawn:
        """Page by page the one that is read better; this one where both are read as well."""
        new = other.scores > self.scores

        def pick(one: np.ndarray, two: np.ndarray) -> np.ndarray:
            return np.where(new.reshape(-1, *[1] * (one.ndim - 1)), two, one)

        layouts = replace(
            self.layouts,
            boxes=pick(self.layouts.boxes, other.layouts.boxes),
            there=pick(self.layouts.there, other.layouts.there),
        )
        read = [two if better else one for one, two, better in zip(self.read, other.read, new, strict=True)]
        return Drawn(
            layouts,
            pick(self.glyphs, other.glyphs),
            pick(self.pages, other.pages),
            read,
            pick(self.scores, other.scores),
        )


def looked_at(layouts: Layouts, glyphs: np.ndarray, pages: np.ndarray, reader: Reader) -> Drawn:
    """Pages with what a reader reads on them; their score is the words' F1, and closeness where that is equal."""
    read = reader(pages)
    scores = [word_scores([text for text, _ in own], words) for own, words in zip(read, layouts.words, strict=True)]
    both = [score["f1"] + 1e-3 * score["closeness"] for score in scores]
    return Drawn(layouts, glyphs, pages, read, np.array(both))


def sampled(hand: Draughtsman, layouts: Layouts, reader: Reader, seed: int) -> Drawn:
    """One page of each layout, read."""
    rng = np.random.default_rng(seed)
    glyphs = hand.maps(layouts, rng)
    return looked_at(layouts, glyphs, hand.draw(layouts, glyphs, rng), reader)


def best_of(hand: Draughtsman, layouts: Sequence[Layouts], reader: Reader, seed: int) -> list[Drawn]:
    """The best of the first 1, 2, ... pages of each prompt by the reader: one page of each of its layouts."""
    best: list[Drawn] = []
    for number, own in enumerate(layouts):
        made = sampled(hand, own, reader, seed + number)
        best.append(best[-1].or_better(made) if best else made)
    return best


def repainted(
    hand: Draughtsman, drawn: Drawn, reader: Reader, rounds: int, wider: int, seed: int
) -> tuple[list[Drawn], list[Float[np.ndarray, " P"]]]:
    """OcrPaint: words that are not read in their boxes are painted again, `rounds` times; a worse page is not kept.

    The mask of a page is the union of the wrong words' boxes, `wider` pixels wider; there its map of glyphs is rendered
    anew, the rest of the page is known. Each round begins with the better of the page before and the one painted.

    Returns:
      The pages behind 0, 1, ... rounds, and how many words of each page were wrong before each round.

    Reference: Lakhanpal et al. 2024, https://arxiv.org/abs/2403.16422, section on OcrPaint.
    """
    found, counts = [drawn], []
    for number in range(rounds):
        rng, now = np.random.default_rng(seed + 1000 * (number + 1)), found[-1]
        mask, wrong = wrong_areas(hand.page, now, wider)
        glyphs = np.where(mask[..., None] > 0, hand.maps(now.layouts, rng), now.glyphs)
        pages = hand.draw(now.layouts, glyphs, rng, now.pages, mask)
        found.append(now.or_better(looked_at(now.layouts, glyphs, pages, reader)))
        counts.append(wrong)
    return found, counts


def wrong_areas(page: Page, drawn: Drawn, wider: int) -> tuple[Float[np.ndarray, "P Y X"], Float[np.ndarray, " P"]]:
    """1 in the boxes of words that are not read there, and around them; how many such words each page has."""
    masks, counts = [], []
    for number, read in enumerate(drawn.read):
        _, words, boxes = drawn.layouts.of(number)
        wrong = wrong_words(read, words, [page.ink_of(box) for box in boxes])
        masks.append(page.covered(boxes[wrong], wider))
        counts.append(len(wrong))
    return np.stack(masks), np.array(counts, float)
