"""Batches of procedure videos for three tasks: captions of a video's steps, with a guideline or without, and the
guideline of several videos.

Letters: N videos of a sample, F frames, S tokens of the text beside a video, T tokens of what is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import jax
import numpy as np
from jaxtyping import Int32, Int64

from stagejax.data.order import random_words, shuffled
from stagejax.data.pipeline import Batch, Data, joint_digest
from stagejax.data.records import OfRecords
from stagejax.data.tokenizers import MASK, SEP
from stagejax.data.video.guidelines import numbered
from stagejax.data.video.procedure_videos import ProcedureVideos
from stagejax.data.vocabulary.words import Words

#: Which guideline stands beside a video: none, its task's, or another task's.
Guide = Literal["none", "gold", "other"]
_STREAM = 1 << 43  # apart from what other data draws by the same seed


def written(words: Words, text: str, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a decoder reads, what it is to say, and the weights: a text of at most `length` - 1 tokens, then SEP.

    >>> tokens, targets, weights = written(Words(("a", "b")), "a b", 4)
    >>> tokens.tolist(), targets.tolist(), weights.tolist()
    ([2, 4, 5, 0], [4, 5, 2, 0], [1.0, 1.0, 1.0, 0.0])

    Raises:
      ValueError: a longer text.
    """
    (ids,) = words.encode([text])
    if len(ids) >= length:
        raise ValueError(f"{text!r} has {len(ids)} tokens and SEP, more than length={length}: raise `length`")
    tokens, targets, weights = np.zeros(length, np.int32), np.zeros(length, np.int32), np.zeros(length, np.float32)
    tokens[: len(ids) + 1], targets[: len(ids) + 1] = [SEP, *ids], [*ids, SEP]
    weights[: len(ids) + 1] = 1
    return tokens, targets, weights


def row_of(words: Words, shown: int, frames: int, text: str, length: int) -> Int32[np.ndarray, " R"]:
    """A row: MASK for each frame that is shown, of `frames` places, then a text in `length` places.

    >>> row_of(Words(("a", "b")), 2, 3, "a b", 3).tolist()
    [3, 3, 0, 4, 5, 0]
    """
    row = np.zeros(frames + length, np.int32)
    row[:shown] = MASK
    (ids,) = words.encode([text])
    row[frames : frames + len(ids)] = ids[:length]
    return row


@dataclass(frozen=True, kw_only=True)
class GuidedClips(OfRecords):
    """One video, a guideline beside it or none, and the video's own steps: {"inputs": uint8 (1, F, Y, X, 3), "rows":
    int32 (1, F + S), "tokens", "targets": int32 (T,), "weights": float32 (T,)}.

    Samples of all `guide`s have the same shapes. Another task's guideline is drawn anew for every sample.

    Args:
      text: S.
      length: T, SEP counted.
    """

    source: ProcedureVideos
    batch: int
    guide: Guide = "none"
    text: int = 24
    length: int = 26
    seed: int = 0
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        s = self.source
        return spec_of(1, s.frames, s.size, self.text, self.length)

    def size(self) -> int:
        return len(self.source)

    def take_as(self, numbers: Int64[np.ndarray, " n"], records: Int64[np.ndarray, " n"]) -> Batch:
        tasks = self.source.tasks
        by = (random_words(self.seed + _STREAM, numbers, 1)[:, 0] % np.uint64(max(len(tasks) - 1, 1))).astype(int)
        guides: list[str] = []
        for record, more in zip(records.tolist(), by.tolist(), strict=True):
            own = record // self.source.videos
            at = (own + 1 + more) % len(tasks) if self.guide == "other" else own
            guides.append("" if self.guide == "none" else numbered(tasks[at].guideline))
        inputs = captioned(self.source, records, guides, self.text)
        return inputs | _stacked(self.source, [self.source.told(int(at))["steps"] for at in records], self.length)

    def digest(self) -> str:
        return joint_digest(self.source.digest(), self.source.words.digest())


def captioned(
    source: ProcedureVideos, records: Sequence[int] | np.ndarray, guides: Sequence[str], text: int
) -> dict[str, np.ndarray]:
    """Videos, each with a guideline beside it: {"inputs", "rows"}."""
    found = [source[int(at)] for at in records]
    pairs = zip(found, guides, strict=True)
    rows = [row_of(source.words, record["shown"], source.frames, guide, text) for record, guide in pairs]
    return {"inputs": np.stack([record["video"] for record in found])[:, None], "rows": np.stack(rows)[:, None]}


@dataclass(frozen=True, kw_only=True)
class Summaries(Data):
    """Several videos of a task, and its guideline, with the fields of `GuidedClips`.

    How many videos a sample has is drawn of `counts`, and which of the task's, in which order; what is left of N =
    max(counts) rows is empty. By "text" a row has no frames, but what is said of the video (F = 0); by "video" there is
    no text (S = 0).

    Args:
      route: "video" or "text".
    """

    source: ProcedureVideos
    batch: int
    route: Literal["video", "text"] = "video"
    counts: tuple[int, ...] = (1, 2, 4, 8)
    text: int = 24
    length: int = 26
    seed: int = 0
    count: int | None = None

    def __post_init__(self) -> None:
        if not self.counts or max(self.counts) > self.source.videos or min(self.counts) < 1:
            raise ValueError(f"counts={self.counts}: from 1 to the {self.source.videos} videos of a task")

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        s, seen = self.source, self.route == "video"
        return spec_of(max(self.counts), s.frames * seen, s.size, self.text * (not seen), self.length)

    def size(self) -> int:
        return len(self.source.tasks)

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        return shuffled(self.seed, numbers, self.size())

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        tasks, videos = self.records(numbers).tolist(), self.source.videos
        words = random_words(self.seed + _STREAM + 1, numbers, 1 + videos)
        chosen = []
        for task, own in zip(tasks, words, strict=True):
            n = self.counts[int(own[0] % np.uint64(len(self.counts)))]
            chosen.append((task * videos + np.argsort(own[1:], kind="stable")[:n]).tolist())
        said = None
        if self.route == "text":
            said = [[numbered(self.source.told(at)["steps"]) for at in own] for own in chosen]
        inputs = summarized(self.source, chosen, said, max(self.counts), self.text)
        return inputs | _stacked(self.source, [self.source.tasks[task].guideline for task in tasks], self.length)

    def digest(self) -> str:
        return joint_digest(self.source.digest(), self.source.words.digest())


def summarized(
    source: ProcedureVideos,
    records: Sequence[Sequence[int]],
    said: Sequence[Sequence[str]] | None,
    most: int,
    text: int,
) -> dict[str, np.ndarray]:
    """Several videos a sample, or what is said of each: {"inputs", "rows"}, padded to `most` rows."""
    frames, width = (source.frames, 0) if said is None else (0, text)
    inputs = np.zeros((len(records), most, frames, source.size, source.size, 3), np.uint8)
    rows = np.zeros((len(records), most, frames + width), np.int32)
    for at, own in enumerate(records):
        for k, record in enumerate(own):
            if said is None:
                found = source[record]
                inputs[at, k], rows[at, k, : found["shown"]] = found["video"], MASK
            else:
                rows[at, k] = row_of(source.words, 0, 0, said[at][k], width)
    return {"inputs": inputs, "rows": rows}


def _stacked(source: ProcedureVideos, texts: Sequence[Sequence[str]], length: int) -> dict[str, np.ndarray]:
    found = [written(source.words, numbered(steps), length) for steps in texts]
    return dict(zip(("tokens", "targets", "weights"), map(np.stack, zip(*found, strict=True)), strict=True))


def spec_of(videos: int, frames: int, size: int, text: int, length: int) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and dtypes of a sample."""
    like = jax.ShapeDtypeStruct
    return {
        "inputs": like((videos, frames, size, size, 3), np.dtype("uint8")),
        "rows": like((videos, frames + text), np.dtype("int32")),
        "tokens": like((length,), np.dtype("int32")),
        "targets": like((length,), np.dtype("int32")),
        "weights": like((length,), np.dtype("float32")),
    }
