"""People made of real garments: figures of coloured clothes before photographs, in several views of each identity.

An identity is a tuple of garments (pictures of clothes, each an item of its own) and their colours; its views differ in
place, size, light, background, and in what hides a part of it. Beside people there are pictures of single garments.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64

from stagejax.data.multimodal.composites import CLOTHES, COLORS, SPLITS, Objects, as_bytes, pools
from stagejax.data.named import Dataset
from stagejax.data.order import random_words, uniforms
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Record, Source

#: What garments can be coloured.
PAINTS: Mapping[str, tuple[float, float, float]] = {**COLORS, "teal": (0.1, 0.8, 0.8)}
PAINT_NAMES = tuple(PAINTS)
UPPER, LOWER, SHOES = (
    ("t-shirt", "pullover", "coat", "shirt", "dress"),
    ("trousers", "skirt"),
    ("sneaker", "boot", "sandal"),
)
#: What a single garment can be: a skirt is the lower half of a dress.
SINGLE = (*CLOTHES, "skirt")
#: The columns of `attributes`, and how many values each has; a bag is 0, no bag -1.
ATTRIBUTES: Mapping[str, int] = {
    "upper": len(UPPER), "upper colour": len(PAINTS), "lower": len(LOWER), "lower colour": len(PAINTS),
    "shoes": len(SHOES), "shoe colour": len(PAINTS), "bag": 1, "bag colour": len(PAINTS),
}  # fmt: skip
_SKIN = np.array([0.9, 0.7, 0.55], np.float32)
_DRAWS = 12


@dataclass(frozen=True)
class Wardrobe:
    """What figures are made of: grey pictures of ten kinds of clothes, photographs for the background, a canvas.

    Splits share neither garments nor photographs.

    Args:
      clothes: labels 0 to 9 are those of Fashion-MNIST.
      side: height and width of their pictures.
      backgrounds: records with a colour image; None: black.
      photographs, photograph: how many of them are read, and the field of a record.
      height, width: of the canvas in pixels; a figure is drawn for 40 x 20 and scaled.
    """

    clothes: Objects = field(
        default_factory=lambda: Objects(Dataset("fashion_mnist"), CLOTHES, limit=12_000, image="x", label="y")
    )
    side: int = 28
    backgrounds: Source | None = field(default_factory=lambda: Dataset("cifar10"))
    photographs: int = 2000
    photograph: str = "x"
    height: int = 40
    width: int = 20

    def garments(self, kind: str, split: str) -> Float32[np.ndarray, "n y x"]:
        """The pictures of a kind, values from 0 to 1."""
        found = pools((self.clothes,), split, self.side)
        return found["dress"][:, self.side // 2 :] if kind == "skirt" else found[kind]

    def background(self, split: str, draw: float) -> Float32[np.ndarray, "Y X 3"]:
        """A dimmed cut of one of a split's photographs."""
        if self.backgrounds is None:
            return np.zeros((self.height, self.width, 3), np.float32)
        photographs = _photographs(self.backgrounds, self.photograph, self.photographs, split)
        return 0.5 * resized(photographs[int(draw * len(photographs))], self.height, self.width)

    def digest(self) -> str:
        """Of the pictures."""
        own = [] if self.backgrounds is None else [self.backgrounds.digest()]
        return joint_digest(self.clothes.source.digest(), *own)


@dataclass(frozen=True)
class People(Source):
    """Views of people, addressed by index: {"image": uint8 (height, width, 3), "label": identity}.

    Record i is of identity i // (views * captions) and of its view i // captions % views: a view comes once for each
    of its captions.

    Args:
      wardrobe: of what.
      identities, views, captions: how many, of each.
      seed: of everything drawn; the splits of a seed are other people in other garments.

    >>> from stagejax.data import Digits
    >>> source = People(Wardrobe(Objects(Digits(), CLOTHES), 8, None), identities=3, views=2)
    >>> source[5]["image"].shape, source[5]["label"], len(source), source.rows().shape
    ((40, 20, 3), 2, 6, (6, 8))
    """

    wardrobe: Wardrobe = field(default_factory=Wardrobe)
    identities: int = 150
    views: int = 4
    captions: int = 1
    seed: int = 0
    split: str = "train"

    def __post_init__(self) -> None:
        _check(self.split)

    def __len__(self) -> int:
        return self.identities * self.views * self.captions

    def __getitem__(self, index: int) -> Record:
        view = index // self.captions
        return {"image": _figure(self, view), "label": view // self.views}

    def column(self, field: str) -> Int64[np.ndarray, " N"]:
        return np.arange(len(self)) // (self.views * self.captions) if field == "label" else super().column(field)

    def rows(self) -> Int64[np.ndarray, "N 8"]:
        """The true `ATTRIBUTES` of every record."""
        identities = np.arange(self.identities)
        return attributes(_draws(self, identities, 1)).repeat(self.views * self.captions, 0)

    def digest(self) -> str:
        return self.wardrobe.digest()


@dataclass(frozen=True)
class Garments(Source):
    """Single garments somewhere on the canvas: {"image": uint8 (height, width, 3), "label": kind x colour}.

    They are what anybody has pictures of: no person is in them.

    >>> from stagejax.data import Digits
    >>> source = Garments(Wardrobe(Objects(Digits(), CLOTHES), 8, None), count=5)
    >>> source[4]["image"].shape, source.rows().shape
    ((40, 20, 3), (5, 2))
    """

    wardrobe: Wardrobe = field(default_factory=Wardrobe)
    count: int = 6000
    seed: int = 0
    split: str = "train"

    def __post_init__(self) -> None:
        _check(self.split)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Record:
        kind, colour = self.rows()[index]
        return {"image": _garment(self, index), "label": int(kind) * len(PAINTS) + int(colour)}

    def rows(self) -> Int64[np.ndarray, "N 2"]:
        """The kind, of `SINGLE`, and the colour of every record."""
        return _kinds(self)

    def digest(self) -> str:
        return self.wardrobe.digest()


def attributes(draws: Float64[np.ndarray, "n d"]) -> Int64[np.ndarray, "n 8"]:
    """`ATTRIBUTES` of numbers in [0, 1), all values equally often; two people of five have a bag.

    >>> attributes(np.full((1, 8), 0.99)).tolist()
    [[4, 7, 1, 7, 2, 7, -1, -1]]
    """
    sizes = np.array(list(ATTRIBUTES.values()))
    found = (draws[:, :8] * sizes).astype(np.int64)
    found[:, 6:] = np.where(draws[:, 6:7] < 0.4, found[:, 6:], -1)
    return found


def phrases(row: Sequence[int], told: bool = True) -> dict[str, str]:
    """What can be said of a row of `ATTRIBUTES`, by place; of a value -1 nothing.

    Args:
      told: whether the colours of shoes and bag are said.

    >>> phrases([2, 0, 0, 2, 1, 4, -1, -1])
    {'upper': 'a red coat', 'lower': 'blue trousers', 'shoes': 'white boots'}
    """
    upper, top, lower, bottom, shoes, sole, bag, strap = row
    skirt = "a " if LOWER[lower] == "skirt" else ""
    said = {
        "upper": f"a {PAINT_NAMES[top]} {UPPER[upper]}",
        "lower": f"{skirt}{PAINT_NAMES[bottom]} {LOWER[lower]}",
        "shoes": (f"{PAINT_NAMES[sole]} " if told and sole >= 0 else "") + f"{SHOES[shoes]}s",
    }
    if bag < 0:
        return said
    return said | {"bag": f"a {PAINT_NAMES[strap]} bag" if told and strap >= 0 else "a bag"}


def phrase(kind: int, colour: int) -> str:
    """A single garment in words.

    >>> phrase(1, 0), phrase(8, 2)
    ('red trousers', 'a blue bag')
    """
    name = SINGLE[kind]
    many = name in (*SHOES, "trousers")
    return ("" if many else "a ") + f"{PAINT_NAMES[colour]} {name}" + ("s" if name in SHOES else "")


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """An image sampled at height x width places.

    >>> resized(np.arange(6).reshape(2, 3), 4, 3).tolist()
    [[0, 1, 2], [0, 1, 2], [3, 4, 5], [3, 4, 5]]
    """
    y, x = ((np.arange(n) + 0.5) * size // n for n, size in zip((height, width), image.shape[:2], strict=True))
    return image[y.astype(int)[:, None], x.astype(int)]


def lay(canvas: np.ndarray, grey: np.ndarray, colour: Any, top: int, left: int) -> None:
    """A grey picture in a colour over the canvas, as far as it is on it; it covers as much as it is bright."""
    (Y, X), (y, x) = canvas.shape[:2], grey.shape
    seen = grey[max(0, -top) : max(0, min(y, Y - top)), max(0, -left) : max(0, min(x, X - left))]
    under = canvas[max(0, top) : max(0, top) + seen.shape[0], max(0, left) : max(0, left) + seen.shape[1]]
    alpha = seen[..., None] ** 0.5
    under[...] = alpha * seen[..., None] * np.asarray(colour, np.float32) + (1 - alpha) * under


# --- drawing ---


def _check(split: str) -> None:
    if split not in SPLITS:
        raise ValueError(f"there are the splits {', '.join(SPLITS)}, not split={split!r}")


def _draws(source: Any, numbers: np.ndarray, stream: int) -> Float64[np.ndarray, "n d"]:
    """Numbers in [0, 1): a stream of identities, one of their garments, one of views."""
    seed = (source.seed * len(SPLITS) + list(SPLITS).index(source.split)) * 8 + stream
    return uniforms(random_words(seed, np.asarray(numbers), _DRAWS))


@functools.lru_cache(maxsize=1 << 14)
def _figure(source: People, view: int) -> np.ndarray:
    """One view of a person."""
    wardrobe, split = source.wardrobe, source.split
    identity = np.array([view // source.views])
    row = attributes(_draws(source, identity, 1))[0].tolist()
    which = _draws(source, identity, 2)[0]
    moved = _draws(source, np.array([view]), 3)[0]
    unit, middle = min(wardrobe.height / 40, wardrobe.width / 20), wardrobe.height / 2
    scale = unit * (0.9 + 0.2 * moved[0])
    down, right = unit * (4 * moved[1] - 2), unit * (4 * moved[2] - 2)
    canvas = wardrobe.background(split, moved[3])

    def wear(kind: str, colour: int, draw: float, top: float, left: float, size: float) -> None:
        pool, side = wardrobe.garments(kind, split), max(1, round(scale * size))
        picture = resized(pool[int(draw * len(pool))], side, side)
        at = round(scale * (top - 20) + middle + down), round(scale * (left - 10) + wardrobe.width / 2 + right)
        lay(canvas, picture, PAINTS[PAINT_NAMES[colour]], *at)

    disc = np.hypot(*np.mgrid[-2.5:3.5, -2.5:3.5]) < 3
    side = max(1, round(scale * 6))
    at = round(scale * -19 + middle + down), round(scale * -3 + wardrobe.width / 2 + right)
    lay(canvas, resized(disc.astype(np.float32), side, side), _SKIN, *at)
    for left in (3.0, 10.0):
        wear(SHOES[row[4]], row[5], which[0], 32.0, left, 7.0)
    wear(LOWER[row[2]], row[3], which[1], 19.0, 3.0, 14.0)
    wear(UPPER[row[0]], row[1], which[2], 6.0, 3.0, 14.0)
    if row[6] >= 0:
        wear("bag", row[7], which[3], 17.0, 11.0, 9.0)
    canvas *= 0.7 + 0.5 * moved[4]
    if moved[5] < 0.3:  # something in front
        width, place = max(1, round(3 * unit)), moved[6]
        if moved[7] < 0.5:
            canvas[int(place * wardrobe.height) :][:width] = moved[8]
        else:
            canvas[:, int(place * wardrobe.width) :][:, :width] = moved[8]
    return as_bytes(canvas)


@functools.lru_cache(maxsize=1 << 14)
def _garment(source: Garments, index: int) -> np.ndarray:
    """One garment of any size somewhere."""
    kind, colour = source.rows()[index].tolist()
    moved, wardrobe = _draws(source, np.array([index]), 5)[0], source.wardrobe
    pool = wardrobe.garments(SINGLE[kind], source.split)
    side = round(min(wardrobe.height / 40, wardrobe.width / 20) * (7 + 12 * moved[0]))
    canvas = wardrobe.background(source.split, moved[1])
    top, left = (round(moved[n] * (free - side)) for n, free in ((2, wardrobe.height), (3, wardrobe.width)))
    lay(canvas, resized(pool[int(moved[4] * len(pool))], side, side), PAINTS[PAINT_NAMES[colour]], top, left)
    return as_bytes(canvas * (0.7 + 0.5 * moved[5]))


@functools.lru_cache(maxsize=16)
def _kinds(source: Garments) -> Int64[np.ndarray, "N 2"]:
    draws = _draws(source, np.arange(source.count), 4)
    return (draws[:, :2] * (len(SINGLE), len(PAINTS))).astype(np.int64)


@functools.lru_cache(maxsize=8)
def _photographs(source: Source, field: str, limit: int, split: str) -> Float32[np.ndarray, "n y x 3"]:
    rows = [i for i in range(min(limit, len(source))) if i % 10 in SPLITS[split]]
    return np.stack([np.asarray(source[i][field]) for i in rows]).astype(np.float32) / np.float32(255)
