"""Batches of images with labels."""

from __future__ import annotations

from dataclasses import dataclass, field

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.pipeline import Batch
from stagejax.data.records import OfRecords
from stagejax.data.sources import Digits, EmptySource, Record, Source


@dataclass(frozen=True, kw_only=True)
class Images(OfRecords):
    """Classification of images: {"image": float32 (batch, *shape), "label": int32 (batch,)}, values from 0 to 1.

    uint8 images are divided by 255; floating ones are taken as they are; grey ones may lack the channel axis.

    Args:
      source: where the images are from.
      batch: images in a global batch.
      shape: height, width, channels.
      seed: of the order.
      count: number of batches; None: endless.
      image, label: the fields of a record.

    >>> data = Images(batch=32)
    >>> with data.held_out(batches=3).batches() as batches:
    ...     [batch["image"].shape for batch in batches]
    [(32, 8, 8, 1), (32, 8, 8, 1), (32, 8, 8, 1)]
    """

    source: Source = field(default_factory=Digits)
    batch: int
    shape: tuple[int, int, int] = (8, 8, 1)
    seed: int = 0
    count: int | None = None
    image: str = "image"
    label: str = "label"

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return {"image": jax.ShapeDtypeStruct(self.shape, np.float32), "label": jax.ShapeDtypeStruct((), np.int32)}

    def size(self) -> int:
        if len(self.source) == 0:
            raise EmptySource(f"{self.source} holds no record")
        self.check(self.source[0])
        return len(self.source)

    def check(self, record: Record) -> None:
        """Whether a record is such an image.

        Raises:
          ValueError: it lacks a field, or has another shape.
        """
        if self.image not in record or self.label not in record:
            raise ValueError(
                f"a record of {self.source} has the fields {sorted(record)}, but image={self.image!r} and "
                f"label={self.label!r}. Set `image` and `label` to two of them."
            )
        found = np.shape(record[self.image])
        if found not in (self.shape, self.shape[:2] if self.shape[2] == 1 else self.shape):
            raise ValueError(
                f"{self.source} has images of shape {found}, but shape={self.shape}. Set `shape` to theirs, or take "
                "them as `Photos`, which shows parts of images of any size."
            )

    def take_records(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        records = [self.source[int(row)] for row in numbers]
        images = np.stack([record[self.image] for record in records]).reshape(-1, *self.shape)
        scale = 255 if images.dtype == np.uint8 else 1
        labels = np.array([record[self.label] for record in records], np.int32)
        return {"image": images.astype(np.float32) / np.float32(scale), "label": labels}

    def digest(self) -> str:
        return self.source.digest()
