"""A tokenizer of lower-cased words: frequent ones have an id each, all others share some ids by their hash."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32

from stagejax.data.tokenizers import SPECIAL, Codec, Ids, Tokenizer


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation.

    >>> words_of("What's Berkeley's nationality?")
    ['what', 's', 'berkeley', 's', 'nationality']
    """
    return re.findall(r"\w+", text.lower())


@dataclass(frozen=True)
class HashedWords(Tokenizer):
    """The `words` most frequent words of the training text, and `buckets` ids that all other words share by their hash.

    So a rare word is still the same token wherever it stands, which matters where a query and a document are compared.
    Decoding gives no hashed word back.

    Reference: MacAvaney, OpenNIR, WSDM 2020, whose vocabularies hash unknown words so.

    >>> code = HashedWords(words=2, buckets=10).train(iter(["The red fox, the red dog."]))
    >>> red, the, fox, again = code.encode(["Red, the fox: FOX"])[0].tolist()
    >>> red, the, fox == again >= 6, code.decode([red, the, fox])
    (4, 5, True, 'red the ?')
    """

    words: int = 7000
    buckets: int = 1000

    @property
    def vocab(self) -> int:  # type: ignore[override]
        return SPECIAL + self.words + self.buckets

    def train(self, texts: Iterator[str]) -> Codec:
        found = Counter(word for text in texts for word in words_of(text))
        ranked = sorted(found, key=lambda word: (-found[word], word))
        return _HashedWordsCodec(ranked[: self.words], self.words, self.buckets)


class _HashedWordsCodec(Codec):
    def __init__(self, known: Sequence[str], words: int, buckets: int) -> None:
        self._known, self._first, self._buckets = tuple(known), SPECIAL + words, buckets
        self._ids = {word: SPECIAL + number for number, word in enumerate(known)}

    def encode(self, texts: Sequence[str]) -> list[Int32[np.ndarray, " _"]]:
        return [np.array([self._id(word) for word in words_of(text)], np.int32) for text in texts]

    def _id(self, word: str) -> int:
        own = self._ids.get(word)
        return self._first + zlib.crc32(word.encode()) % self._buckets if own is None else own

    def decode(self, ids: Ids) -> str:
        places = (int(i) - SPECIAL for i in ids if i >= SPECIAL)
        return " ".join(self._known[place] if place < len(self._known) else "?" for place in places)

    def digest(self) -> str:
        content = " ".join((*self._known, str(self._first), str(self._buckets)))
        return hashlib.sha256(content.encode()).hexdigest()
