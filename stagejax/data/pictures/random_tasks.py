"""Classification tasks by the million from one set of images: sequences of labelled examples, a task for each.

A task is a number. From it follow, by arithmetic, which classes bear which labels, and the key from which a random
linear map of the images is drawn on the device (`stagejax.objectives.in_context.projected`): nothing of it is stored.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace

import jax
import numpy as np
from jaxtyping import Float, Int, Int64

from stagejax.data.order import random_words
from stagejax.data.pipeline import Batch, Data
from stagejax.data.sources import Digits, Source

#: As many tasks as will never repeat.
ENDLESS = 1 << 40
#: Tasks from this number on are held out.
UNSEEN = 1 << 41


@dataclass(frozen=True, kw_only=True)
class RandomTasks(Data):
    """Sample n is a sequence of examples of one task: {"image": float32 (length, pixels), "label": int32 (length,),
    "task": uint32 (2,)}, where `task` is the key of the task's random map.

    Which task it is, and which images of the task's classes, is drawn from (seed, n). Images have zero mean and unit
    variance over the whole set; those with fewer channels than `shape` are repeated along them.

    Args:
      source: images with labels; it is held in memory.
      batch: sequences in a global batch.
      length: examples in a sequence.
      shape: height, width, channels of an image.
      classes: of the source.
      ways: classes of a task.
      tasks: how many there are.
      first: the number of the first; ranges of numbers that do not overlap share no task.
      permuted: whether a task has classes and labels of its own; otherwise label i is class i in all of them.
      family: tasks of the same number in the same family are the same.
      seed: of the draws.
      count: number of batches; None: endless.

    Reference: Kirsch et al. 2022, https://arxiv.org/abs/2212.04458, section 3.

    >>> data = RandomTasks(batch=2, length=5, ways=3, tasks=4)
    >>> sample = data.take(np.arange(100))
    >>> sample["image"].shape, len(np.unique(sample["task"], axis=0)), sorted(set(sample["label"].flat))
    ((100, 5, 64), 4, [np.int32(0), np.int32(1), np.int32(2)])
    """

    source: Source = field(default_factory=Digits)
    batch: int
    length: int
    shape: tuple[int, int, int] = (8, 8, 1)
    classes: int = 10
    ways: int = 10
    tasks: int = ENDLESS
    first: int = 0
    permuted: bool = True
    family: int = 0
    seed: int = 0
    count: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.ways <= self.classes or not 1 <= self.tasks <= ENDLESS or self.length < 1:
            raise ValueError(
                f"ways={self.ways} of classes={self.classes}, tasks={self.tasks}, length={self.length}: each is at "
                f"least 1, ways at most classes, tasks at most {ENDLESS}"
            )

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return {
            "image": jax.ShapeDtypeStruct((self.length, int(np.prod(self.shape))), np.float32),
            "label": jax.ShapeDtypeStruct((self.length,), np.int32),
            "task": jax.ShapeDtypeStruct((2,), np.uint32),
        }

    def size(self) -> int:
        return ENDLESS

    def held_out(self, batches: int, split: str = "test") -> Data:
        """Tasks of which training has none, whatever their number there, on images of the held-out split."""
        source = self.source.of_split(split)
        return replace(self, source=source, tasks=ENDLESS, first=UNSEEN, permuted=True, count=batches)

    def digest(self) -> str:
        return self.source.digest()

    def task_numbers(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Which task each of these samples is of."""
        return self.first + (random_words(self.seed, numbers, 1)[:, 0] % np.uint64(self.tasks)).astype(np.int64)

    def chosen(self, tasks: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, "n ways"]:
        """The class that bears each label of these tasks."""
        if not self.permuted:
            return np.tile(np.arange(self.ways), (len(tasks), 1))
        return np.argsort(random_words(self.family, tasks, 1 + self.classes)[:, 1:], axis=1)[:, : self.ways]

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        images_RD, labels_R = _table(self.source, self.shape)
        rows_R, sizes_C = _by_class(labels_R.tobytes(), self.classes)
        tasks = self.task_numbers(numbers)
        chosen_NW = self.chosen(tasks)
        sizes_NW = sizes_C[chosen_NW]
        ends_NW = sizes_NW.cumsum(1)
        if not ends_NW[:, -1].all():
            raise ValueError(f"{self.source} has no image of the classes of a task: is classes={self.classes} right?")
        drawn_NL = random_words(self.seed, numbers, 1 + self.length)[:, 1:]
        drawn_NL = (drawn_NL % ends_NW[:, -1:].astype(np.uint64)).astype(np.int64)
        label_NL = (drawn_NL[:, :, None] >= ends_NW[:, None]).sum(-1)
        among_NL = drawn_NL - np.take_along_axis(ends_NW - sizes_NW, label_NL, 1)
        first_C = sizes_C.cumsum() - sizes_C
        place_NL = first_C[np.take_along_axis(chosen_NW, label_NL, 1)] + among_NL
        keys_N = random_words(self.family, tasks, 1)[:, 0]
        words_N2 = np.stack([keys_N >> np.uint64(32), keys_N & np.uint64(0xFFFFFFFF)], 1).astype(np.uint32)
        images = images_RD[rows_R[place_NL]]
        repeats = int(np.prod(self.shape)) // images.shape[-1]  # of a grey image along the channels
        return {
            "image": np.repeat(images, repeats, axis=-1),
            "label": label_NL.astype(np.int32),
            "task": words_N2,
        }


@functools.lru_cache(maxsize=16)
def _table(
    source: Source, shape: tuple[int, int, int]
) -> tuple[Float[np.ndarray, "records pixels"], Int[np.ndarray, " records"]]:
    """All images of a source, of zero mean and unit variance, and their labels.

    Raises:
      ValueError: they are not of this shape.
    """
    records = [source[i] for i in range(len(source))]
    stacked = np.stack([record["image"] for record in records])
    stacked = stacked[..., None] if stacked.ndim == 3 else stacked
    if stacked.shape[1:3] != shape[:2] or stacked.shape[3] not in (1, shape[2]):
        raise ValueError(f"{source} has images of shape {stacked.shape[1:]}, but shape={shape}. Set `shape` to theirs.")
    flat = stacked.reshape(len(stacked), -1).astype(np.float32)
    flat -= flat.mean(dtype=np.float64).astype(np.float32)
    flat /= flat.std(dtype=np.float64).astype(np.float32)
    return flat, np.array([record["label"] for record in records], np.int64)


@functools.lru_cache(maxsize=32)
def _by_class(labels: bytes, classes: int) -> tuple[Int64[np.ndarray, " records"], Int64[np.ndarray, " classes"]]:
    """The records in the order of their classes, and how many there are of each."""
    found = np.frombuffer(labels, np.int64)
    return np.argsort(found, kind="stable"), np.bincount(found, minlength=classes)
