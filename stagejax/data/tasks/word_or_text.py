"""Labels of texts and of their words in batches of one form, so that one program learns classification and tagging."""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from stagejax.data.order import shuffled
from stagejax.data.pipeline import Batch, Data, joint_digest
from stagejax.data.sources import Source
from stagejax.data.tokenizers import CLS, PAD, SEP, Tokenizer, codec


class Rows(NamedTuple):
    """All records of some sources, one behind the other."""

    tokens: Int32[np.ndarray, "n length"]
    targets: Int32[np.ndarray, "n places"]
    weights: Float32[np.ndarray, "n places"]
    source: Int32[np.ndarray, " n"]


@dataclass(frozen=True, kw_only=True)
class WordOrText(Data):
    """Rows [CLS, tokens, SEP], padded, whose targets are the tags of their words or, in a last place, their label.

    A batch is {"tokens": int32 (batch, length), "prefix": bool (batch, length), "targets": int32 and "weights": float32
    (batch, length + 1), "source": int32 (batch,)}. A tag is asked for at the *last* token of its word, which also a
    model that reads from left to right has seen in full. A label is asked for in place `length`. Weights are 1 where
    something is asked. What is too long is cut, a sentence before the first word that does not fit.

    Args:
      sources: of records with a text and a label, or with lists of words and of tags; `source` says which one.
      names: of the tags, a target is a tag's place here; labels are numbers already.
      both: whether every token may be seen by all (`prefix`), or only by later ones.
      fields: of text or words, and of label or tags.
      once: rows behind the last record have no weight, instead of beginning again: for evaluation.

    >>> from stagejax.data import Bytes
    >>> from stagejax.data.tasks.tagged import DrawnSentences
    >>> how = {"tokenizer": Bytes(), "batch": 1, "length": 16, "fields": ("form", "upos")}
    >>> data = WordOrText(sources=(DrawnSentences(9),), names=tuple(f"T{i}" for i in range(8)), **how)
    >>> data.take(np.arange(1))["weights"][0].astype(int).tolist()
    [0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    """

    sources: tuple[Source, ...]
    tokenizer: Tokenizer
    batch: int
    length: int
    fields: tuple[str, str]
    names: tuple[str, ...] = ()
    both: bool = True
    seed: int = 0
    count: int | None = None
    once: bool = False

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        sizes = {"tokens": ((self.length,), "int32"), "prefix": ((self.length,), "bool")}
        sizes |= {"targets": ((self.length + 1,), "int32"), "weights": ((self.length + 1,), "float32")}
        sizes["source"] = ((), "int32")
        return {name: jax.ShapeDtypeStruct(shape, np.dtype(kind)) for name, (shape, kind) in sizes.items()}

    def rows(self) -> Rows:
        """All records, in their order."""
        return _encoded(replace(self, seed=0, count=None, once=False, both=True, batch=1))

    @property
    def records(self) -> int:
        """Of all sources together."""
        return sum(map(len, self.sources))

    def size(self) -> int:
        return sys.maxsize if self.once else self.records

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        records, size = self.rows(), self.records
        at = shuffled(self.seed, numbers, size)
        made = {name: leaf[at] for name, leaf in records._asdict().items()}
        prefix: Bool[np.ndarray, "n length"] = (made["tokens"] != PAD) & self.both
        if self.once:
            made["weights"] = made["weights"] * (numbers < size).astype(np.float32)[:, None]
        return {**made, "prefix": prefix}

    def digest(self) -> str:
        learned = codec(self.tokenizer, self.sources[0], self.fields[0]).digest()
        return joint_digest(*(source.digest() for source in self.sources), learned, f"{self.names} {self.fields}")


@functools.lru_cache(maxsize=32)
def _encoded(data: WordOrText) -> Rows:
    length, number = data.length, {name: place for place, name in enumerate(data.names)}
    code, size = codec(data.tokenizer, data.sources[0], data.fields[0]), data.records
    made = Rows(
        np.full((size, length), PAD, np.int32), np.zeros((size, length + 1), np.int32),
        np.zeros((size, length + 1), np.float32), np.repeat(np.arange(len(data.sources)), [*map(len, data.sources)]),
    )._asdict()  # fmt: skip
    made["source"] = made["source"].astype(np.int32)
    records = (source[i] for source in data.sources for i in range(len(source)))
    for row, record in enumerate(records):
        text, label = (record[name] for name in data.fields)
        tokens, targets, weights = (made[name][row] for name in ("tokens", "targets", "weights"))
        if isinstance(text, str):
            kept = code.encode([text])[0][: length - 2]
            tokens[: len(kept) + 2] = [CLS, *kept, SEP]
            targets[length], weights[length] = int(label), 1
            continue
        tokens[0], at = CLS, 1
        for ids, tag in zip(code.encode([f" {word}" for word in text]), label, strict=True):
            if at + len(ids) >= length:
                break
            tokens[at : at + len(ids)] = ids
            at += len(ids)
            targets[at - 1], weights[at - 1] = number[tag], 1
        tokens[at] = SEP
    return Rows(**made)
