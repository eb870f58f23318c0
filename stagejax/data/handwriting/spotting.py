"""Lines with queries: which of a line's boxes hold the symbol that another image shows.

Letters: n samples, S queries of a line, N boxes of a pair, m boxes of all lines.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np
from jaxtyping import Float32, Int32, Int64

from stagejax.data.handwriting.lines import glyph, query
from stagejax.data.order import random_words, shuffled
from stagejax.data.pictures.scenes import NO_BOX
from stagejax.data.pipeline import Batch, Data, joint_digest
from stagejax.data.sources import EmptySource, Source, labels_of

SAME, OTHER = 1, 0


@dataclass(frozen=True, kw_only=True)
class Spotting(Data):
    """Lines, each with S of its symbols as queries and what its boxes are to each of them.

    A batch is {"image": (batch, height, width, 1), "query": (batch, S, height, height, 1), "query_box": (batch, S, 4),
    "boxes": (batch, S, N, 4), "kinds": int32 (batch, S, N)}: 1 of a box with the query's symbol, 0 of another's, -1 of
    a place that holds none. Every query is a symbol that the line has a box of; those of a line are different ones as
    long as it has more. Sample n is a function of the declaration and n alone.

    The boxes are those of the lines' records, and lines are drawn. With `labelled` they are those of an artifact, and
    what is drawn are pairs of a line and a symbol that it has positive boxes of, all alike; it is the first query.

    Args:
      lines: records as those of `Lines`.
      shots: records with "image" and "label", which queries are drawn from.
      side: of a query's symbol in pixels; its image is as high as a line.
      batch: lines.
      queries: S.
      most: N.

    >>> from stagejax.data import Digits
    >>> from stagejax.data.handwriting.lines import Lines
    >>> lines = Lines(Digits(), 4, shape=(24, 96), side=20, symbols_of_a_line=(3, 5))
    >>> data = Spotting(lines=lines, shots=Digits(), batch=2, shape=lines.shape, side=20, queries=3, most=6)
    >>> batch = data.take(np.arange(2))
    >>> batch["query"].shape, bool(((batch["kinds"] == 1).sum(-1) > 0).all())
    ((2, 3, 24, 24, 1), True)
    """

    lines: Source
    shots: Source
    batch: int
    shape: tuple[int, int] = (32, 224)
    side: int = 28
    queries: int = 4
    most: int = 16
    seed: int = 0
    count: int | None = None
    of: str = ""  # fingerprint of the artifact with labels; empty: the records' own
    labels: Mapping[str, np.ndarray] | None = field(
        default=None, repr=False, compare=False, metadata={"declared": False}
    )  # "positive" and "negative": (m, 4) of line, symbol, left, right in shares of the line; None while planning

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        S, (height, width) = self.queries, self.shape
        shapes = {"image": (height, width, 1), "query": (S, height, height, 1), "query_box": (S, 4)}
        shapes |= {"boxes": (S, self.most, 4)}
        own = {name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in shapes.items()}
        return own | {"kinds": jax.ShapeDtypeStruct((S, self.most), np.int32)}

    @property
    def known(self) -> Int64[np.ndarray, "m 2"]:
        """The pairs of line and symbol that samples are drawn from; without an artifact the lines, symbols being -1."""
        if not self.of:
            return np.stack([np.arange(len(self.lines)), np.full(len(self.lines), -1)], 1)
        if self.labels is None:
            raise ValueError(f"the artifact {self.of} holds nothing as labels yet: give what was made to `labelled`")
        return np.unique(self.labels["positive"][:, :2].astype(np.int64), axis=0)

    def size(self) -> int:
        if not len(self.known):
            raise EmptySource(f"no line of {self.lines} has a box: lower the score that labels need")
        return len(self.known)

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        return self.known[shuffled(self.seed, numbers, self.size()), 0]

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        known, shots = self.known, _by_label(self.shots)
        drawn = zip(known[shuffled(self.seed, numbers, self.size())], random_words(self.seed, numbers, 1), strict=True)
        rows = [self._sample(int(line), int(symbol), int(word[0]), shots) for (line, symbol), word in drawn]
        return {name: np.stack([row[name] for row in rows]) for name in self.sample_spec()}

    def digest(self) -> str:
        return joint_digest(self.lines.digest(), self.shots.digest(), self.of)

    def held_out(self, batches: int, split: str = "test") -> Data:
        lines, shots = self.lines.of_split(split), self.shots.of_split(split)
        return replace(self, lines=lines, shots=shots, count=batches, of="", labels=None)

    def _sample(self, line: int, symbol: int, word: int, shots: Mapping[int, np.ndarray]) -> Batch:
        rng, record = np.random.default_rng(word), self.lines[line]
        pairs = _own(record, self.most) if not self.of else _said(self.labels, line, self.most)
        first = [symbol] if symbol >= 0 else []
        others = rng.permutation([c for c in pairs if c != symbol]).tolist()
        order = first + others
        chosen = [order[i % len(order)] for i in range(self.queries)]
        seen = [query(glyph(self.shots, int(rng.choice(shots[c])))[0], self.side, self.shape[0]) for c in chosen]
        return {
            "image": np.asarray(record["image"], np.float32),
            "query": np.stack([image for image, _ in seen]),
            "query_box": np.stack([box for _, box in seen]),
            "boxes": np.stack([pairs[c][0] for c in chosen]),
            "kinds": np.stack([pairs[c][1] for c in chosen]),
        }


Pair = tuple[Float32[np.ndarray, "N 4"], Int32[np.ndarray, " N"]]


def labelled(data: Spotting, made: Any) -> Spotting:
    """`data` with the boxes of what `run.make` made: anything with a `fingerprint` and a `value`, arrays by name."""
    return replace(data, of=made.fingerprint, labels=made.value)


def _own(record: Mapping[str, Any], most: int) -> dict[int, Pair]:
    """The boxes of a record for each of its symbols."""
    labels = record["labels"][:most]
    boxes = _padded(record["boxes"][:most], most, 0.0)
    kinds = {int(c): np.where(labels == NO_BOX, NO_BOX, labels == c) for c in np.unique(labels[labels != NO_BOX])}
    return {c: (boxes, _padded(own.astype(np.int32), most, NO_BOX)) for c, own in kinds.items()}


def _said(labels: Any, line: int, most: int) -> dict[int, Pair]:
    """The boxes that an artifact has of a line, for each symbol that it finds there: first those of the symbol."""
    here = {name: labels[name][labels[name][:, 0] == line] for name in ("positive", "negative")}
    pairs = {}
    for symbol in np.unique(here["positive"][:, 1]):
        spans = [here[name][here[name][:, 1] == symbol, 2:4] for name in ("positive", "negative")]
        kinds = np.repeat([SAME, OTHER], [len(own) for own in spans]).astype(np.int32)
        left, right = np.concatenate(spans).T.astype(np.float32)
        boxes = np.stack([np.zeros_like(left), left, np.ones_like(left), right], 1)
        pairs[int(symbol)] = _padded(boxes[:most], most, 0.0), _padded(kinds[:most], most, NO_BOX)
    return pairs


def _padded(rows: np.ndarray, most: int, value: float | int) -> np.ndarray:
    missing = ((0, most - len(rows)),) + ((0, 0),) * (rows.ndim - 1)
    return np.pad(rows, missing, constant_values=value)


@functools.lru_cache(maxsize=64)
def _by_label(source: Source) -> dict[int, np.ndarray]:
    labels = labels_of(source)
    return {int(c): np.flatnonzero(labels == c) for c in np.unique(labels)}
