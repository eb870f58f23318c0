"""Hashed features of tokens in their window, and batches of tokens for classifiers over them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Int32, Int64

from stagejax.data.order import random_words
from stagejax.data.pipeline import Batch, Data, joint_digest
from stagejax.data.tasks.tagged import Stream, TaggedText

#: What is looked at: an attribute of the word so many places away.
WINDOW: tuple[tuple[str, int], ...] = (
    ("word", 0), ("suffix 1", 0), ("suffix 2", 0), ("suffix 3", 0), ("suffix 4", 0), ("prefix 1", 0), ("shape", 0),
    ("word", -1), ("word", 1), ("suffix 3", -1), ("suffix 3", 1), ("word", -2), ("word", 2),
)  # fmt: skip


def attribute(name: str, form: str) -> str:
    """The word itself, a number of its last or first letters, or its shape.

    >>> [attribute(name, "Mid-1990s") for name in ("word", "suffix 2", "prefix 1", "shape")]
    ['Mid-1990s', '0s', 'M', 'Xx-d']
    """
    kind, _, size = name.partition(" ")
    if kind == "word":
        return form
    if kind == "suffix":
        return form[-int(size) :]
    if kind == "prefix":
        return form[: int(size)]
    if kind == "shape":
        kinds = ["d" if c.isdigit() else "X" if c.isupper() else "x" if c.isalpha() else c for c in form]
        return "".join(dict.fromkeys(kinds))
    raise ValueError(f"{name!r} is no attribute of a word: take word, shape, suffix N or prefix N")


def hashed_forms(forms: Sequence[str], buckets: int) -> Int32[np.ndarray, "forms features"]:
    """The bucket of every feature of `WINDOW`, for every form that may stand at its place."""
    columns = []
    for place, (name, _) in enumerate(WINDOW):
        number: dict[str, int] = {}
        values = [number.setdefault(attribute(name, form), len(number)) for form in forms]
        columns.append(random_words(place, np.asarray(values, np.int64), 1)[:, 0] % np.uint64(buckets))
    return np.stack(columns, -1).astype(np.int32)


def features(
    table: Int32[np.ndarray, "forms features"], stream: Stream, places: Int64[np.ndarray, " ..."]
) -> Int32[np.ndarray, "... features"]:
    """The buckets of the tokens at some places of a stream.

    >>> stream = Stream(np.array([0, 0, 1, 2, 0, 0], np.int32), np.array([0, 0, 1, 1, 0, 0], np.int32))
    >>> features(hashed_forms(["", "a", "b"], 64), stream, np.array([2, 3])).shape
    (2, 13)
    """
    last = len(stream.words) - 1
    columns = [table[stream.words[np.clip(places + away, 0, last)], place] for place, (_, away) in enumerate(WINDOW)]
    return np.stack(columns, -1)


@functools.lru_cache(maxsize=8)
def form_table(text: TaggedText, buckets: int) -> Int32[np.ndarray, "forms features"]:
    """`hashed_forms` of all words of a text."""
    return hashed_forms(text.corpus().forms, buckets)


@functools.lru_cache(maxsize=8)
def _tokens(text: TaggedText, fold: int, test: bool) -> Stream:
    return text.test(fold) if test else text.training(fold)


@dataclass(frozen=True, kw_only=True)
class TaggedTokens(Data):
    """Batches of tokens in the order of a fold: {"features": int32 (batch, features), "label": int32 (batch,)}.

    Batch k holds the next `batch` tokens behind batch k - 1, so the batches up to a step are a prefix of the training
    text: one pass without shuffling visits nested training sets.

    Args:
      text, fold: where the tokens are from.
      test: whether they are those of the fold's test part.
      batch: tokens in a global batch.
      buckets: of the hash.
      count: number of batches; None: endless.

    >>> from stagejax.data.tasks.tagged import DrawnSentences
    >>> data = TaggedTokens(text=TaggedText((DrawnSentences(60),)), fold=0, batch=8, buckets=64)
    >>> data.take(np.arange(8))["features"].shape
    (8, 13)
    """

    text: TaggedText
    fold: int
    batch: int
    buckets: int
    test: bool = False
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return {
            "features": jax.ShapeDtypeStruct((len(WINDOW),), np.int32),
            "label": jax.ShapeDtypeStruct((), np.int32),
        }

    def size(self) -> int:
        return len(_tokens(self.text, self.fold, self.test).places)

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        stream = _tokens(self.text, self.fold, self.test)
        places = stream.places[numbers % self.size()]
        table = form_table(self.text, self.buckets)
        return {"features": features(table, stream, places), "label": stream.tags[places]}

    def digest(self) -> str:
        return joint_digest(self.text.digest(), f"{self.fold} {self.test}")
