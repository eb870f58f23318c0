"""A tokenizer of words between spaces: those of the training text that occur often, and one token for all others."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32

from stagejax.data.tokenizers import SPECIAL, Codec, Ids, Tokenizer


@dataclass(frozen=True)
class FrequentWords(Tokenizer):
    """The `words` most frequent words, each with an id, and one more id for all others; words are what spaces part.

    Args:
      words: how many; where the training text has fewer, the last ids are never used.

    >>> code = FrequentWords(2).train(iter(["a red fox and a red hen", "a dog"]))
    >>> code.encode(["a red dog"])[0].tolist(), code.decode([4, 5, 6])
    ([4, 5, 6], 'a red ?')
    """

    words: int = 2000

    @property
    def vocab(self) -> int:  # type: ignore[override]
        return SPECIAL + self.words + 1

    def train(self, texts: Iterator[str]) -> Codec:
        found = Counter(word for text in texts for word in text.split())
        ranked = sorted(found, key=lambda word: (-found[word], word))
        return _FrequentWordsCodec(ranked[: self.words], SPECIAL + self.words)


class _FrequentWordsCodec(Codec):
    def __init__(self, known: Sequence[str], other: int) -> None:
        self._known, self._other = tuple(known), other
        self._ids = {word: SPECIAL + number for number, word in enumerate(known)}

    def encode(self, texts: Sequence[str]) -> list[Int32[np.ndarray, " _"]]:
        return [np.array([self._ids.get(word, self._other) for word in text.split()], np.int32) for text in texts]

    def decode(self, ids: Ids) -> str:
        places = (int(i) - SPECIAL for i in ids if i >= SPECIAL)
        return " ".join(self._known[place] if place < len(self._known) else "?" for place in places)

    def digest(self) -> str:
        return hashlib.sha256(" ".join((*self._known, str(self._other))).encode()).hexdigest()
