"""A tokenizer for closed languages, in which every word is known beforehand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32

from stagejax.data.tokenizers import SPECIAL, Codec, Ids, Tokenizer


@dataclass(frozen=True)
class Words(Tokenizer, Codec):
    """One token a word of a declared vocabulary; words are what spaces part.

    Args:
      words: the words, each once. Another one in a text is an error that names it.

    >>> code = Words(("a", "red", "seven"))
    >>> code.vocab, code.encode(["a red seven"])[0].tolist(), code.decode([4, 6])
    (7, [4, 5, 6], 'a seven')
    """

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.words or len(set(self.words)) != len(self.words):
            raise ValueError(f"the vocabulary must hold at least one word, each once: {self.words}")

    @property
    def vocab(self) -> int:
        return len(self.words) + SPECIAL

    def train(self, texts: Iterator[str]) -> Codec:
        return self

    def encode(self, texts: Sequence[str]) -> list[Int32[np.ndarray, " _"]]:
        ids = {word: index + SPECIAL for index, word in enumerate(self.words)}
        try:
            return [np.array([ids[word] for word in text.split()], np.int32) for text in texts]
        except KeyError as error:
            raise ValueError(
                f"the word {error.args[0]!r} is not among the {len(self.words)} words of Words(). Add it to `words`, "
                "or use BPE(), which knows every text."
            ) from None

    def decode(self, ids: Ids) -> str:
        return " ".join(self.words[int(i) - SPECIAL] for i in ids if i >= SPECIAL)

    def digest(self) -> str:
        return hashlib.sha256(" ".join(self.words).encode()).hexdigest()
