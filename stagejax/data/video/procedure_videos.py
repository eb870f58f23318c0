"""Videos of procedures: real images of named items that are taken, painted, turned, moved, boxed ... one after another.

The images are real (clothes, digits; photographs where the camera looks away), what happens to them is a program.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32

from stagejax.data.multimodal.composites import COLORS, SPLITS, Objects
from stagejax.data.pictures.tasks import resized
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Digits, Record, Source
from stagejax.data.video import guidelines as steps
from stagejax.data.video.guidelines import MOST, PLACES, Task, said_of_step, tasks, varied, vocabulary
from stagejax.data.video.moving import pools
from stagejax.data.vocabulary.words import Words

_KEPT = 32  # rows and columns up to which videos are kept in memory
#: Photographs of a split that are shown, at most.
PHOTOS = 500
_SMALL, _DARK = 0.55, 0.4  # of an item that was shrunk, and of one that was dimmed


@dataclass(frozen=True)
class Family:
    """Items that one word stands for in a guideline, such as garments."""

    name: str
    objects: Objects

    @property
    def items(self) -> tuple[str, ...]:
        """The names of its kinds."""
        return tuple(name for name in self.objects.names if name)


@dataclass(frozen=True)
class ProcedureVideos(Source):
    """Videos of tasks, `videos` of each task one behind another, addressed by index.

    Records are {"video": uint8 (frames, size, size, 3), "shown": number of frames, "steps": texts, "links": the step of
    the guideline that each carries out (from 1 on; 0: none), "bounds": first frame and the one behind the last of each
    step, "task", "guideline": texts, "query", "domain", and as numbers the
    "operations", "item", "second" and "color"}. Record i is a function of the declaration and i: items, their
    images, colours and places; with probability `varied` a step more or two neighbours swapped. A step takes two or
    three frames in which the change comes about; with probability `pauses` a frame passes behind it; every frame is
    with probability `away` a photograph of something else. Splits share no image and no sequence of operations.

    Args:
      families: of items; at least two.
      count: tasks.
      videos: of each task.
      photos: where the camera looks away, as `x` or `image`; None: a grey frame.
      frames: at most; pauses beyond are left out.
      size, side: rows and columns of a frame, and of an item in its quarter.
      noise: standard deviation of every pixel, of 1.

    Raises:
      ValueError: an unknown split, items that are larger than a quarter, or too few frames for all steps.

    >>> from stagejax.data import Digits
    >>> video = toy(4)[0]
    >>> video["video"].shape, video["steps"][0], video["guideline"][0]
    ((20, 16, 16, 3), 'take four', 'choose any even')
    """

    families: tuple[Family, ...]
    count: int
    videos: int = 8
    photos: Source | None = None
    frames: int = 20
    size: int = 24
    side: int = 11
    colors: tuple[str, ...] = ("red", "green", "blue", "yellow")
    varied: float = 0.3
    pauses: float = 0.3
    away: float = 0.15
    noise: float = 0.05
    seed: int = 0
    split: str = "train"

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"split={self.split!r}: choose among {', '.join(SPLITS)}")
        if self.side > self.size // 2 or self.frames < 3 * MOST:
            raise ValueError(
                f"side={self.side} must fit into half of size={self.size}, frames={self.frames} be {3 * MOST} or more"
            )

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks of this split."""
        return tasks(self.split, self.count, tuple(family.name for family in self.families))

    @property
    def words(self) -> Words:
        """A tokenizer of all steps and guidelines."""
        items = [item for family in self.families for item in family.items]
        return Words(vocabulary([family.name for family in self.families], items, self.colors))

    def __len__(self) -> int:
        return self.count * self.videos

    def __getitem__(self, index: int) -> Record:
        made = _video if self.size <= _KEPT else _video.__wrapped__
        return made(self, range(len(self))[index])

    def told(self, index: int) -> Record:
        """All of a record but its frames."""
        return _Take(self, range(len(self))[index]).told()

    def digest(self) -> str:
        """The sha256 of the images that are shown."""
        found = [family.objects.source.digest() for family in self.families]
        return joint_digest(*found, *([self.photos.digest()] if self.photos else []))


@functools.lru_cache(maxsize=1 << 13)
def _video(source: ProcedureVideos, index: int) -> Record:
    take = _Take(source, index)
    return take.told() | {"video": take.filmed()}


class _Take:
    """One video in the making."""

    def __init__(self, source: ProcedureVideos, index: int) -> None:
        self.source, self.number = source, index // source.videos
        self.rng = rng = np.random.default_rng([source.seed, list(SPLITS).index(source.split), index])
        self.task = source.tasks[self.number]
        by_name = {family.name: family for family in source.families}
        self.item, self.second = (self._pick(by_name[name].items) for name in self.task.families)
        if self.item == self.second:
            raise ValueError(f"{self.item!r} is of two families: give each kind to one")
        self.color = self._pick(source.colors)
        self.done = varied(self.task.operations, source.varied, rng.random(4).tolist())
        places = rng.permutation(4).tolist()
        self.place, self.other, self.later = places[:3]
        spent = 2 + (rng.random(len(self.done)) < 0.5)
        free = source.frames - int(spent.sum())
        pauses = (rng.random(len(self.done)) < source.pauses).astype(int)
        pauses[np.cumsum(pauses) > free] = 0
        starts = np.cumsum([0, *(spent + pauses)])
        self.bounds = [(int(at), int(at + own)) for at, own in zip(starts, spent, strict=False)]
        self.shown = int(starts[-1])

    def _pick(self, own: Any) -> Any:
        return own[int(self.rng.integers(len(own)))]

    def told(self) -> dict[str, Any]:
        """What is done and said."""
        words = self.item, self.second, self.color, PLACES[self.later]
        items = [item for family in self.source.families for item in family.items]
        return {
            "shown": self.shown,
            "steps": tuple(said_of_step(operation, *words) for operation, _ in self.done),
            "links": tuple(link for _, link in self.done),
            "bounds": tuple(self.bounds),
            "task": self.number,
            "guideline": self.task.guideline,
            "query": self.task.query,
            "domain": self.task.domain,
            "operations": tuple(operation for operation, _ in self.done),
            **{name: items.index(own) for name, own in (("item", self.item), ("second", self.second))},
            "color": self.source.colors.index(self.color),
        }

    def filmed(self) -> np.ndarray:
        """The frames."""
        s, rng = self.source, self.rng
        there, angle, scale, second, box, light, painted, moved = self._tracks()
        film = np.zeros((s.frames, s.size, s.size, 3), np.float32)
        corners = np.array(np.divmod([self.place, self.other, self.later], 2)).T * (s.size // 2)
        middles = corners + (s.size // 2 - 1) / 2
        path = middles[0] + moved[:, None] * (middles[2] - middles[0])
        white, color = np.ones(3), np.array(COLORS[self.color])
        tint = (white + painted[:, None] * (color - white)) * light[:, None]
        for name, places, turns, sizes, alpha, tints in (
            (self.second, np.tile(middles[1], (s.frames, 1)), 0 * angle, 0 * scale + 1, second, np.ones((s.frames, 3))),
            (self.item, path, angle, scale, there, tint),
        ):
            ink = _placed(self._image(name), s.size, places, turns, sizes) * alpha[:, None, None]
            film += ink[..., None] * (tints[:, None, None] - film)
        for frame, (y, x), strength in zip(film, path, box, strict=True):
            _surround(frame, y, x, s.size // 2, float(strength))
        film[self.shown :] = 0
        for at in np.flatnonzero(rng.random(self.shown) < s.away):
            film[at] = self._photo()
        film[: self.shown] += rng.normal(0, s.noise, film[: self.shown].shape)
        return np.rint(255 * np.clip(film, 0, 1)).astype(np.uint8)

    def _tracks(self) -> list[np.ndarray]:
        """How far each change has come in every frame, from 0 to 1, or what it has led to."""
        frames = np.arange(self.source.frames)
        progress = {
            operation: np.clip((frames + 1 - start) / (end - start), 0, 1)
            for (operation, _), (start, end) in zip(self.done, self.bounds, strict=True)
        }

        def of(operation: int) -> np.ndarray:
            return progress.get(operation, np.zeros(len(frames)))

        second = of(steps.ADD) * (1 - of(steps.REMOVE))
        light, scale = 1 - (1 - _DARK) * of(steps.DIM), 1 - (1 - _SMALL) * of(steps.SHRINK)
        return [
            of(steps.TAKE),
            90 * of(steps.TURN),
            scale,
            second,
            of(steps.BOX),
            light,
            of(steps.PAINT),
            of(steps.MOVE),
        ]

    def _image(self, name: str) -> Float32[np.ndarray, "s s"]:
        family = next(family for family in self.source.families if name in family.items)
        found = pools((family.objects,), self.source.split, self.source.side)
        return self._pick(found[family.items.index(name)])

    def _photo(self) -> np.ndarray:
        s = self.source
        if s.photos is None:
            return np.full((s.size, s.size, 3), 0.5, np.float32)
        photos = s.photos.of_split("train" if s.split == "train" else "test")
        return _reduced(
            photos, int(self.rng.integers(min(len(photos), 2 * PHOTOS) // 2)) * 2 + (s.split == "test"), s.size
        )


@functools.lru_cache(maxsize=2 * PHOTOS)
def _reduced(photos: Source, row: int, size: int) -> Float32[np.ndarray, "size size 3"]:
    record = photos[row]
    return resized(np.asarray(record["x" if "x" in record else "image"], np.float32) / 255, size)


def _placed(
    image: Float32[np.ndarray, "s s"], size: int, middles: np.ndarray, angles: np.ndarray, scales: np.ndarray
) -> Float32[np.ndarray, "F size size"]:
    """An image about a middle, turned (degrees) and resized, in every frame; bilinear, 0 beyond its border."""
    side, turn = len(image), np.deg2rad(angles)
    cos, sin = (np.float32(f(turn) / scales)[:, None, None] for f in (np.cos, np.sin))
    y, x = np.arange(size)[:, None], np.arange(size)
    down, right = (np.float32(line - middle[:, None, None]) for line, middle in zip((y, x), middles.T, strict=True))
    padded, centre, made = (
        np.pad(image, 2),
        np.float32((side + 3) / 2),
        np.zeros((len(middles), size, size), np.float32),
    )
    places = [np.clip(own + centre, 0, side + 2) for own in (cos * down + sin * right, cos * right - sin * down)]
    lows = [own.astype(np.int32) for own in places]
    parts = [own - low for own, low in zip(places, lows, strict=True)]
    flat, start = padded.ravel(), lows[0] * (side + 4) + lows[1]
    for dy, dx in np.ndindex(2, 2):
        weight = (parts[0] if dy else 1 - parts[0]) * (parts[1] if dx else 1 - parts[1])
        made += weight * flat[start + dy * (side + 4) + dx]
    return made


def _surround(frame: np.ndarray, y: float, x: float, width: int, strength: float) -> None:
    """A grey outline about a middle."""
    if not strength:
        return
    top, left = round(y - (width - 1) / 2), round(x - (width - 1) / 2)
    outline = np.zeros(frame.shape[:2], bool)
    outline[top : top + width, left : left + width] = True
    outline[top + 1 : top + width - 1, left + 1 : left + width - 1] = False
    frame[outline] += strength * (0.7 - frame[outline])


def toy(count: int, **fields: Any) -> ProcedureVideos:
    """Small videos of scikit-learn's digits, for tests.

    >>> len(toy(3))
    24
    """

    def named(parity: int) -> tuple[str, ...]:
        names = ("zero", "one", "two", "three", "four")
        return tuple(name if at % 2 == parity and at else "" for at, name in enumerate(names))

    families = Family("even", Objects(Digits(), named(0))), Family("odd", Objects(Digits(), named(1)))
    return ProcedureVideos(families, count, **({"size": 16, "side": 8} | fields))


def real_procedures(source: Any, count: int, named: tuple[str, str] = ("x", "y"), **fields: Any) -> ProcedureVideos:
    """Clothes of Fashion-MNIST, digits of MNIST, and photographs of CIFAR-10 where the camera looks away.

    Args:
      source: of a name, such as `Dataset`.
      named: the fields of images and labels.
    """
    digits, clothes = source("mnist"), source("fashion_mnist")
    kinds = {
        "garment": (clothes, {0: "t-shirt", 1: "trousers"}),
        "accessory": (clothes, {8: "bag", 9: "boot"}),
        "even": (digits, {0: "zero", 4: "four"}),
        "odd": (digits, {1: "one", 7: "seven"}),
    }
    families = tuple(
        Family(name, Objects(own, tuple(names.get(label, "") for label in range(10)), image=named[0], label=named[1]))
        for name, (own, names) in kinds.items()
    )
    return ProcedureVideos(families, count, photos=source("cifar10"), **fields)
