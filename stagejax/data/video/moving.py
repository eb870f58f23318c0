"""Moving objects: real images of named kinds that cross a frame and bounce off its walls, with sentences that say so.

The content is real (digits, clothes), the motion is a program: "a seven moves right".
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import jax
import numpy as np
from jaxtyping import Float32, Int64

from stagejax.data.multimodal.captions import padded
from stagejax.data.multimodal.composites import SPLITS, Objects
from stagejax.data.order import random_words, uniforms
from stagejax.data.pictures.tasks import resized
from stagejax.data.pipeline import Batch, joint_digest
from stagejax.data.records import OfRecords
from stagejax.data.sources import EmptySource, Record, Source
from stagejax.data.vocabulary.words import Words

#: Down and right, of each word for a direction.
DIRECTIONS: Mapping[str, tuple[int, int]] = {"right": (0, 1), "left": (0, -1), "down": (1, 0), "up": (-1, 0)}

#: Which sentences a source shows: of five pairs of a kind and a direction (kinds and directions numbered), those whose
#: sum is a multiple of five are unseen.
Sentences = Literal["all", "seen", "unseen"]

_DRAWS = 8  # random words of a record


@dataclass(frozen=True)
class Moving(Source):
    """Clips of one moving object, addressed by index.

    Records are {"video": float32 (frames, size, size, 1) from 0 to 1, "text", "name", "label", "direction", "flawed"}.
    Record i is a function of the declaration and i: the sentence (all equally often), an image of its kind, speed and
    place. The object keeps its direction for `steady` steps at least and is reflected by the walls. Splits share no
    image.

    Args:
      objects: grey images with the words for their kinds, which `label` numbers; kinds whose word is empty are left
        out.
      side: of an object in pixels.
      speeds: pixels a frame.
      flawed: share of clips that are out of focus or whose frames are in disorder, one half each.
      sentences: which are shown.

    Raises:
      ValueError: the object would meet a wall within its `steady` steps wherever it began.

    >>> from stagejax.data import Digits
    >>> from stagejax.data.multimodal.composites import DIGITS
    >>> clip = Moving((Objects(Digits(), DIGITS),), 100, side=8)[3]
    >>> clip["video"].shape, clip["text"]
    ((9, 20, 20, 1), 'a five moves left')
    """

    objects: tuple[Objects, ...]
    count: int
    frames: int = 9
    size: int = 20
    side: int = 12
    speeds: tuple[int, ...] = (1, 2)
    steady: int = 4
    flawed: float = 0.0
    sentences: Sentences = "all"
    seed: int = 0
    split: str = "train"

    def __post_init__(self) -> None:
        if self.split not in SPLITS or self.sentences not in get_args(Sentences):
            raise ValueError(
                f"split={self.split!r}, sentences={self.sentences!r}: choose among {', '.join(SPLITS)}, and among "
                f"{', '.join(get_args(Sentences))}"
            )
        if max(self.speeds) * self.steady > self.size - self.side:
            raise ValueError(
                f"{self.steady} steps of {max(self.speeds)} pixels are longer than the free way of "
                f"size - side = {self.size - self.side}: lower `steady` or `speeds`, or raise `size`"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The words for all kinds."""
        return tuple(name for objects in self.objects for name in objects.names if name)

    @property
    def words(self) -> Words:
        """A tokenizer of all sentences."""
        words = " ".join(("a moves", *DIRECTIONS, *self.names)).split()
        return Words(tuple(dict.fromkeys(words)))

    def pairs(self) -> list[tuple[int, int]]:
        """Label and direction of every sentence that is shown."""
        every = [(label, way) for label in range(len(self.names)) for way in range(len(DIRECTIONS))]
        return [p for p in every if self.sentences == "all" or (sum(p) % 5 == 0) == (self.sentences == "unseen")]

    def sentence(self, label: int, direction: int) -> str:
        """What is said of a clip."""
        return f"a {self.names[label]} moves {list(DIRECTIONS)[direction]}"

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < self.count:
            raise IndexError(f"record {index} of {self.count}")
        words = random_words(self.seed * len(SPLITS) + list(SPLITS).index(self.split), np.array([index]), _DRAWS)[0]
        u = uniforms(words)
        pairs = self.pairs()
        label, direction = pairs[int(u[0] * len(pairs))]
        pool = pools(self.objects, self.split, self.side)[label]
        places = self._places(direction, u[2:5])
        video = np.zeros((self.frames, self.size, self.size, 1), np.float32)
        for frame, (y, x) in zip(video, places, strict=True):
            frame[y : y + self.side, x : x + self.side, 0] = pool[int(u[1] * len(pool))]
        flawed = bool(u[5] < self.flawed)
        if flawed and u[6] < 0.5:
            video = _blurred(video)
        elif flawed:
            video = video[np.argsort(random_words(int(words[7]), np.arange(self.frames), 1)[:, 0])]
        said = {"text": self.sentence(label, direction), "name": f"a {self.names[label]}"}
        return {"video": video, "label": label, "direction": direction, "flawed": flawed, **said}

    def _places(self, direction: int, u: Float32[np.ndarray, " 3"] | np.ndarray) -> Int64[np.ndarray, "frames 2"]:
        """Row and column of the object's corner in every frame."""
        way, free = np.array(list(DIRECTIONS.values())[direction]), self.size - self.side
        speed = self.speeds[int(u[0] * len(self.speeds))]
        start = int(u[1] * (free - speed * self.steady + 1))
        start = free - start if way.sum() < 0 else start
        unfolded = start + way.sum() * speed * np.arange(self.frames)
        along = free - np.abs(unfolded % (2 * free) - free)  # there and back again
        across = np.full(self.frames, int(u[2] * (free + 1)))
        return np.stack([along, across] if way[0] else [across, along], axis=1)

    def digest(self) -> str:
        """The sha256 of the images that move."""
        return joint_digest(*(objects.source.digest() for objects in self.objects))


@dataclass(frozen=True, kw_only=True)
class Clips(OfRecords):
    """Batches of clips with their sentences: {"video": float32 (batch, frames, pixels, pixels, 1), "tokens": int32
    (batch, 4), "label", "direction", "flawed"}.

    Args:
      frames: the first ones of a clip; of a single one the sentence only says what is seen: "a seven".
      pixels: rows and columns, by averaging areas.
    """

    source: Moving
    batch: int
    frames: int = 9
    pixels: int = 20
    seed: int = 0
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        video = jax.ShapeDtypeStruct((self.frames, self.pixels, self.pixels, 1), np.dtype("float32"))
        one = jax.ShapeDtypeStruct((), np.dtype("int32"))
        tokens = jax.ShapeDtypeStruct((4,), np.dtype("int32"))
        return {"video": video, "tokens": tokens, "label": one, "direction": one, "flawed": one}

    @property
    def tokens(self) -> int:
        """Sentences are what clips are told by, not what is learned."""
        return 0

    def size(self) -> int:
        return len(self.source)

    def take_records(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        found = [self.source[int(row)] for row in numbers]
        texts = [record["name" if self.frames == 1 else "text"] for record in found]
        videos = np.stack([record["video"][: self.frames] for record in found])[..., 0]
        tall = videos.reshape(-1, *videos.shape[2:]).transpose(1, 2, 0)  # frames as channels: all at once
        small = resized(tall, self.pixels).transpose(2, 0, 1).reshape(*videos.shape[:2], self.pixels, self.pixels, 1)
        batch = {"video": np.ascontiguousarray(small), "tokens": padded(self.source.words, texts, 4)}
        return batch | {name: np.int32([r[name] for r in found]) for name in ("label", "direction", "flawed")}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), self.source.words.digest())


def centroids(videos: Float32[np.ndarray, "n F y x 1"]) -> Float32[np.ndarray, "n F 2"]:
    """Row and column of the middle of what is bright in every frame."""
    ink = np.maximum(videos[..., 0] - 0.1, 0) + 1e-6
    grid = np.mgrid[: videos.shape[2], : videos.shape[3]].astype(np.float32)
    return (np.einsum("nfyx,dyx->nfd", ink, grid) / ink.sum((2, 3))[..., None]).astype(np.float32)


def directions_of(places: Float32[np.ndarray, "n F 2"], steady: int = 4) -> Int64[np.ndarray, " n"]:
    """The number of the direction in `DIRECTIONS` that middles take in their first `steady` steps; -1: under a pixel.

    >>> directions_of(np.float32([[[5, 5], [5, 4], [5, 3]], [[5, 5], [5, 5], [5, 5]]]), 2).tolist()
    [1, -1]
    """
    along = (places[:, steady] - places[:, 0]) @ np.array(list(DIRECTIONS.values())).T
    return np.where(along.max(1) > 1.0, along.argmax(1), -1)


@functools.lru_cache(maxsize=32)
def pools(objects: tuple[Objects, ...], split: str, side: int) -> list[Float32[np.ndarray, "n s s"]]:
    """The grey images of a split, a list for each kind."""
    found = []
    for each in objects:
        records = [each.source[i] for i in range(min(each.limit, len(each.source)))]
        images = np.stack([np.asarray(record[each.image]) for record in records])
        images = images.reshape(images.shape[:3]).astype(np.float32) / (255 if images.dtype == np.uint8 else 1)
        images = resized(images.transpose(1, 2, 0), side).transpose(2, 0, 1)
        labels = np.array([int(record[each.label]) for record in records])
        mine = np.isin(np.arange(len(labels)) % 10, SPLITS[split])
        for label, name in ((label, name) for label, name in enumerate(each.names) if name):
            found.append(np.ascontiguousarray(images[mine & (labels == label)]))
            if not len(found[-1]):
                raise EmptySource(f"the {split} images of {each.source} show no {name!r}: raise `limit`")
    return found


def _blurred(video: Float32[np.ndarray, "F y x 1"]) -> Float32[np.ndarray, "F y x 1"]:
    """The mean of 5 x 5 pixels."""
    for axis in (1, 2):
        pad = [(2, 2) if i == axis else (0, 0) for i in range(4)]
        whole, size = np.pad(video, pad), video.shape[axis]
        video = sum(np.take(whole, np.arange(i, i + size), axis) for i in range(5)) / np.float32(5)
    return video
