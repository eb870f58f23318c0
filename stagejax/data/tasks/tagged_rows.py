"""Sentences whose words have tags, as rows of tokens: what an encoder learns to tag from."""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float32, Int32, Int64

from stagejax.data.order import shuffled
from stagejax.data.pipeline import Batch, Data, joint_digest
from stagejax.data.sources import Source
from stagejax.data.tokenizers import CLS, PAD, SEP, Tokenizer, codec

#: The universal parts of speech: https://universaldependencies.org/u/pos/.
UPOS = (
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM",
    "PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X",
)  # fmt: skip


class Tagged(NamedTuple):
    """All sentences of a source."""

    tokens: Int32[np.ndarray, "n length"]
    targets: Int32[np.ndarray, "n length"]
    weights: Float32[np.ndarray, "n length"]


@dataclass(frozen=True, kw_only=True)
class TaggedRows(Data):
    """Rows [CLS, tokens of the words, SEP], padded, with the tag of each word at its first token.

    A batch is {"tokens", "targets": int32 (batch, length), "weights": float32 (batch, length), "source": int32
    (batch,)}; the weight is 1 at a word's first token and 0 elsewhere. Each word is encoded with a space before it. A
    sentence ends before the first word that does not fit.

    Args:
      sources: of records with a list of words and one of tags; sample n is from source n modulo their number.
      tags: all tags; a target is a tag's place here.
      tokenizer: which gives all sources the same ids.
      batch: rows in a global batch.
      length: tokens in a row.
      seed: of the order.
      count: number of batches; None: endless. An epoch is that of the largest source.
      once: rows behind a source's last record have no weight, instead of beginning again: for evaluation, in which any
        `count` is allowed.
      forms, labels: the fields.

    >>> from stagejax.data import Bytes
    >>> from stagejax.data.tasks.tagged import DrawnSentences
    >>> tags = tuple(f"T{i}" for i in range(8))
    >>> data = TaggedRows(sources=(DrawnSentences(9),), tags=tags, tokenizer=Bytes(), batch=2, length=16)
    >>> data.take(np.arange(1))["weights"][0].astype(int).tolist()
    [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    """

    sources: tuple[Source, ...]
    tags: tuple[str, ...]
    tokenizer: Tokenizer
    batch: int
    length: int
    seed: int = 0
    count: int | None = None
    once: bool = False
    forms: str = "form"
    labels: str = "upos"

    def __post_init__(self) -> None:
        if not self.sources or self.length < 3:
            raise ValueError(f"{len(self.sources)} sources, length={self.length}: give at least 1, and 3")

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        row = {name: jax.ShapeDtypeStruct((self.length,), np.int32) for name in ("tokens", "targets")}
        weights = jax.ShapeDtypeStruct((self.length,), np.float32)
        return {**row, "weights": weights, "source": jax.ShapeDtypeStruct((), np.int32)}

    def size(self) -> int:
        return sys.maxsize if self.once else len(self.sources) * max(map(len, self.sources))

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        places, owners = np.divmod(numbers, len(self.sources))
        made = {name: np.zeros((len(numbers), *leaf.shape), leaf.dtype) for name, leaf in self.sample_spec().items()}
        for index, source in enumerate(self.sources):
            mine = np.flatnonzero(owners == index)
            if not len(mine):
                continue
            rows = shuffled(self.seed, places[mine], len(source))
            found = _encoded(source, self.tokenizer, self.tags, self.length, self.forms, self.labels)
            for name, leaf in found._asdict().items():
                made[name][mine] = leaf[rows]
            if self.once:
                made["weights"][mine] *= (places[mine] < len(source))[:, None]
            made["source"][mine] = index
        return made

    def held_out(self, batches: int, split: str = "test") -> Data:
        sources = tuple(source.of_split(split) for source in self.sources)
        return replace(self, sources=sources, seed=0, count=batches, once=True)

    def digest(self) -> str:
        learned = codec(self.tokenizer, self.sources[0], self.forms).digest()
        return joint_digest(*(source.digest() for source in self.sources), learned, f"{self.tags} {self.labels}")


@dataclass(frozen=True, kw_only=True)
class TaggedRecords(TaggedRows):
    """`TaggedRows` of one source, which are also given by record: what a tagger is asked about all of them.

    Raises:
      ValueError: there are several sources.

    >>> from stagejax.data import Bytes
    >>> from stagejax.data.tasks.tagged import DrawnSentences
    >>> data = TaggedRecords(sources=(DrawnSentences(9),), tags=("T0",), tokenizer=Bytes(), batch=2, length=16)
    >>> data.size(), data.source
    (9, DrawnSentences(count=9, labels=8, vocabulary=300, seed=0, split='train'))
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.sources) != 1:
            raise ValueError(f"{len(self.sources)} sources: records are those of one")

    @property
    def source(self) -> Source:
        """Of the records."""
        return self.sources[0]

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        return shuffled(self.seed, numbers, len(self.source))

    def take_records(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        """The samples of these records of the source."""
        found = _encoded(self.source, self.tokenizer, self.tags, self.length, self.forms, self.labels)
        made = {name: leaf[numbers] for name, leaf in found._asdict().items()}
        return {**made, "source": np.zeros(len(numbers), np.int32)}


@functools.lru_cache(maxsize=16)
def _encoded(
    source: Source, tokenizer: Tokenizer, tags: tuple[str, ...], length: int, forms: str, labels: str
) -> Tagged:
    code, number, size = codec(tokenizer, source, forms), {tag: i for i, tag in enumerate(tags)}, len(source)
    made = Tagged(*(np.zeros((size, length), kind) for kind in (np.int32, np.int32, np.float32)))
    made.tokens[:] = PAD
    for row in range(size):
        record, at = source[row], 1
        made.tokens[row, 0] = CLS
        for ids, tag in zip(code.encode([f" {word}" for word in record[forms]]), record[labels], strict=True):
            if at + len(ids) >= length:
                break
            made.tokens[row, at : at + len(ids)] = ids
            made.targets[row, at], made.weights[row, at] = number[tag], 1
            at += len(ids)
        made.tokens[row, at] = SEP
    return made
