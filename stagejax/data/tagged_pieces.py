"""Tagged sentences as pieces of words, each word tagged at its first piece: what an encoder of pieces learns to tag."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.order import shuffled
from stagejax.data.pipeline import Batch, Data, joint_digest
from stagejax.data.sources import Source
from stagejax.data.tokenizers import CLS, PAD, SEP, Tokenizer, codec

#: The universal parts of speech: https://universaldependencies.org/u/pos/.
UPOS = (
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM",
    "PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TaggedPieces(Data):
    """Batches {"tokens", "tags": int32 (batch, length), "weights": float32 (batch, length)} of tagged sentences.

    A row is [CLS, pieces, SEP], padded. A word is read with the space before it; weights are 1 at its first piece, and
    0 elsewhere. Sentences that are too long are cut.

    Args:
      source: whose records have a list of forms and one of tags.
      tokenizer, learned_from: which pieces, learned from the texts of which source.
      labels: the tags, by number.

    >>> from stagejax.data import Bytes, Stdlib
    >>> from stagejax.data.tagged import DrawnSentences
    >>> data = TaggedPieces(source=DrawnSentences(9), tokenizer=Bytes(), learned_from=Stdlib(), batch=2, length=64)
    >>> batch = data.take(np.arange(2))
    >>> batch["tokens"].shape, bool((batch["weights"].sum(1) >= 4).all())
    ((2, 64), True)
    """

    source: Source
    tokenizer: Tokenizer
    learned_from: Source
    batch: int
    length: int
    labels: tuple[str, ...] = tuple(f"T{tag}" for tag in range(8))
    forms: str = "form"
    tags: str = "upos"
    seed: int = 0
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        whole, real = (jax.ShapeDtypeStruct((self.length,), kind) for kind in (np.int32, np.float32))
        return {"tokens": whole, "tags": whole, "weights": real}

    def size(self) -> int:
        return len(self.source)

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        return shuffled(self.seed, numbers, self.size())

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        made = {name: np.zeros((len(numbers), self.length), leaf.dtype) for name, leaf in self.sample_spec().items()}
        made["tokens"][:] = PAD
        how = (self.source, self.tokenizer, self.learned_from, self.labels, self.forms, self.tags)
        for row, record in enumerate(self.records(numbers).tolist()):
            pieces, tags, firsts = _pieces(*how, record)
            size = min(len(pieces), self.length - 2)
            made["tokens"][row, : size + 2] = [CLS, *pieces[:size], SEP]
            made["tags"][row, 1 : size + 1], made["weights"][row, 1 : size + 1] = tags[:size], firsts[:size]
        return made

    def held_out(self, batches: int, split: str = "test") -> Data:
        return replace(self, source=self.source.of_split(split), seed=0, count=batches)

    def digest(self) -> str:
        return joint_digest(self.source.digest(), codec(self.tokenizer, self.learned_from).digest(), *self.labels)


@functools.lru_cache(maxsize=100_000)
def _pieces(
    source: Source, tokenizer: Tokenizer, learned_from: Source, labels: tuple[str, ...], forms: str, tags: str, i: int
) -> tuple[list[int], list[int], list[int]]:
    """The pieces of a sentence, the tag of each one's word, and whether it is the word's first."""
    record = source[i]
    words = codec(tokenizer, learned_from).encode([f" {form}" for form in record[forms]])
    numbers = [labels.index(tag) for tag in record[tags]]
    pieces = [int(piece) for word in words for piece in word]
    return (
        pieces,
        [number for word, number in zip(words, numbers, strict=True) for _ in word],
        [int(k == 0) for word in words for k in range(len(word))],
    )
