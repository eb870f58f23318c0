"""Image tasks cut out of sources: some classes, at one size; and digits whose colour tells their class."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from stagejax.data.named import Dataset, read_npz
from stagejax.data.order import random_words, shuffled, uniforms
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Record, Source

_SMALL = 64  # height and width up to which resized images are kept in memory: 65,536 of them


@dataclass(frozen=True)
class Part:
    """Some classes of a source; None: all, in which case no label is read before its record."""

    source: Source
    classes: tuple[int, ...] | None = None


@dataclass(frozen=True)
class ImageTask(Source):
    """The images of some classes of one or several sources, resized, with labels counted on from part to part.

    Records are {"image": float32 (size, size, channels) from 0 to 1, "label"}. Of each part, `limit` records from
    number `skip` on are taken, in an order that has nothing to do with the source's.

    Args:
      parts: sources and classes.
      size: height and width of a record, border included.
      border: empty pixels on each side, around the resized image.
      skip, limit: of each part; limit=None takes all. Another split is whole.

    >>> from stagejax.data import Digits
    >>> task = ImageTask((Part(Digits(), (0, 1)), Part(Digits(), (7,))), size=4, limit=50)
    >>> len(task), task[0]["image"].shape, sorted({task[i]["label"] for i in range(len(task))})
    (100, (4, 4, 1), [0, 1, 2])
    """

    parts: tuple[Part, ...]
    size: int
    border: int = 0
    skip: int = 0
    limit: int | None = None

    @property
    def split(self) -> str:  # type: ignore[override]
        return self.parts[0].source.split

    def of_split(self, split: str) -> Source:
        if split == self.split:
            return self
        parts = tuple(replace(part, source=part.source.of_split(split)) for part in self.parts)
        return replace(self, parts=parts, skip=0, limit=None)

    def _rows(self) -> list[tuple[int, int, int]]:
        return _rows(self.parts, self.skip, self.limit)

    def __len__(self) -> int:
        return len(self._rows())

    def __getitem__(self, index: int) -> Record:
        part, row, first = self._rows()[index]
        read = _record if self.size <= _SMALL else _record.__wrapped__
        image, label = read(self.parts[part].source, row, self.size, self.border)
        classes = self.parts[part].classes
        return {"image": image, "label": first + (label if classes is None else classes.index(label))}

    def digest(self) -> str:
        return joint_digest(*(part.source.digest() for part in self.parts), f"{self.skip}:{self.limit}:{self.size}")


@dataclass(frozen=True)
class Coloured(Source):
    """A task of ten classes in colour: the colour of class c with a certain probability, otherwise that of another.

    Record i belongs to environment i modulo the number of environments, each with its own probability; the field
    `environment` says which. The shape of a digit tells its class everywhere, its colour only as far as that holds.

    Reference: after Arjovsky et al. 2019 (coloured MNIST), https://arxiv.org/abs/1907.02893, section 5.2.

    Args:
      task: grey images.
      agreement: of each environment.
      shifted: of the held-out split; 0.1 makes ten colours random.
    """

    task: ImageTask
    agreement: tuple[float, ...] = (0.98, 0.92)
    shifted: float = 0.1
    seed: int = 0

    @property
    def split(self) -> str:  # type: ignore[override]
        return self.task.split

    def of_split(self, split: str) -> Source:
        if split == self.split:
            return self
        return replace(self, task=self.task.of_split(split), agreement=(self.shifted,), seed=self.seed + 1)

    def __len__(self) -> int:
        return len(self.task)

    def __getitem__(self, index: int) -> Record:
        record, environment = self.task[index], index % len(self.agreement)
        words = random_words(self.seed, np.array([index]), 2)[0]
        agrees = float(uniforms(words)[0]) < self.agreement[environment]
        other = (record["label"] + 1 + int(words[1] % np.uint64(9))) % 10
        colour = PALETTE[record["label"] if agrees else other]
        return {"image": record["image"] * colour, "label": record["label"], "environment": environment}

    def digest(self) -> str:
        return joint_digest(self.task.digest(), f"{self.agreement} {self.seed}")


#: Ten colours of similar strength.
PALETTE = np.array(
    [
        (1.0, 0.2, 0.2), (0.2, 1.0, 0.2), (0.3, 0.3, 1.0), (1.0, 1.0, 0.2), (1.0, 0.2, 1.0),
        (0.2, 1.0, 1.0), (1.0, 0.6, 0.2), (0.6, 0.2, 1.0), (0.2, 0.6, 0.4), (0.8, 0.8, 0.8),
    ],
    np.float32,
)  # fmt: skip


def parts_for_probing(source: ImageTask | Coloured, fit: int, validate: int, test: int) -> list[dict[str, np.ndarray]]:
    """Records to fit a head on, to choose its weight decay on, and to test it on: so many of each part of the task.

    The first two are from the source's own split, the last from its test split.

    >>> from stagejax.data import Digits
    >>> [len(part["label"]) for part in parts_for_probing(ImageTask((Part(Digits()),), size=8), 60, 30, 50)]
    [60, 30, 50]
    """
    whole = source.task if isinstance(source, Coloured) else source
    cuts = [replace(whole, limit=fit), replace(whole, skip=fit, limit=validate)]
    held_out = replace(whole.of_split("test"), limit=test)
    if isinstance(source, Coloured):
        shifted = replace(source.of_split("test"), task=held_out)
        return [all_of(part) for part in (*(replace(source, task=cut) for cut in cuts), shifted)]
    return [all_of(part) for part in (*cuts, held_out)]


def all_of(source: Source) -> dict[str, np.ndarray]:
    """The records of a source, stacked field by field."""
    records = [source[i] for i in range(len(source))]
    return {name: np.stack([record[name] for record in records]) for name in records[0]}


def resized(image: Float[np.ndarray, "y x c"], size: int | tuple[int, int]) -> Float[np.ndarray, "rows columns c"]:
    """The mean over the area of each new pixel, for any ratio of sizes; one number is rows and columns.

    >>> resized(np.arange(4.0, dtype=np.float32).reshape(2, 2, 1), 1).ravel()
    array([1.5], dtype=float32)
    >>> resized(np.array([[0.0, 1.0, 1.0, 0.0]], np.float32)[..., None], (1, 2)).ravel()
    array([0.5, 0.5], dtype=float32)
    """
    shape = (size, size) if isinstance(size, int) else size
    if image.shape[:2] == shape:
        return image
    rows, columns = (_areas(old, new) for old, new in zip(image.shape[:2], shape, strict=True))
    return np.einsum("ay,yxc,bx->abc", rows, image, columns, optimize=True)


@functools.cache
def _areas(old: int, new: int) -> np.ndarray:
    """(new, old): which share of each new cell each old one covers."""
    edges = np.arange(new + 1) * old / new
    low, high = np.maximum(edges[:-1, None], np.arange(old)), np.minimum(edges[1:, None], np.arange(old) + 1)
    return (np.maximum(high - low, 0) * new / old).astype(np.float32)


@functools.lru_cache(maxsize=64)
def _rows(parts: tuple[Part, ...], skip: int, limit: int | None) -> list[tuple[int, int, int]]:
    """For every record of a task: its part, its row in the source, and the first label of the part."""
    found, first = [], 0
    for number, part in enumerate(parts):
        if part.classes is None:
            held = isinstance(part.source, Dataset) and part.source.path() is not None
            rows = np.arange(len(_columns(part.source)[1] if held else part.source))
        else:
            labels = _columns(part.source)[1]
            rows = np.flatnonzero(np.isin(labels, part.classes))
        stop = len(rows) if limit is None else min(len(rows), skip + limit)
        places = shuffled(0, np.arange(skip, stop), len(rows))
        found += [(number, int(row), first) for row in rows[places]]
        first += 0 if part.classes is None else len(part.classes)
    return found


@functools.lru_cache(maxsize=32)
def _columns(source: Source) -> tuple[Any, np.ndarray]:
    """Images and labels of a source: a file's arrays, or None and the labels of its records."""
    path = source.path() if isinstance(source, Dataset) else None
    if path is not None and path.suffix == ".npz":
        arrays = read_npz(path)
        return arrays["x"], arrays["y"]
    return None, np.array([int(source[i]["label"]) for i in range(len(source))])


@functools.lru_cache(maxsize=1 << 16)
def _record(source: Source, row: int, size: int, border: int) -> tuple[Float[np.ndarray, "y x c"], int]:
    """Image (from 0 to 1, with channels, resized) and label of one record."""
    if isinstance(source, Dataset) and source.path() is not None:
        images, labels = _columns(source)
        image, label = images[row], int(labels[row])
    else:
        record = source[row]
        image, label = np.asarray(record["image"]), int(record["label"])
    image = image.astype(np.float32) / np.float32(255 if image.dtype == np.uint8 else 1)
    image = resized(image[..., None] if image.ndim == 2 else image, size - 2 * border)
    return np.pad(image, ((border, border), (border, border), (0, 0))), label
