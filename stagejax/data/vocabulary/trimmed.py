"""A tokenizer with fewer tokens: those that some corpora use, under new ids without gaps."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int32, Int64

from stagejax.data.corpus import read_corpus
from stagejax.data.sources import Source
from stagejax.data.tokenizers import SPECIAL, Codec, Ids, Tokenizer, codec


def kept_tokens(tokenizer: Tokenizer, sources: tuple[Source, ...], least: float = 1e-6) -> Int64[np.ndarray, " kept"]:
    """The ids whose share of the tokens of at least one corpus is `least` or more, rising.

    Special tokens, and those that nothing was merged into (the bytes), are always kept, so that any text can be
    written.

    Args:
      tokenizer: which gives all corpora the same ids, such as `LearnedFrom`.
      sources: one corpus each; their training splits are counted.
      least: of max over corpora of count / total.

    Reference: Ansell et al. 2023, https://arxiv.org/abs/2306.01709.

    >>> from stagejax.data import BPE, Stdlib
    >>> from stagejax.data.vocabulary.learned import LearnedFrom
    >>> few, more = Stdlib(limit=20_000), Stdlib(limit=200_000)
    >>> 260 < len(kept_tokens(LearnedFrom(BPE(800), more), (few,))) < 800
    True
    """
    keep = np.zeros(tokenizer.vocab, bool)
    for source in sources:
        own = source.of_split("train")
        counts = np.bincount(read_corpus(own, tokenizer).ids, minlength=tokenizer.vocab).astype(np.float64)
        counts[:SPECIAL] = 0
        keep |= counts >= least * counts.sum()
    merges = codec(tokenizer, sources[0]).merges()
    keep |= ~np.isin(np.arange(tokenizer.vocab), list(merges))
    return np.flatnonzero(keep)


def trimming(*how: Any) -> dict[str, np.ndarray]:
    """`kept_tokens` as `kept`, for `run.make("vocabulary", trimming, tokenizer, sources, least)`."""
    return {"kept": kept_tokens(*how)}


@functools.lru_cache(maxsize=8)
def _kept(trimmed: Trimmed) -> Int64[np.ndarray, " kept"]:
    return kept_tokens(trimmed.tokenizer, trimmed.sources, trimmed.least)


@dataclass(frozen=True)
class Trimmed(Tokenizer):
    """`tokenizer` with its `kept_tokens` alone: the i-th of them has the id i.

    A dropped token is written as the two that it was merged from, and so on until all are kept; so text -> ids -> text
    stays exact. A model follows by `growth.Subset.of(vocab=kept_tokens(...))`, which is the same function on text that
    has kept tokens only.

    Args:
      tokenizer, sources, least: as in `kept_tokens`.
      vocab: how many are kept, known from counting them.

    Raises:
      ValueError: on training, another number is kept.
    """

    tokenizer: Tokenizer
    sources: tuple[Source, ...]
    vocab: int
    least: float = 1e-6

    def train(self, texts: Iterator[str]) -> Codec:
        kept = _kept(self)
        if len(kept) != self.vocab:
            raise ValueError(f"vocab={self.vocab}, but {len(kept)} tokens are kept: set `vocab` to that number")
        return _TrimmedCodec(codec(self.tokenizer, self.sources[0]), kept, self.tokenizer.vocab)


class _TrimmedCodec(Codec):
    def __init__(self, whole: Codec, kept: Int64[np.ndarray, " kept"], size: int) -> None:
        self._whole, self._old = whole, kept
        new, merges = {int(old): i for i, old in enumerate(kept)}, whole.merges()

        @functools.cache
        def written(token: int) -> tuple[int, ...]:
            return (new[token],) if token in new else tuple(i for part in merges[token] for i in written(part))

        pieces = [np.asarray(written(token), np.int32) for token in range(size)]
        self._lengths = np.array([len(own) for own in pieces])
        self._starts, self._flat = np.cumsum(self._lengths) - self._lengths, np.concatenate(pieces)

    def encode(self, texts: Sequence[str]) -> list[Int32[np.ndarray, " _"]]:
        return [self._trimmed(ids) for ids in self._whole.encode(texts)]

    def _trimmed(self, ids: Int32[np.ndarray, " _"]) -> Int32[np.ndarray, " _"]:
        lengths = self._lengths[ids]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return self._flat[np.repeat(self._starts[ids], lengths) + within]

    def decode(self, ids: Ids) -> str:
        return self._whole.decode(self._old[np.asarray(list(ids), np.int64)])

    def merges(self) -> dict[int, tuple[int, int]]:
        """Of the kept tokens that were merged from kept ones."""
        new = {int(old): i for i, old in enumerate(self._old)}
        found = {token: pair for token, pair in self._whole.merges().items() if {token, *pair} <= new.keys()}
        return {new[token]: (new[a], new[b]) for token, (a, b) in found.items()}

    def digest(self) -> str:
        return hashlib.sha256(f"{self._whole.digest()} {self._old.tolist()}".encode()).hexdigest()
