"""A tokenizer of characters for scripts of thousands: declared ones, the most common, and one id for all others."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32

from stagejax.data.tokenizers import SPECIAL, Codec, Ids, Tokenizer


@dataclass(frozen=True)
class CommonCharacters(Tokenizer):
    """One token a character: `declared` ones, and the `characters` most frequent others of the training text.

    All other characters are one token, which decodes as `rare`. A text has as many tokens as characters, whatever it
    contains. Where the training text has fewer characters, the last ids stand for none.

    Args:
      characters: how many are learned; of equally frequent ones the first in the order of Unicode.
      declared: characters with an id whatever the training text has, such as a placeholder.
      rare: a single character.
      train_characters: how much of the training text is counted, from its beginning (whole documents).

    Raises:
      ValueError: declared characters repeat, `rare` is one of them, or is not one character.

    >>> code = CommonCharacters(characters=3, declared="□").train(iter(["你好你好吗", "好的"]))
    >>> code.decode(code.encode(["你好□，吗"])[0]), CommonCharacters(characters=3, declared="□").vocab
    ('你好□�吗', 9)
    """

    characters: int
    declared: str = ""
    rare: str = "\N{REPLACEMENT CHARACTER}"
    train_characters: int = 5_000_000

    def __post_init__(self) -> None:
        if len(self.rare) != 1 or len({*self.declared, self.rare}) != len(self.declared) + 1:
            raise ValueError(
                f"declared={self.declared!r} must hold each character once, and not rare={self.rare!r}, which is one"
            )

    @property
    def vocab(self) -> int:  # type: ignore[override]
        return SPECIAL + len(self.declared) + 1 + self.characters

    def train(self, texts: Iterator[str]) -> Codec:
        fixed = (*self.declared, self.rare)
        found: Counter[str] = Counter()
        left = self.train_characters
        for text in texts:
            found.update(text)
            left -= len(text)
            if left <= 0:
                break
        ranked = sorted(found.keys() - set(fixed), key=lambda character: (-found[character], character))
        return _CommonCharactersCodec("".join((*fixed, *ranked[: self.characters])), len(self.declared))


class _CommonCharactersCodec(Codec):
    def __init__(self, alphabet: str, rare: int) -> None:
        self._alphabet, self._rare = alphabet, SPECIAL + rare
        self._ids = {character: SPECIAL + place for place, character in enumerate(alphabet)}

    def encode(self, texts: Sequence[str]) -> list[Int32[np.ndarray, " _"]]:
        return [np.fromiter((self._ids.get(c, self._rare) for c in text), np.int32, len(text)) for text in texts]

    def decode(self, ids: Ids) -> str:
        rare, alphabet = self._alphabet[self._rare - SPECIAL], self._alphabet
        places = (int(i) - SPECIAL for i in ids if i >= SPECIAL)
        return "".join(alphabet[place] if place < len(alphabet) else rare for place in places)

    def digest(self) -> str:
        return hashlib.sha256(f"{self._rare} {self._alphabet}".encode()).hexdigest()
