"""Captioned composites: one or two real images of named kinds, coloured and placed, with a sentence that says so.

The images are real (digits, clothes, letters), the sentences are generated: "a red seven left of a blue three". What
there is to say may change from one part of a source to the next, as in a stream of new data.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from stagejax.data.named import Dataset
from stagejax.data.order import random_words, uniforms
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import EmptySource, Record, Source

#: The words for the classes of MNIST and of Fashion-MNIST.
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CLOTHES = ("t-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")

#: Red, green and blue of every colour that captions name.
COLORS: Mapping[str, tuple[float, float, float]] = {
    "red": (1.0, 0.2, 0.2),
    "green": (0.2, 0.9, 0.2),
    "blue": (0.3, 0.4, 1.0),
    "yellow": (1.0, 0.9, 0.1),
    "white": (1.0, 1.0, 1.0),
    "purple": (0.8, 0.2, 0.9),
    "orange": (1.0, 0.55, 0.1),
}

#: Where the first object is, seen from the second: in units of the free way, (down, right).
RELATIONS: Mapping[str, tuple[float, float]] = {
    "left of": (0.0, -1.0),
    "right of": (0.0, 1.0),
    "above": (-1.0, 0.0),
    "below": (1.0, 0.0),
    "in front of": (0.25, 0.25),
}

#: Which images are for what, by their index modulo 10.
SPLITS: Mapping[str, tuple[int, ...]] = {"train": (0, 1, 2, 3, 4, 5, 6, 7), "valid": (8,), "test": (9,)}

_DRAWS = 12  # random words of a record


@dataclass(frozen=True)
class Objects:
    """Grey images of some kinds, with the word for each.

    Args:
      source: where they are from; every tenth image is for validation, and every tenth for the test.
      names: the word (or words) for each label.
      limit: how many of the source's first images are read.
      image, label: the fields of a record.
    """

    source: Source
    names: tuple[str, ...]
    limit: int = 6000
    image: str = "image"
    label: str = "label"


def named_kinds(objects: Sequence[Objects]) -> tuple[str, ...]:
    """The words for all kinds that have one.

    >>> from stagejax.data import Digits
    >>> named_kinds([Objects(Digits(), ("zero", "", "two"))])
    ('zero', 'two')
    """
    return tuple(name for each in objects for name in each.names if name)


def plain_objects(limit: int = 6000) -> tuple[Objects, ...]:
    """Digits of MNIST and clothes of Fashion-MNIST that pictures of few pixels can tell apart; others have no name.

    >>> named_kinds(plain_objects())
    ('zero', 'seven', 'trousers', 'bag')
    """
    kinds = ("zero", "", "", "", "", "", "", "seven"), ("", "trousers", "", "", "", "", "", "", "bag")
    named = zip(("mnist", "fashion_mnist"), kinds, strict=True)
    return tuple(Objects(Dataset(name), names, limit, "x", "y") for name, names in named)


@dataclass(frozen=True)
class Pairs:
    """Some pairs of an image and a text, and what they may show and say."""

    count: int
    objects: tuple[Objects, ...]
    colors: tuple[str, ...] = ("red", "green", "blue")
    relations: tuple[str, ...] = ("left of", "right of")

    def __post_init__(self) -> None:
        for field, known in (("colors", COLORS), ("relations", RELATIONS)):
            if unknown := set(getattr(self, field)) - set(known):
                raise ValueError(f"{field} {sorted(unknown)} are unknown: choose among {', '.join(known)}")

    @property
    def names(self) -> tuple[str, ...]:
        """The words for all kinds."""
        return tuple(name for objects in self.objects for name in objects.names)

    @property
    def words(self) -> set[str]:
        """Every word that its captions may use."""
        return {word for text in ("a", *self.names, *self.colors, *self.relations) for word in text.split()}


@dataclass(frozen=True)
class Composites(Source):
    """Captioned composites, addressed by index. Records are {"image": uint8 (size, size, 3), "text", "label"}.

    Record i is a function of the declaration and i: which part it belongs to, the kinds (all equally often), an
    image of each, their colours, their relation and their places. The label is the first object's kind, among the
    `names` of the part. Splits share no image.

    Args:
      parts: one behind the other.
      size: height and width in pixels.
      side: of an object; larger images are reduced by averaging whole blocks of pixels.
      alone: share of records that show one object only: "a red seven".
      seed: of everything drawn.

    >>> from stagejax.data import Digits
    >>> digits = Objects(Digits(), DIGITS)
    >>> source = Composites((Pairs(100, (digits,)),), size=18, side=8)
    >>> source[5]["text"], source[5]["image"].shape, len(source)
    ('a green nine left of a green one', (18, 18, 3), 100)
    """

    parts: tuple[Pairs, ...]
    size: int = 32
    side: int = 14
    alone: float = 0.25
    seed: int = 0
    split: str = "train"

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"Composites has the splits {', '.join(SPLITS)}, not split={self.split!r}")
        if 2 * self.side > self.size:
            raise ValueError(f"two objects of side={self.side} do not fit into size={self.size}: make it larger")

    def __len__(self) -> int:
        return sum(part.count for part in self.parts)

    def __getitem__(self, index: int) -> Record:
        """One composite and its caption."""
        part, draws = self._drawn(index)
        first, second = self._object(part, draws[:3]), self._object(part, draws[3:6])
        label = int(draws[0] * len(part.names))
        if draws[6] < self.alone:
            return {"image": self._alone(first, draws[7:9]), "text": f"a {first[0]}", "label": label}
        relation = part.relations[int(draws[9] * len(part.relations))]
        image = self._pair(first, second, RELATIONS[relation], draws[7:9], draws[10:12])
        return {"image": image, "text": f"a {first[0]} {relation} a {second[0]}", "label": label}

    def digest(self) -> str:
        """The sha256 of the images that composites are made of."""
        objects = {objects.source: None for part in self.parts for objects in part.objects}
        return joint_digest(*(source.digest() for source in objects))

    def _drawn(self, index: int) -> tuple[Pairs, np.ndarray]:
        """The part of a record, and its random numbers in [0, 1)."""
        if not 0 <= index < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        ends = np.cumsum([part.count for part in self.parts])
        words = random_words(self.seed * len(SPLITS) + list(SPLITS).index(self.split), np.array([index]), _DRAWS)[0]
        return self.parts[int(np.searchsorted(ends, index, side="right"))], uniforms(words)

    def _object(self, part: Pairs, draws: np.ndarray) -> tuple[str, Float32[np.ndarray, "s s 3"]]:
        """What a caption calls an object, and its picture."""
        name = part.names[int(draws[0] * len(part.names))]
        pool = pools(part.objects, self.split, self.side)[name]
        color = part.colors[int(draws[1] * len(part.colors))]
        grey = pool[int(draws[2] * len(pool))]
        return f"{color} {name}", grey[..., None] * np.asarray(COLORS[color], np.float32)

    def _alone(self, shown: tuple[str, np.ndarray], at: np.ndarray) -> np.ndarray:
        canvas = np.zeros((self.size, self.size, 3), np.float32)
        paint(canvas, shown[1], at * (self.size - self.side))
        return as_bytes(canvas)

    def _pair(
        self, first: Any, second: Any, away: tuple[float, float], at: np.ndarray, jitter: np.ndarray
    ) -> np.ndarray:
        """The second object somewhere, the first one away from it, each shifted a little."""
        canvas = np.zeros((self.size, self.size, 3), np.float32)
        free, way = self.size - self.side, np.asarray(away) * self.side
        low, high = np.maximum(0, -way), free - np.maximum(0, way)
        place = low + at * (high - low)
        sideways = np.where(way == 0, (jitter - 0.5) * self.side / 2, 0)
        paint(canvas, second[1], place)
        paint(canvas, first[1], np.clip(place + way + sideways, 0, free))
        return as_bytes(canvas)


@functools.lru_cache(maxsize=32)
def pools(objects: tuple[Objects, ...], split: str, side: int) -> dict[str, Float32[np.ndarray, "n s s"]]:
    """The grey images of a split, by kind."""
    pools: dict[str, np.ndarray] = {}
    for each in objects:
        images, labels = _read(each, side)
        mine = np.isin(np.arange(len(labels)) % 10, SPLITS[split])
        for label, name in enumerate(each.names):
            pools[name] = images[mine & (labels == label)]
            if not len(pools[name]):
                raise EmptySource(f"the {split} images of {each.source} show no {name!r}: raise `limit`")
    return pools


@functools.lru_cache(maxsize=32)
def _read(objects: Objects, side: int) -> tuple[Float32[np.ndarray, "n s s"], Int64[np.ndarray, " n"]]:
    """Images of values from 0 to 1, no larger than `side`, and their labels."""
    records = [objects.source[i] for i in range(min(objects.limit, len(objects.source)))]
    images = np.stack([np.asarray(record[objects.image]) for record in records])
    images = images.reshape(images.shape[:3]).astype(np.float32) / (255 if images.dtype == np.uint8 else 1)
    block = -(-images.shape[1] // side)
    if images.shape[1] % block or images.shape[1] // block != side:
        raise ValueError(
            f"{objects.source} has images of {images.shape[1]} pixels, which blocks of {block} do not reduce to "
            f"side={side}: set `side` to a divisor of {images.shape[1]}"
        )
    small = images.reshape(-1, side, block, side, block).mean((2, 4), dtype=np.float32)
    return small, np.array([int(record[objects.label]) for record in records], np.int64)


def paint(canvas: np.ndarray, picture: np.ndarray, place: np.ndarray) -> None:
    """Lay a picture over the canvas; it covers as much as it is bright."""
    (y, x), side = np.rint(place).astype(int), picture.shape[0]
    under = canvas[y : y + side, x : x + side]
    under[...] = picture + (1 - picture.max(-1, keepdims=True)) * under


def as_bytes(canvas: np.ndarray) -> np.ndarray:
    """Values from 0 to 1 as uint8."""
    return np.rint(255 * np.clip(canvas, 0, 1)).astype(np.uint8)
