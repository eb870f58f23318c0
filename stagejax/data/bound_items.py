"""Pictures of one or several coloured real items, with captions whose colours belong to one item each.

"a red bag and a blue boot": nothing but the order of the words says which colour is whose. Some coloured items are never
seen beside another one. Letters: n pictures, Y, X pixels, S tokens of a caption, K items of a caption.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int32

from stagejax.data.composites import COLORS, DIGITS
from stagejax.data.named import Dataset
from stagejax.data.object_scenes import resized_all
from stagejax.data.sources import Digits, EmptySource, Source
from stagejax.data.tasks import ImageTask, Part
from stagejax.data.tokenizers import CLS, SEP
from stagejax.data.words import Words


class Item(NamedTuple):
    """A coloured thing, by words."""

    color: str
    kind: str


Prompt = tuple[Item, ...]  # what a caption names, in its order


@dataclass(frozen=True)
class Kind:
    """A word, and a source all of whose records {"image": (y, x, 1)} show what it means."""

    word: str
    source: Source


class Group(NamedTuple):
    """An object of a caption and its attributes, by places of tokens (the start token is at 0)."""

    noun: int
    attributes: tuple[int, ...]


@dataclass(frozen=True)
class ItemWorld:
    """Which items there are, how they are painted, and what is said of them.

    A caption is "a COLOR KIND" for each item, joined by "and". Its tokens are a start (1), its words, and an end (2)
    that is repeated up to `length`, as in the text towers of CLIP and SDXL.

    Args:
      kinds: of things.
      colors: their words; see `COLORS`.
      shape: rows and columns of a picture.
      side: of an item in pixels.
      gap: black pixels between two items, at least.
      length: tokens of a caption.
      alone: items that are never painted beside another one.

    Raises:
      ValueError: a colour that is not known, an item of `alone` that there is not, or items that do not fit.

    >>> world = ItemWorld(digit_kinds(("zero", "one")))
    >>> world.caption((Item("red", "one"), Item("blue", "zero")))
    'a red one and a blue zero'
    >>> world.tokens("a red one").tolist()
    [1, 4, 6, 11, 2, 2, 2, 2, 2, 2, 2, 2]
    """

    kinds: tuple[Kind, ...]
    colors: tuple[str, ...] = ("red", "green", "blue", "yellow")
    shape: tuple[int, int] = (16, 24)
    side: int = 10
    gap: int = 2
    length: int = 12
    alone: tuple[Item, ...] = ()

    def __post_init__(self) -> None:
        if unknown := [color for color in self.colors if color not in COLORS]:
            raise ValueError(f"the colours {unknown} are unknown: choose among {', '.join(COLORS)}")
        if unknown := [item for item in self.alone if item not in self.items]:
            raise ValueError(f"alone={unknown} are none of the {len(self.items)} items")
        if self.shape[1] < 2 * self.side + self.gap or self.shape[0] < self.side:
            raise ValueError(
                f"two items of side={self.side} with gap={self.gap} do not fit into shape={self.shape}: make it wider"
            )

    @property
    def items(self) -> tuple[Item, ...]:
        """All of them."""
        return tuple(Item(*pair) for pair in itertools.product(self.colors, (kind.word for kind in self.kinds)))

    @property
    def words(self) -> Words:
        """The vocabulary."""
        return Words(("a", "and", *self.colors, *(kind.word for kind in self.kinds)))

    def prompts(self, size: int, *, seen: bool | None = None) -> list[Prompt]:
        """All prompts of so many items that differ in kinds and in colours, in every order.

        Args:
          seen: those without an item of `alone` (True), those with one (False), or all. Prompts of one item are seen.

        >>> world = ItemWorld(digit_kinds(("zero", "one")), ("red", "blue"))
        >>> len(world.prompts(1)), len(world.prompts(2))
        (4, 4)
        """
        found = []
        for items in itertools.permutations(self.items, size):
            apart = all(len(set(words)) == size for words in zip(*items, strict=True))
            if apart and (seen is None or size == 1 or seen != any(item in self.alone for item in items)):
                found.append(items)
        return found

    def caption(self, prompt: Prompt, *, colors: bool = True) -> str:
        """The sentence; without its colours, what is left of it when it is stripped to its objects."""
        return " and ".join(f"a {item.color} {item.kind}" if colors else f"a {item.kind}" for item in prompt)

    def tokens(self, text: str) -> Int32[np.ndarray, " S"]:
        """Start, words, and ends.

        Raises:
          ValueError: the text is too long.
        """
        words = self.words.encode([text])[0]
        if len(words) + 2 > self.length:
            raise ValueError(f"{text!r} has {len(words)} words, a start and an end: raise length={self.length}")
        row = np.full(self.length, SEP, np.int32)
        row[0], row[1 : len(words) + 1] = CLS, words
        return row

    def groups(self, text: str) -> tuple[Group, ...]:
        """The objects of a caption with their attributes: the run of colours in front of each noun.

        >>> ItemWorld(digit_kinds(("one",))).groups("a red one and a blue one")
        (Group(noun=3, attributes=(2,)), Group(noun=7, attributes=(6,)))
        """
        nouns, found, run = {kind.word for kind in self.kinds}, [], []
        for place, word in enumerate(text.split(), 1):
            if word in self.colors:
                run.append(place)
            elif word in nouns:
                found.append(Group(place, tuple(run)))
                run = []
            else:
                run = []
        return tuple(found)

    def paint(
        self, prompt: Prompt, pool: Sequence[Float32[np.ndarray, "_ side side"]], rng: np.random.Generator
    ) -> Float32[np.ndarray, "Y X 3"]:
        """A picture from 0 to 1; see `painted`."""
        return self.painted(prompt, pool, rng)[0]

    def painted(
        self, prompt: Prompt, pool: Sequence[Float32[np.ndarray, "_ side side"]], rng: np.random.Generator
    ) -> tuple[Float32[np.ndarray, "Y X 3"], list[int]]:
        """A picture from 0 to 1, and which item of the prompt is where, from the left: a random order.

        Each item is one from the pool of its kind.

        Raises:
          ValueError: more items than fit beside each other.
        """
        rows, columns = self.shape
        free = columns - len(prompt) * self.side - (len(prompt) - 1) * self.gap
        if free < 0:
            raise ValueError(f"{len(prompt)} items do not fit beside each other into shape={self.shape}")
        words = [kind.word for kind in self.kinds]
        canvas, starts = np.zeros((rows, columns, 3), np.float32), np.sort(rng.integers(0, free + 1, len(prompt)))
        order = rng.permutation(len(prompt)).tolist()
        for place, number in enumerate(order):
            item = prompt[number]
            images = pool[words.index(item.kind)]
            grey = images[rng.integers(len(images))][..., None]
            top, left = rng.integers(0, rows - self.side + 1), starts[place] + place * (self.side + self.gap)
            canvas[top : top + self.side, left : left + self.side] = grey * np.asarray(COLORS[item.color], np.float32)
        return canvas, order


@functools.lru_cache(maxsize=32)
def item_pool(
    kinds: tuple[Kind, ...], side: int, start: int = 0, stop: int | None = None, split: str | None = None
) -> tuple[Float32[np.ndarray, "_ side side"], ...]:
    """Of each kind the images of the records `start` ... `stop` - 1 of its source, grey, resized, brightest 1.

    Raises:
      EmptySource: a kind has none there.
    """
    found = []
    for kind in kinds:
        source = kind.source if split is None else kind.source.of_split(split)
        numbers = range(start, len(source) if stop is None else min(stop, len(source)))
        if not numbers:
            raise EmptySource(f"{source} has no records from {start} on for {kind.word!r}: it has {len(source)}")
        images = resized_all(np.stack([np.asarray(source[i]["image"], np.float32)[..., 0] for i in numbers]), side)
        found.append(images / np.maximum(images.max((1, 2), keepdims=True), 1e-6))
    return tuple(found)


def real_kinds() -> tuple[Kind, ...]:
    """Four things that few pixels can tell apart: a handwritten zero (MNIST), trousers, a bag and a boot (Fashion).

    >>> [kind.word for kind in real_kinds()]
    ['zero', 'trousers', 'bag', 'boot']
    """
    things = (("zero", "mnist", 0), *((word, "fashion_mnist", i) for word, i in (("trousers", 1), ("bag", 8), ("boot", 9))))
    return tuple(Kind(word, ImageTask((Part(Dataset(data), (i,)),), 28)) for word, data, i in things)


def digit_kinds(words: Sequence[str] = ("zero", "one", "four", "seven")) -> tuple[Kind, ...]:
    """Some of the embedded digits.

    >>> [kind.word for kind in digit_kinds()]
    ['zero', 'one', 'four', 'seven']
    """
    return tuple(Kind(word, ImageTask((Part(Digits(), (DIGITS.index(word),)),), 8)) for word in words)


def kept_alone(kinds: Sequence[Kind], colors: Sequence[str], share: float) -> tuple[Item, ...]:
    """About this share of all items, spread evenly over kinds and colours: along the diagonals of their table.

    >>> kept_alone(digit_kinds(("zero", "one")), ("red", "blue"), 0.5)
    (Item(color='red', kind='zero'), Item(color='blue', kind='one'))
    """
    count = round(share * len(kinds) * len(colors))
    table = [
        Item(colors[(place + shift) % len(colors)], kind.word)
        for shift in range(len(colors))
        for place, kind in enumerate(kinds)
    ]
    return tuple(table[:count])


def said_of(
    world: ItemWorld, prompts: Sequence[Prompt]
) -> tuple[Int32[np.ndarray, "n S"], Int32[np.ndarray, "n S"], Int32[np.ndarray, "n K"], Bool[np.ndarray, "n K S"]]:
    """Of prompts of one size: tokens, tokens without colours, and by the parser each noun's place and its colours'."""
    texts = [world.caption(prompt) for prompt in prompts]
    groups = [world.groups(text) for text in texts]
    whose = np.zeros((len(prompts), len(prompts[0]), world.length), bool)
    for n, own in enumerate(groups):
        for k, group in enumerate(own):
            whose[n, k, list(group.attributes)] = True
    stripped = [world.tokens(world.caption(prompt, colors=False)) for prompt in prompts]
    nouns = np.array([[group.noun for group in own] for own in groups], np.int32)
    return np.stack([world.tokens(text) for text in texts]), np.stack(stripped), nouns, whose
