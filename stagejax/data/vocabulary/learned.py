"""A tokenizer that is learned from one source and used on others, so that several data share their ids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from stagejax.data.sources import Source
from stagejax.data.tokenizers import Codec, Tokenizer, codec


@dataclass(frozen=True)
class LearnedFrom(Tokenizer):
    """`tokenizer`, trained on the training split of `source`, whatever text it is used with.

    >>> from stagejax.data import BPE, Stdlib
    >>> few, more = Stdlib(limit=100_000), Stdlib(limit=200_000)
    >>> shared = LearnedFrom(BPE(300), more)
    >>> codec(shared, few).digest() == codec(BPE(300), more).digest()
    True
    """

    tokenizer: Tokenizer
    source: Source
    field: str = "text"

    @property
    def vocab(self) -> int:  # type: ignore[override]
        return self.tokenizer.vocab

    def train(self, texts: Iterator[str]) -> Codec:
        return codec(self.tokenizer, self.source, self.field)
