"""Pictures of one or several coloured real items, with captions whose colours belong to one item each.

"a red bag and a blue boot": nothing but the order of the words says which colour is whose. Some items are never seen
beside some others. Letters: n pictures, Y, X pixels, S tokens of a caption, K items of a caption.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int32

from stagejax.data.multimodal.composites import CLOTHES, COLORS, DIGITS
from stagejax.data.multimodal.object_scenes import resized_all
from stagejax.data.named import Dataset
from stagejax.data.pictures.tasks import ImageTask, Part
from stagejax.data.sources import Digits, EmptySource, Source
from stagejax.data.tokenizers import CLS, SEP
from stagejax.data.vocabulary.words import Words


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
      cells: rows and columns of square cells, each of which holds one item at most.
      cell, side: of a cell and of an item in pixels.
      jitter: pixels by which an item may lie beside the middle of its cell.
      length: tokens of a caption.
      apart: share of all pairs of items (of two kinds and two colours) that are never seen beside each other.

    Raises:
      ValueError: a colour that is not known, or items that do not fit.

    >>> world = ItemWorld(digit_kinds(("zero", "one")))
    >>> world.caption((Item("red", "one"), Item("blue", "zero")))
    'a red one and a blue zero'
    >>> world.tokens("a red one").tolist()
    [1, 4, 6, 11, 2, 2, 2, 2, 2, 2, 2, 2]
    """

    kinds: tuple[Kind, ...]
    colors: tuple[str, ...] = ("red", "green", "blue", "yellow")
    cells: tuple[int, int] = (2, 2)
    cell: int = 12
    side: int = 10
    jitter: int = 0
    length: int = 12
    apart: float = 0.0

    def __post_init__(self) -> None:
        if unknown := [color for color in self.colors if color not in COLORS]:
            raise ValueError(f"the colours {unknown} are unknown: choose among {', '.join(COLORS)}")
        if self.side + 2 * self.jitter > self.cell:
            raise ValueError(
                f"side={self.side} with jitter={self.jitter} on both sides does not fit into cell={self.cell}"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a picture."""
        return self.cells[0] * self.cell, self.cells[1] * self.cell

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
          seen: those of items that may be seen beside each other (True), the others (False), or all.

        >>> world = ItemWorld(digit_kinds(("zero", "one")), ("red", "blue"))
        >>> len(world.prompts(1)), len(world.prompts(2))
        (4, 4)
        """
        unseen, found = _apart(self.items, self.apart), []
        for items in itertools.permutations(self.items, size):
            if any(len(set(words)) < size for words in zip(*items, strict=True)):
                continue
            together = not any(frozenset(pair) in unseen for pair in itertools.combinations(items, 2))
            if seen is None or seen == together:
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

    def painted(
        self, prompt: Prompt, pool: Sequence[Float32[np.ndarray, "_ side side"]], rng: np.random.Generator
    ) -> tuple[Float32[np.ndarray, "Y X 3"], list[int]]:
        """A picture from 0 to 1, and the cell of each item of the prompt: random ones, no two the same.

        Each item is one from the pool of its kind.

        Raises:
          ValueError: more items than cells.
        """
        rows, columns = self.cells
        if len(prompt) > rows * columns:
            raise ValueError(f"{len(prompt)} items do not fit into cells={self.cells}, one each")
        words, free = [kind.word for kind in self.kinds], self.cell - self.side
        canvas = np.zeros((*self.shape, 3), np.float32)
        places = rng.permutation(rows * columns)[: len(prompt)].tolist()
        for item, place in zip(prompt, places, strict=True):
            images = pool[words.index(item.kind)]
            grey = images[rng.integers(len(images))][..., None]
            down, right = free // 2 + rng.integers(-self.jitter, self.jitter + 1, 2)
            top, left = place // columns * self.cell + down, place % columns * self.cell + right
            canvas[top : top + self.side, left : left + self.side] = grey * np.asarray(COLORS[item.color], np.float32)
        return canvas, places


@functools.cache
def _apart(items: tuple[Item, ...], share: float) -> frozenset[frozenset[Item]]:
    """The pairs that are never seen beside each other: the same ones each time."""
    pairs = [pair for pair in itertools.combinations(items, 2) if not set(pair[0]) & set(pair[1])]
    order = np.random.default_rng(0).permutation(len(pairs))[: round(share * len(pairs))]
    return frozenset(frozenset(pairs[place]) for place in order)


@functools.lru_cache(maxsize=32)
def items_of(
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


def real_kinds(
    digits: Source | None = None,
    clothes: Source | None = None,
    of_digits: Sequence[str] = ("zero",),
    of_clothes: Sequence[str] = ("trousers", "bag", "boot"),
) -> tuple[Kind, ...]:
    """Some digits and clothes, of MNIST and Fashion-MNIST at first: four things that few pixels can tell apart.

    >>> [kind.word for kind in real_kinds()]
    ['zero', 'trousers', 'bag', 'boot']
    """
    digits = Dataset("mnist") if digits is None else digits
    clothes = Dataset("fashion_mnist") if clothes is None else clothes
    things = [(word, digits, DIGITS.index(word)) for word in of_digits]
    things += [(word, clothes, CLOTHES.index(word)) for word in of_clothes]
    return tuple(Kind(word, ImageTask((Part(source, (label,)),), 28)) for word, source, label in things)


def digit_kinds(words: Sequence[str] = ("zero", "one", "four", "seven")) -> tuple[Kind, ...]:
    """Some of the embedded digits.

    >>> [kind.word for kind in digit_kinds()]
    ['zero', 'one', 'four', 'seven']
    """
    return tuple(Kind(word, ImageTask((Part(Digits(), (DIGITS.index(word),)),), 8)) for word in words)


def captioned(
    world: ItemWorld, pool: Sequence[Float32[np.ndarray, "_ side side"]], count: int, seed: int,
    *, alone: float = 0.7, bare: float = 0.0,
) -> tuple[Float32[np.ndarray, "n Y X 3"], Int32[np.ndarray, "n S"]]:  # fmt: skip
    """Pictures from 0 to 1 with the tokens of their captions.

    Args:
      alone: share of pictures of one item; others show two that may be seen together.
      bare: share of captions that do not say the colours.

    >>> world = ItemWorld(digit_kinds(("zero", "one")))
    >>> images, tokens = captioned(world, items_of(world.kinds, world.side), 3, seed=0)
    >>> images.shape, tokens.shape
    ((3, 24, 24, 3), (3, 12))
    """
    rng = np.random.default_rng(seed)
    one, two = world.prompts(1), world.prompts(2, seen=True)
    chosen = [one if rng.random() < alone else two for _ in range(count)]
    prompts = [own[rng.integers(len(own))] for own in chosen]
    images = np.stack([world.painted(prompt, pool, rng)[0] for prompt in prompts])
    said = [world.caption(prompt, colors=rng.random() >= bare) for prompt in prompts]
    return images, np.stack([world.tokens(text) for text in said])


def parted(prompts: Sequence[Prompt], first: int, second: int, seed: int = 11) -> tuple[list[Prompt], ...]:
    """So many of some prompts, and so many others, in a random order; prompts of the same items stay together.

    >>> world = ItemWorld(digit_kinds(("zero", "one")))
    >>> [len({frozenset(prompt) for prompt in part}) for part in parted(world.prompts(2), 4, 6)]
    [2, 3]
    """
    groups: dict[frozenset[Item], list[Prompt]] = {}
    for prompt in prompts:
        groups.setdefault(frozenset(prompt), []).append(prompt)
    order = np.random.default_rng(seed).permutation(len(groups))
    mixed = [prompt for place in order for prompt in list(groups.values())[place]]
    return mixed[:first], mixed[first : first + second]


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
