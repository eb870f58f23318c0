"""Batches of text: masked, causal, and causal with whole documents packed into rows."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float32, Int32, Int64

from stagejax.data.corpus import Corpus, read_corpus
from stagejax.data.order import random_words, shuffled
from stagejax.data.pipeline import Batch, Data
from stagejax.data.sources import EmptySource, Source
from stagejax.data.tokenizers import CLS, MASK, SEP, SPECIAL, Tokenizer


def corrupt(
    tokens: Int32[np.ndarray, "batch length"],
    numbers: Int64[np.ndarray, " batch"],
    *,
    seed: int,
    rate: float,
    vocab: int,
) -> tuple[Int32[np.ndarray, "batch length"], Float32[np.ndarray, "batch length"]]:
    """BERT's masking: round(rate x text tokens) of each row are chosen, at least one; of those 80 % become `MASK`,
    10 % a random text token, and 10 % stay.

    Special tokens are never chosen. The choice for a row is a function of `seed` and the row's number alone.

    Args:
      tokens: the rows.
      numbers: the number of each row in the stream of samples.
      seed: of the masks.
      rate: share of the text tokens to choose.
      vocab: random tokens are drawn from `SPECIAL` to `vocab` - 1.

    Returns:
      The corrupted rows, and weights: 1 where a token was chosen, else 0.

    Reference: Devlin et al., BERT, NAACL 2019, section 3.1.

    >>> rows = np.full((2, 20), 7, np.int32)
    >>> masked, weights = corrupt(rows, np.arange(2), seed=0, rate=0.15, vocab=100)
    >>> weights.sum(1).tolist()
    [3.0, 3.0]
    """
    rows, length = tokens.shape
    words = random_words(seed, numbers, 2 * length).reshape(rows, 2, length)
    score = np.where(tokens >= SPECIAL, words[:, 0] >> np.uint64(1), np.uint64(2**64 - 1))
    eligible = (tokens >= SPECIAL).sum(1)
    wanted = np.minimum(np.maximum(np.rint(rate * eligible), 1), eligible).astype(np.int64)
    ordered = np.sort(score, axis=1)
    last = np.take_along_axis(ordered, np.maximum(wanted - 1, 0)[:, None], axis=1)
    chosen = (score <= last) & (tokens >= SPECIAL)

    fate = words[:, 1] & np.uint64(0xFFFFFFFF)
    other = ((words[:, 1] >> np.uint64(32)) * np.uint64(vocab - SPECIAL)) >> np.uint64(32)
    replaced = np.where(fate < np.uint64(int(0.8 * 2**32)), np.uint64(MASK), other + np.uint64(SPECIAL))
    replaced = np.where(fate < np.uint64(int(0.9 * 2**32)), replaced.astype(np.int32), tokens)
    return np.where(chosen, replaced, tokens), chosen.astype(np.float32)


def _sequence_spec(length: int, ints: tuple[str, ...]) -> dict[str, jax.ShapeDtypeStruct]:
    spec = {name: jax.ShapeDtypeStruct((length,), np.int32) for name in ints}
    return {**spec, "weights": jax.ShapeDtypeStruct((length,), np.float32)}


def _rows(source: Source, made: Corpus, length: int, shared: int = 0) -> int:
    """How many rows of `length` ids a corpus gives, where each begins with the last `shared` ids of the one before."""
    rows = (len(made.ids) - shared) // (length - shared)
    if rows < 1:
        raise EmptySource(
            f"{source} gives {len(made.ids)} tokens, but one row reads {length}. Give the source more text, or lower "
            "`length`."
        )
    return rows


@dataclass(frozen=True, kw_only=True)
class MaskedText(Data):
    """Masked language modelling: rows [CLS, length - 2 tokens of running text, SEP].

    A batch is {"tokens": int32 (batch, length), "targets": int32 (batch, length), "weights": float32 (batch, length)}:
    corrupted tokens, the original ones, and 1 at the chosen places (see `corrupt`). Each row of an epoch comes once, in
    an order of its own for each epoch, with masks of its own each time.

    Args:
      source: where the text is from.
      tokenizer: trained on the source's train split.
      batch: rows in a global batch.
      length: tokens in a row.
      rate: share of the tokens to choose.
      seed: of order and masks.
      count: number of batches; None: endless.
      field: the field of a record that holds its text.

    >>> from stagejax.data import Bytes, Stdlib
    >>> data = MaskedText(source=Stdlib(limit=100_000), tokenizer=Bytes(), batch=4, length=32)
    >>> with data.batches() as batches:
    ...     batch = next(batches)
    ...     batches.position, {name: leaf.shape for name, leaf in batch.items()}
    ({'step': 1}, {'tokens': (4, 32), 'targets': (4, 32), 'weights': (4, 32)})
    """

    source: Source
    tokenizer: Tokenizer
    batch: int
    length: int
    rate: float = 0.15
    seed: int = 0
    count: int | None = None
    field: str = "text"

    def __post_init__(self) -> None:
        if self.length < 3:
            raise ValueError(f"length={self.length} has no place for text between CLS and SEP: set `length` >= 3")
        if not 0 < self.rate <= 1:
            raise ValueError(f"rate={self.rate} is no share of the tokens: set 0 < `rate` <= 1")

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return _sequence_spec(self.length, ("tokens", "targets"))

    def _corpus(self) -> Corpus:
        return read_corpus(self.source, self.tokenizer, self.field)

    def digest(self) -> str:
        return self._corpus().digest()

    def size(self) -> int:
        return _rows(self.source, self._corpus(), self.length - 2)

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        body = self.length - 2
        rows = shuffled(self.seed, numbers, self.size())
        targets = np.empty((len(numbers), self.length), np.int32)
        targets[:, 0], targets[:, -1] = CLS, SEP
        targets[:, 1:-1] = self._corpus().ids[rows[:, None] * body + np.arange(body)]
        tokens, weights = corrupt(targets, numbers, seed=self.seed, rate=self.rate, vocab=self.tokenizer.vocab)
        return {"tokens": tokens, "targets": targets, "weights": weights}


@dataclass(frozen=True, kw_only=True)
class CausalText(Data):
    """Next-token prediction on running text: targets are tokens shifted by one, every weight is 1.

    Row r reads the ids [r length, (r + 1) length] of the corpus, in which `SEP` closes each document. Fields and keys
    are those of `MaskedText`, without `rate`.

    >>> from stagejax.data import Bytes, Stdlib
    >>> data = CausalText(source=Stdlib(limit=100_000), tokenizer=Bytes(), batch=4, length=32)
    >>> with data.batches({"step": 7}) as batches:
    ...     batch = next(batches)
    >>> bool((batch["tokens"][:, 1:] == batch["targets"][:, :-1]).all()), data.tokens
    (True, 128)
    """

    source: Source
    tokenizer: Tokenizer
    batch: int
    length: int
    seed: int = 0
    count: int | None = None
    field: str = "text"

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueError(f"length={self.length} leaves no token to predict: set `length` >= 1")

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return _sequence_spec(self.length, ("tokens", "targets"))

    def _corpus(self) -> Corpus:
        return read_corpus(self.source, self.tokenizer, self.field)

    def digest(self) -> str:
        return self._corpus().digest()

    def size(self) -> int:
        return _rows(self.source, self._corpus(), self.length + 1, shared=1)

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        rows = shuffled(self.seed, numbers, self.size())
        ids = self._corpus().ids[rows[:, None] * self.length + np.arange(self.length + 1)].astype(np.int32)
        return {
            "tokens": np.ascontiguousarray(ids[:, :-1]),
            "targets": np.ascontiguousarray(ids[:, 1:]),
            "weights": np.ones((len(numbers), self.length), np.float32),
        }


@functools.lru_cache(maxsize=16)
def _packed(
    source: Source, tokenizer: Tokenizer, field: str, length: int
) -> tuple[Int64[np.ndarray, " pieces"], Int64[np.ndarray, " pieces"], Int64[np.ndarray, " rows_and_end"]]:
    """(where each piece begins in the corpus, how many tokens it predicts, which piece begins each row).

    A document is one piece, or several of `length` where it is longer. Pieces come in order, and one that does not fit
    in its row begins the next (next-fit).
    """
    starts, spans, first = [], [], [0]
    free = length
    bounds = read_corpus(source, tokenizer, field).starts.tolist()
    for begin, end in itertools.pairwise(bounds):
        for start in range(begin, end - 1, length):
            span = min(length, end - 1 - start)
            if span > free:
                first.append(len(starts))
                free = length
            starts.append(start)
            spans.append(span)
            free -= span
    if not starts:
        raise EmptySource(f"{source} gives no document of one token or more. Give the source more text.")
    return np.array(starts, np.int64), np.array(spans, np.int64), np.array([*first, len(starts)], np.int64)


@dataclass(frozen=True, kw_only=True)
class PackedText(CausalText):
    """Next-token prediction with whole documents packed into rows, so that attention can keep them apart.

    To the keys of `CausalText` come "segments" (1, 2, ... for the documents of a row, 0 for padding) and "positions"
    (from 0 in each segment), int32 (batch, length). Weights are 0 on padding. A document longer than a row is cut.

    >>> from stagejax.data import Bytes, Stdlib
    >>> data = PackedText(source=Stdlib(limit=100_000), tokenizer=Bytes(), batch=4, length=256)
    >>> with data.batches() as batches:
    ...     batch = next(batches)
    >>> sorted(batch), bool(((batch["segments"] > 0) == (batch["weights"] > 0)).all())
    (['positions', 'segments', 'targets', 'tokens', 'weights'], True)
    """

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return _sequence_spec(self.length, ("tokens", "targets", "segments", "positions"))

    def _layout(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return _packed(self.source, self.tokenizer, self.field, self.length)

    def size(self) -> int:
        return len(self._layout()[2]) - 1

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        starts, spans, first = self._layout()
        ids = self._corpus().ids
        made = {
            name: np.zeros((len(numbers), self.length), leaf.dtype)  # zero is PAD, no segment and no weight
            for name, leaf in self.sample_spec().items()
        }
        for row, source_row in enumerate(shuffled(self.seed, numbers, self.size())):
            at = 0
            for segment, piece in enumerate(range(first[source_row], first[source_row + 1]), start=1):
                start, span = starts[piece], spans[piece]
                here = np.s_[row, at : at + span]
                made["tokens"][here] = ids[start : start + span]
                made["targets"][here] = ids[start + 1 : start + span + 1]
                made["segments"][here] = segment
                made["positions"][here] = np.arange(span)
                made["weights"][here] = 1
                at += span
        return made
