"""Batches of photographs of any size: random views in training, the middle where they are scored."""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Int64

from stagejax.data.images import Images
from stagejax.data.order import random_words
from stagejax.data.pictures.crop import Crop, Middle, View, seen
from stagejax.data.pipeline import Batch, Data
from stagejax.data.sources import Record


@dataclass(frozen=True, kw_only=True)
class Photos(Images):
    """Classification of photographs, uint8 of any size, whose views have the declared `shape`.

    The view of a sample is a function of `seed` and its number alone. What is held out, and what is computed once for
    every record (see `for_every_record`), is the middle. Records are read and decoded by all processors.

    >>> from stagejax.data import Dataset
    >>> data = Photos(source=Dataset("flowers"), batch=32, shape=(224, 224, 3))
    >>> data.held_out(batches=3).crop
    Middle(share=0.875)
    """

    crop: Crop | Middle = field(default_factory=Crop)

    def held_out(self, batches: int, split: str = "test") -> Data:
        return replace(super().held_out(batches, split), crop=self.crop.scored())  # type: ignore[call-arg]

    def check(self, record: Record) -> None:
        if self.image not in record or self.label not in record:
            raise ValueError(
                f"a record of {self.source} has the fields {sorted(record)}, but image={self.image!r} and "
                f"label={self.label!r}. Set `image` and `label` to two of them."
            )
        if np.asarray(record[self.image]).dtype != np.uint8:
            raise ValueError(
                f"{self.source} has images of dtype {np.asarray(record[self.image]).dtype}, but photographs are uint8: "
                "take them as `Images`."
            )

    def take_as(self, numbers: Int64[np.ndarray, " n"], records: Int64[np.ndarray, " n"]) -> Batch:
        words = random_words(self.seed, numbers, self.crop.words)
        return self._shown(records, self.crop, words)

    def take_records(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        return self._shown(numbers, self.crop.scored(), np.zeros((len(numbers), 0), np.uint64))

    def _shown(self, rows: Int64[np.ndarray, " n"], crop: Crop | Middle, words: np.ndarray) -> Batch:
        def one(row: int, own: np.ndarray) -> tuple[np.ndarray, int]:
            record = self.source[row]
            photograph = np.asarray(record[self.image])
            view: View = crop.view(own, *photograph.shape[:2])
            return seen(photograph, view, self.shape), int(record[self.label])

        found = list(readers().map(one, rows.tolist(), words))
        images = np.stack([image for image, _ in found]).astype(np.float32) / np.float32(255)
        return {"image": images, "label": np.array([label for _, label in found], np.int32)}


@functools.cache
def readers() -> ThreadPoolExecutor:
    """One thread for every processor, for all data that reads, decodes or distorts images."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="photos")
