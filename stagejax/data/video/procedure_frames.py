"""Single frames of procedure videos, with what a network that looks at frames alone can learn from the annotations."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.order import random_words, uniforms
from stagejax.data.pipeline import Batch, joint_digest
from stagejax.data.records import OfRecords
from stagejax.data.sources import Record
from stagejax.data.video.guidelines import ADD, CONCRETE, PAINT, REMOVE
from stagejax.data.video.procedure_videos import ProcedureVideos

_STREAM = 1 << 44  # apart from what other data draws by the same seed


def labels_at(record: Record, frame: int) -> dict[str, int]:
    """Which item, which second one, which colour, and which operation is on at a frame; 0: none (yet, or any longer).

    >>> record = {"operations": (0, 1), "bounds": ((0, 2), (3, 5)), "item": 1, "second": 2, "color": 0}
    >>> labels_at(record, 1), labels_at(record, 2)["step"], labels_at(record, 3)["color"]
    ({'item': 2, 'second': 0, 'color': 0, 'step': 1}, 0, 1)
    """
    done = list(zip(record["operations"], record["bounds"], strict=True))
    begun = {operation for operation, (start, _) in done if start <= frame}
    on = [operation for operation, (start, end) in done if start <= frame < end]
    cleared = any(operation == REMOVE and end <= frame + 1 for operation, (_, end) in done)
    return {
        "item": 1 + record["item"],
        "second": (1 + record["second"]) * (ADD in begun and not cleared),
        "color": (1 + record["color"]) * (PAINT in begun),
        "step": 1 + on[0] if on else 0,
    }


@dataclass(frozen=True, kw_only=True)
class ProcedureFrames(OfRecords):
    """One frame of each video, drawn anew by a sample's number: {"inputs": float32 (Y, X, 6), the frame from 0 to 1 and
    its difference from the one before, and the int32 labels of `labels_at`}."""

    source: ProcedureVideos
    batch: int
    seed: int = 0
    count: int | None = None

    @property
    def classes(self) -> dict[str, int]:
        """Of each label."""
        items = sum(len(family.items) for family in self.source.families)
        return {"item": items + 1, "second": items + 1, "color": len(self.source.colors) + 1, "step": len(CONCRETE) + 1}

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        s, one = self.source, jax.ShapeDtypeStruct((), np.dtype("int32"))
        inputs = jax.ShapeDtypeStruct((s.size, s.size, 6), np.dtype("float32"))
        return {"inputs": inputs} | dict.fromkeys(self.classes, one)

    def size(self) -> int:
        return len(self.source)

    def take_as(self, numbers: Int64[np.ndarray, " n"], records: Int64[np.ndarray, " n"]) -> Batch:
        u = uniforms(random_words(self.seed + _STREAM, numbers, 1)[:, 0])
        found = [self.source[int(at)] for at in records]
        frames = [int(own * record["shown"]) for own, record in zip(u, found, strict=True)]
        pairs = [
            record["video"][[at, max(at - 1, 0)]].astype(np.float32) / np.float32(255)
            for record, at in zip(found, frames, strict=True)
        ]
        labels = [labels_at(record, at) for record, at in zip(found, frames, strict=True)]
        inputs = np.stack([np.concatenate([own, own - before], axis=-1) for own, before in pairs])
        return {"inputs": inputs} | {name: np.int32([own[name] for own in labels]) for name in self.classes}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "frames")
