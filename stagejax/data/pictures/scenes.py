"""Detection scenes: digits of a source placed on a canvas, with their boxes, under several weathers; and sites."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import jax
import numpy as np
from jaxtyping import Float32, Int64, UInt8

from stagejax.data.order import random_words, shuffled
from stagejax.data.pictures.tasks import resized
from stagejax.data.pipeline import Batch, Data, joint_digest
from stagejax.data.sources import EmptySource, Record, Source

#: The label of a place in a list of boxes that holds no box.
NO_BOX = -1
_TRIES = 20  # to place an object where it overlaps no other


def cloudy(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The scene as it is."""
    return image


def overcast(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two fifths of the contrast are left, and each pixel is the mean of 3 x 3."""
    padded = np.pad(image, 1, mode="edge")
    size = image.shape[0]
    return 0.3 + 0.4 * sum(padded[i : i + size, j : j + size] for i in range(3) for j in range(3)) / 9


def rainy(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Oblique bright streaks, one for every three columns."""
    wet, size = 0.85 * image, image.shape[0]
    for _ in range(size // 3):
        y, x, length = rng.integers(size), rng.integers(size), rng.integers(size // 8, size // 4)
        steps = np.arange(length)
        wet[(y + steps) % size, (x + steps // 2) % size] += rng.uniform(0.15, 0.4)
    return wet


def snowy(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Flakes of two by two pixels through which two fifths are seen, one for every two columns, and noise."""
    white, size = 0.1 + 0.9 * image, image.shape[0]
    for y, x in rng.integers(0, size - 1, (size // 2, 2)):
        white[y : y + 2, x : x + 2] = 0.4 * white[y : y + 2, x : x + 2] + 0.54
    return white + rng.normal(0, 0.05, image.shape)


#: What the weather does to a scene (Y, X) of values from 0 to 1.
WEATHERS: Mapping[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "cloudy": cloudy,
    "overcast": overcast,
    "rainy": rainy,
    "snowy": snowy,
}


@dataclass(frozen=True)
class Scenes(Source):
    """Scenes of one to `most` objects that do not overlap, addressed by index, under weathers that take turns.

    Records are {"image": float32 (size, size, 1) from 0 to 1, "boxes": float32 (most, 4), "labels": int32 (most,)}.
    A box is (top, left, bottom, right) around an object's ink, in shares of the canvas; places without an object have
    the label `NO_BOX`. Record i is drawn from the seed, the split, its weather and i // (number of weathers): a source
    of several weathers holds the records of those of one weather each.

    Args:
      objects: grey images with labels; a split takes its objects from the same split of these.
      weathers: names among `WEATHERS`.
      sides: smallest and largest side of an object's image in pixels.

    >>> from stagejax.data import Digits
    >>> scenes = Scenes(Digits(), 8, ("cloudy", "rainy"))
    >>> rainy = Scenes(Digits(), 4, ("rainy",))
    >>> scenes[3]["image"].shape, bool((scenes[3]["image"] == rainy[1]["image"]).all())
    ((48, 48, 1), True)
    """

    objects: Source
    count: int
    weathers: tuple[str, ...] = ("cloudy",)
    size: int = 48
    sides: tuple[int, int] = (12, 18)
    most: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if unknown := set(self.weathers) - set(WEATHERS):
            raise ValueError(f"weathers {sorted(unknown)} are unknown: choose among {', '.join(WEATHERS)}")
        if not 0 < self.sides[0] <= self.sides[1] <= self.size:
            raise ValueError(f"sides={self.sides} do not lie between 1 and size={self.size}, in order")

    @property
    def split(self) -> str:  # type: ignore[override]
        return self.objects.split

    def of_split(self, split: str) -> Source:
        return replace(self, objects=self.objects.of_split(split))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < self.count:
            raise IndexError(f"record {index} of {self.count}")
        number, turn = divmod(index, len(self.weathers))
        return _scene(replace(self, count=1, weathers=(self.weathers[turn],)), number)

    def digest(self) -> str:
        own = (self.count, self.weathers, self.size, self.sides, self.most, self.seed)
        return joint_digest(self.objects.digest(), str(own))


@functools.lru_cache(maxsize=1 << 14)
def _scene(scenes: Scenes, number: int) -> Record:
    weather = scenes.weathers[0]
    purpose = (scenes.seed * len(WEATHERS) + list(WEATHERS).index(weather)) * 2 + (scenes.split != "train")
    rng = np.random.default_rng(int(random_words(purpose, np.array([number]), 1)[0, 0]))
    canvas = _ground(scenes.size, rng)
    boxes, labels = np.zeros((scenes.most, 4), np.float32), np.full(scenes.most, NO_BOX, np.int32)
    taken: list[tuple[int, int, int, int]] = []
    for _ in range(rng.integers(1, scenes.most + 1)):
        image, label = _object(scenes.objects, int(rng.integers(len(scenes.objects))))
        side = int(rng.integers(scenes.sides[0], scenes.sides[1] + 1))
        ink = resized(image, side)[..., 0]
        for y, x in rng.integers(0, scenes.size - side + 1, (_TRIES, 2)):
            if all(y >= b or x >= r or y + side <= t or x + side <= left for t, left, b, r in taken):
                under = canvas[y : y + side, x : x + side]
                under += ink * (rng.uniform(0.75, 1.0) - under)
                rows, columns = (np.flatnonzero((ink > 0.2).any(axis)) for axis in (1, 0))
                boxes[len(taken)] = (y + rows[0], x + columns[0], y + rows[-1] + 1, x + columns[-1] + 1)
                labels[len(taken)] = label
                taken.append((y, x, y + side, x + side))
                break
    seen = np.clip(WEATHERS[weather](canvas, rng), 0, 1).astype(np.float32)[..., None]
    return {"image": seen, "boxes": boxes / np.float32(scenes.size), "labels": labels}


def framed(images: Float32[np.ndarray, "b y x p"], boxes: Sequence[np.ndarray]) -> UInt8[np.ndarray, "b y x 3"]:
    """Pictures of grey images with red frames of one pixel where the boxes (n, 4) of each are.

    >>> int((framed(np.zeros((1, 8, 8, 1), np.float32), [np.array([[0.0, 0.0, 0.5, 0.5]])])[..., 0] > 0).sum())
    12
    """
    seen, size = np.repeat(images[..., :1], 3, -1), images.shape[1]
    for image, own in zip(seen, boxes, strict=True):
        for top, left, bottom, right in np.clip(np.rint(own * size).astype(int) - [0, 0, 1, 1], 0, size - 1):
            image[[top, bottom], left : right + 1] = image[top : bottom + 1, [left, right]] = (1.0, 0.2, 0.2)
    return (255 * np.clip(seen, 0, 1)).astype(np.uint8)


def _ground(size: int, rng: np.random.Generator) -> Float32[np.ndarray, "y x"]:
    """A grey ramp in some direction."""
    down, right = rng.uniform(-0.15, 0.15, 2)
    y, x = np.mgrid[:size, :size] / size - 0.5
    return (0.25 + down * y + right * x).astype(np.float32)


@functools.lru_cache(maxsize=1 << 13)
def _object(source: Source, row: int) -> tuple[Float32[np.ndarray, "y x 1"], int]:
    """An image from 0 (ground) to 1 (its brightest ink), and its label."""
    record = source[row]
    image = np.asarray(record["image"], np.float32)
    image = image.reshape(*image.shape[:2], 1)
    return image / max(1e-6, float(image.max())), int(record["label"])


@dataclass(frozen=True, kw_only=True)
class Detection(Data):
    """{"image": (batch, *shape) from 0 to 1, "boxes": (batch, most, 4), "labels": (batch, most)}, as in `Scenes`.

    Args:
      source: of such records.
      batch: images in a global batch.
      shape: height, width, channels.
      most: boxes of a record, those that are none included.
      seed: of the order.
      count: number of batches; None: endless.

    >>> from stagejax.data import Digits
    >>> data = Detection(source=Scenes(Digits(), 8), batch=4)
    >>> with data.batches() as batches:
    ...     next(batches)["boxes"].shape
    (4, 3, 4)
    """

    source: Source
    batch: int
    shape: tuple[int, int, int] = (48, 48, 1)
    most: int = 3
    seed: int = 0
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return {
            "image": jax.ShapeDtypeStruct(self.shape, np.float32),
            "boxes": jax.ShapeDtypeStruct((self.most, 4), np.float32),
            "labels": jax.ShapeDtypeStruct((self.most,), np.int32),
        }

    def size(self) -> int:
        if len(self.source) == 0:
            raise EmptySource(f"{self.source} holds no record")
        first = self.source[0]
        found = np.shape(first["image"]), np.shape(first["boxes"])
        if found != (self.shape, (self.most, 4)):
            raise ValueError(
                f"{self.source} has images and boxes of shapes {found}, but shape={self.shape} and most={self.most}. "
                "Set them to the source's."
            )
        return len(self.source)

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        return shuffled(self.seed, numbers, len(self.source))

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        records = [self.source[int(row)] for row in self.records(numbers)]
        return {name: np.stack([record[name] for record in records]) for name in self.sample_spec()}

    def digest(self) -> str:
        return self.source.digest()


@dataclass(frozen=True, kw_only=True)
class Sites(Data):
    """Sample n is sample n of the server's data, labels included, with `clients`: sample n's image of every client.

    Labels of clients are not in the batch. Each site goes through its own epochs in its own order.

    Args:
      server: labelled.
      clients: of the same batch and shape of images.

    >>> from stagejax.data import Digits
    >>> data = [Detection(source=Scenes(Digits(), 8, (w,)), batch=4) for w in ("cloudy", "rainy", "snowy")]
    >>> {name: leaf.shape for name, leaf in Sites(server=data[0], clients=tuple(data[1:])).spec().items()}
    {'image': (4, 48, 48, 1), 'boxes': (4, 3, 4), 'labels': (4, 3), 'clients': (4, 2, 48, 48, 1)}
    """

    server: Data
    clients: tuple[Data, ...]
    count: int | None = None

    def __post_init__(self) -> None:
        batches = {data.batch for data in (self.server, *self.clients)}
        shapes = {data.sample_spec()["image"].shape for data in (self.server, *self.clients)}
        if not self.clients or len(batches) > 1 or len(shapes) > 1:
            raise ValueError(
                f"{len(self.clients)} clients, batches {sorted(batches)}, images {sorted(shapes)}: give one client or "
                "more, and all sites the same batch and shape"
            )

    @property
    def batch(self) -> int:  # type: ignore[override]
        return self.server.batch

    @property
    def samples(self) -> int:
        """Images of all sites in a global batch."""
        return self.batch * (1 + len(self.clients))

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        own = self.server.sample_spec()
        return own | {"clients": jax.ShapeDtypeStruct((len(self.clients), *own["image"].shape), own["image"].dtype)}

    def size(self) -> int:
        return self.server.size()

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        images = [data.take(numbers)["image"] for data in self.clients]
        return self.server.take(numbers) | {"clients": np.stack(images, axis=1)}

    def digest(self) -> str:
        return joint_digest(self.server.digest(), *(data.digest() for data in self.clients))
