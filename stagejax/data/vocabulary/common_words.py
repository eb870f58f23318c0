"""A tokenizer of words that spaces part: declared ones, the most common of a training text, one id for the rest."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32

from stagejax.data.tokenizers import SPECIAL, Codec, Ids, Tokenizer


@dataclass(frozen=True)
class CommonWords(Tokenizer):
    """One token a word: `declared` words, and the `words` most frequent others of the training text.

    All other words are one token, which decodes as `rare`. Unlike with `Words`, any text can be encoded; unlike with
    `HashedWords`, declared words and punctuation keep ids of their own and come back.

    Raises:
      ValueError: declared words repeat, or `rare` is one of them.

    >>> code = CommonWords(words=2, declared=("+", "=")).train(iter(["ann has figs .", "ann has + ."]))
    >>> code.decode(code.encode(["ann = has + kiwis"])[0]), CommonWords(words=2, declared=("+", "=")).vocab
    ('ann = <rare> + <rare>', 9)
    """

    words: int
    declared: tuple[str, ...] = ()
    rare: str = "<rare>"

    def __post_init__(self) -> None:
        if len({*self.declared, self.rare}) != len(self.declared) + 1:
            raise ValueError(f"declared={self.declared} must hold each word once, and not rare={self.rare!r}")

    @property
    def vocab(self) -> int:  # type: ignore[override]
        return SPECIAL + len(self.declared) + 1 + self.words

    def train(self, texts: Iterator[str]) -> Codec:
        fixed = (*self.declared, self.rare)
        found = Counter(word for text in texts for word in text.split())
        ranked = sorted(found.keys() - set(fixed), key=lambda word: (-found[word], word))
        return _CommonWordsCodec((*fixed, *ranked[: self.words]), len(self.declared))


class _CommonWordsCodec(Codec):
    def __init__(self, words: Sequence[str], rare: int) -> None:
        self._words, self._rare = tuple(words), SPECIAL + rare
        self._ids = {word: SPECIAL + place for place, word in enumerate(words)}

    def encode(self, texts: Sequence[str]) -> list[Int32[np.ndarray, " _"]]:
        return [np.array([self._ids.get(word, self._rare) for word in text.split()], np.int32) for text in texts]

    def decode(self, ids: Ids) -> str:
        places = (int(i) - SPECIAL for i in ids if i >= SPECIAL)
        return " ".join(self._words[place] if place < len(self._words) else "?" for place in places)

    def digest(self) -> str:
        return hashlib.sha256(" ".join((*self._words, str(self._rare))).encode()).hexdigest()
