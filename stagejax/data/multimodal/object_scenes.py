"""Scenes of one to four real objects, of which four questions can be asked: kind, number, place and the larger one."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from stagejax.data.multimodal.triplets import Triplet
from stagejax.data.named import Dataset
from stagejax.data.pictures.acquisition import ACQUISITIONS
from stagejax.data.pictures.tasks import ImageTask, Part, resized
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Digits, EmptySource, Record, Source

KIND, COUNT, PLACE, LARGER = "kind", "count", "place", "larger"
TASKS = (KIND, COUNT, PLACE, LARGER)

#: The answers of each task but "kind", whose answers are an area's own.
ANSWERS: Mapping[str, tuple[str, ...]] = {
    COUNT: ("one", "two", "three", "four"),
    PLACE: ("northwest", "northeast", "southwest", "southeast"),
    LARGER: ("left", "right", "top", "bottom"),
}

#: Which objects are for what: the test has the test split; of the other every tenth is for validation.
SPLITS = ("train", "valid", "test")
_SMALL = 64  # side up to which scenes and resized objects are kept in memory


@dataclass(frozen=True)
class Area:
    """Objects of one sort, in some kinds.

    Args:
      name: of the area.
      source: its images, with the fields `image` and `label`.
      kinds: the word for each, and the labels that are of it.
      limit: how many of the first images of a split are read.
    """

    name: str
    source: Source
    kinds: tuple[tuple[str, tuple[int, ...]], ...]
    limit: int = 4000

    def answers(self, task: str) -> tuple[str, ...]:
        """What may be answered to a task."""
        return tuple(word for word, _ in self.kinds) if task == KIND else ANSWERS[task]


@dataclass(frozen=True)
class Subset(Source):
    """The scenes of one triplet, answers equally often. Records are {"image": float32 (side, side, 1), "label"}.

    Scene i is drawn by (triplet, split, seed, i). Splits share no object. The label is a place in `answers`.

    - kind: one object, 0.6 of the side in size
    - count: one to four, each somewhere in a quarter of its own
    - place: one in a quarter
    - larger: two, one of them 0.5 to 0.8 of the other in size, side by side or one above the other

    Args:
      triplet: modality (of `ACQUISITIONS`), the area's name, and the task.
      area: the objects.
      count: of scenes.
      side: height and width in pixels.
      seed: of what is drawn.

    Raises:
      ValueError: an unknown modality, task or split, or the triplet is of another area.

    >>> from stagejax.data import Digits
    >>> digits = Area("digits", Digits(), (("zero", (0,)), ("one", (1,)), ("seven", (7,)), ("four", (4,))))
    >>> subset = Subset(Triplet("edges", "digits", "count"), digits, 8)
    >>> [subset[i]["label"] for i in range(8)], subset[0]["image"].shape
    ([0, 1, 2, 3, 0, 1, 2, 3], (32, 32, 1))
    """

    triplet: Triplet
    area: Area
    count: int
    side: int = 32
    seed: int = 0
    split: str = "train"

    def __post_init__(self) -> None:
        modality, area, task = self.triplet
        for what, own, known in (
            ("modality", modality, ACQUISITIONS),
            ("area", area, (self.area.name,)),
            ("task", task, TASKS),
            ("split", self.split, SPLITS),
        ):
            if own not in known:
                raise ValueError(f"{what} {own!r} of {tuple(self.triplet)} is none of {', '.join(known)}")

    @property
    def answers(self) -> tuple[str, ...]:
        """What may be answered."""
        return self.area.answers(self.triplet.task)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Record:
        return {"image": self.images(np.array([index]))[0], "label": self.label(index)}

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self.side, self.side, 1

    def label(self, index: int) -> int:
        """The place of the answer to a scene."""
        return index % len(self.answers)

    def images(self, numbers: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, "n y x 1"]:
        """Some scenes."""
        if self.side <= _SMALL:
            return _all(self)[numbers]
        return _drawn(self, numbers)

    def digest(self) -> str:
        """The sha256 of the objects' source and of how scenes are drawn."""
        own = (tuple(self.triplet), self.count, self.side, self.seed, self.split)
        return joint_digest(self.area.source.digest(), repr(own))


@functools.lru_cache(maxsize=512)
def _all(subset: Subset) -> np.ndarray:
    return _drawn(subset, np.arange(len(subset)))


def _drawn(subset: Subset, numbers: np.ndarray) -> np.ndarray:
    modality, area, task = subset.triplet
    place = (
        list(ACQUISITIONS).index(modality),
        zlib.crc32(area.encode()),
        TASKS.index(task),
        SPLITS.index(subset.split),
    )
    pool, images = _objects(subset.area, subset.split), np.zeros((len(numbers), subset.side, subset.side), np.float32)
    rngs = [np.random.default_rng([subset.seed, *place, int(number)]) for number in numbers]
    for canvas, number, rng in zip(images, numbers, rngs, strict=True):
        for kind, size, box in _layout(task, subset.label(int(number)), subset.side, len(pool), rng):
            paint(canvas, pool[kind], size, box, rng)
    return ACQUISITIONS[modality](images, rngs)[..., None]


Box = tuple[int, int, int, int]  # top, left, height, width


def _layout(task: str, label: int, side: int, kinds: int, rng: np.random.Generator) -> list[tuple[int, int, Box]]:
    """(kind, size, box in which it lies) of each object."""
    half = side // 2
    quarters = [(top, left, half, half) for top in (0, half) for left in (0, half)]
    kind = int(rng.integers(kinds))
    if task == KIND:
        return [(label, int(0.6 * side), (0, 0, side, side))]
    if task == COUNT:
        chosen = rng.permutation(4)[: label + 1]
        return [(kind, half - 2 - int(rng.integers(5)), quarters[int(own)]) for own in chosen]
    if task == PLACE:
        return [(kind, half - 1 - int(rng.integers(4)), quarters[label])]
    halves = [(0, 0, side, half), (0, half, side, half), (0, 0, half, side), (half, 0, half, side)]
    large, small = half - 1 - int(rng.integers(3)), half // 2 + int(rng.integers(3))
    other = label ^ 1  # left and right, top and bottom
    return [(kind, large, halves[label]), (kind, small, halves[other])]


def paint(canvas: np.ndarray, objects: _Sizes, size: int, box: Box, rng: np.random.Generator) -> None:
    """Lay one of some objects somewhere into a box of the canvas; the brighter of two pixels is seen."""
    top, left, height, width = box
    picture = objects.at(size, int(rng.integers(len(objects.pictures))))
    y, x = top + int(rng.integers(height - size + 1)), left + int(rng.integers(width - size + 1))
    under = canvas[y : y + size, x : x + size]
    np.maximum(under, picture, out=under)


class _Sizes:
    """The same pictures at every size that is asked for."""

    def __init__(self, pictures: Float32[np.ndarray, "n y x 1"]) -> None:
        self.pictures = pictures
        self.known: dict[int, np.ndarray] = {}

    def at(self, size: int, number: int) -> np.ndarray:
        if size > _SMALL:
            return resized(self.pictures[number], size)[..., 0]
        if size not in self.known:
            self.known[size] = resized_all(self.pictures[..., 0], size)
        return self.known[size][number]


def resized_all(images: Float32[np.ndarray, "n y x"], size: int) -> Float32[np.ndarray, "n size size"]:
    """`resized` of many: pixels and images change places, as the areas of new pixels are those of one image."""
    rows = resized(np.ascontiguousarray(images.transpose(1, 2, 0)), size)
    return np.ascontiguousarray(rows.transpose(2, 0, 1))


@functools.lru_cache(maxsize=32)
def _objects(area: Area, split: str) -> tuple[_Sizes, ...]:
    """The pictures of each kind, grey, from 0 to 1."""
    source = area.source.of_split("test" if split == "test" else area.source.split)
    rows = np.arange(min(area.limit, len(source)))
    if split != "test":
        rows = rows[(rows % 10 == 9) == (split == "valid")]
    records = [source[int(row)] for row in rows]
    labels = np.array([int(record["label"]) for record in records])
    images = np.stack([np.asarray(record["image"]) for record in records])
    images = images.astype(np.float32) / np.float32(255 if images.dtype == np.uint8 else 1)
    images = images[..., None] if images.ndim == 3 else images.mean(-1, keepdims=True)
    found = tuple(_Sizes(images[np.isin(labels, own)]) for _, own in area.kinds)
    for (word, _), own in zip(area.kinds, found, strict=True):
        if not len(own.pictures):
            raise EmptySource(f"the {split} images of {area.source} show no {word!r}: raise `limit`")
    return found


#: Four kinds of the images of a dataset of so many pixels, by its area's name.
_REAL = {
    "digits": ("mnist", 28, (("zero", (0,)), ("one", (1,)), ("four", (4,)), ("seven", (7,)))),
    "clothes": (
        "fashion_mnist",
        28,
        (("trousers", (1,)), ("upper", (0, 2, 4, 6)), ("shoe", (5, 7, 9)), ("bag", (8,))),
    ),
    "codes": ("usps", 16, (("two", (2,)), ("three", (3,)), ("five", (5,)), ("six", (6,)))),
    "photographs": (
        "cifar10",
        32,
        (("plane", (0,)), ("car", (1, 9)), ("ship", (8,)), ("animal", (2, 3, 4, 5, 6, 7))),
    ),
}


def real_areas() -> tuple[Area, ...]:
    """Digits (MNIST), clothes (Fashion-MNIST), digits of postal codes (USPS), photographs (CIFAR-10, in grey).

    >>> [area.name for area in real_areas()]
    ['digits', 'clothes', 'codes', 'photographs']
    """
    return tuple(
        Area(name, ImageTask((Part(Dataset(data)),), size), kinds) for name, (data, size, kinds) in _REAL.items()
    )


def digit_areas(count: int = 4) -> tuple[Area, ...]:
    """As many areas of the embedded digits, each with other four of them, under names of its own.

    >>> digit_areas()[1].answers("kind")
    ('1-of-1', '2-of-1', '3-of-1', '4-of-1')
    """
    return tuple(
        Area(f"area-{i}", Digits(), tuple((f"{(i + k) % 10}-of-{i}", ((i + k) % 10,)) for k in range(4)))
        for i in range(count)
    )
