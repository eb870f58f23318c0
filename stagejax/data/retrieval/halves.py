"""Texts cut in two: what a retriever learns from without a label, as the halves of a text belong together."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.order import random_words, uniforms
from stagejax.data.pipeline import Batch, joint_digest
from stagejax.data.records import OfRecords
from stagejax.data.sources import Source
from stagejax.data.tokenizers import CLS, Tokenizer, codec, encoder


@dataclass(frozen=True, kw_only=True)
class Halves(OfRecords):
    """Both parts of texts: {"query": int32 (batch, length), "items": int32 (batch, 1, length)}, as for `ranking`.

    A text is cut at a place from a third to two thirds of its tokens, another one each time; which part is the query is
    drawn. Each is [CLS, part], cut at `length` and padded.

    Args:
      source: records with a text of at least two tokens.
      tokenizer, learned_from: which tokens, trained on the texts of which source.

    Reference: after Lee et al. 2019 (inverse cloze task), https://arxiv.org/abs/1906.00300, section 4.

    >>> from stagejax.data import Bytes, Stdlib
    >>> source = Stdlib(limit=50_000)
    >>> batch = Halves(source=source, tokenizer=Bytes(), learned_from=source, batch=2, length=9).take(np.arange(2))
    >>> batch["query"].shape, batch["items"].shape
    ((2, 9), (2, 1, 9))
    """

    source: Source
    tokenizer: Tokenizer
    learned_from: Source
    batch: int
    length: int
    field: str = "text"
    seed: int = 0
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        row = (self.length,)
        return {name: jax.ShapeDtypeStruct(s, np.dtype("int32")) for name, s in (("query", row), ("items", (1, *row)))}

    @property
    def tokens(self) -> int:
        """Of both parts, padding counted."""
        return 2 * self.batch * self.length

    def size(self) -> int:
        return len(self.source)

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        return self.take_as(numbers, self.records(numbers))

    def take_as(self, numbers: Int64[np.ndarray, " n"], records: Int64[np.ndarray, " n"]) -> Batch:
        made = {name: np.zeros((len(numbers), *x.shape), x.dtype) for name, x in self.sample_spec().items()}
        texts = encoder(self.source, self.field, codec(self.tokenizer, self.learned_from))
        drawn = uniforms(random_words(self.seed + _STREAM, numbers, 2))
        for at, (record, (place, side)) in enumerate(zip(records.tolist(), drawn, strict=True)):
            ids = texts(record)
            cut = min(max(round((1 + place) / 3 * len(ids)), 1), len(ids) - 1)
            both = [np.append(CLS, part)[: self.length] for part in (ids[:cut], ids[cut:])]
            for row, part in zip(
                (made["query"][at], made["items"][at, 0]), both[:: 1 if side < 0.5 else -1], strict=True
            ):
                row[: len(part)] = part
        return made

    def digest(self) -> str:
        return joint_digest(self.source.digest(), codec(self.tokenizer, self.learned_from).digest())


_STREAM = 1 << 42  # apart from what other data draws by the same seed
