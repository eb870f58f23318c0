"""A tokenizer in which chosen words are single pieces, with ids that are known before any text is read."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32

from stagejax.data.pipeline import joint_digest
from stagejax.data.tokenizers import SPECIAL, Codec, Ids, Tokenizer


@dataclass(frozen=True)
class WholeWords(Tokenizer):
    """`tokenizer`, in which each of `words` is one id wherever it stands as a whole word.

    Ids of the words come behind those of the tokenizer. A word is an exact string, with the space before it where it
    has one: " great" is in "a great day", and not in "a greatest day". Text comes back exactly if the tokenizer's does.

    Args:
      tokenizer: for all other text.
      words: each once; where two fit, the longer one is taken.

    Raises:
      ValueError: a word is empty or comes twice.

    >>> from stagejax.data import Bytes, Stdlib
    >>> from stagejax.data.tokenizers import codec
    >>> tokenizer = WholeWords(Bytes(), (" great", "Human"))
    >>> code = codec(tokenizer, Stdlib(limit=100_000))
    >>> code.encode(["a great, greatest"])[0].tolist()[:4], tokenizer.id("Human"), tokenizer.vocab
    ([101, 260, 48, 36], 261, 262)
    >>> code.decode(code.encode(["a great, greatest"])[0])
    'a great, greatest'
    """

    tokenizer: Tokenizer
    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if not all(self.words) or len(set(self.words)) != len(self.words):
            raise ValueError(f"words={self.words}: give each word once, and none that is empty")

    @property
    def vocab(self) -> int:  # type: ignore[override]
        return self.tokenizer.vocab + len(self.words)

    def id(self, word: str) -> int:
        """The id of one of the words.

        Raises:
          ValueError: it is none of them.
        """
        if word not in self.words:
            raise ValueError(f"{word!r} is none of the whole words {self.words}: add it to `words`")
        return self.tokenizer.vocab + self.words.index(word)

    def train(self, texts: Iterator[str]) -> Codec:
        return _WholeWordsCodec(self, self.tokenizer.train(texts))


class _WholeWordsCodec(Codec):
    """Cuts the words out, and leaves what lies between them to the codec of the tokenizer."""

    def __init__(self, declared: WholeWords, rest: Codec) -> None:
        self._declared, self._rest = declared, rest
        ordered = sorted(declared.words, key=len, reverse=True)
        self._pattern = re.compile(f"({'|'.join(map(_whole, ordered))})" if ordered else "(?!)()")

    def encode(self, texts: Sequence[str]) -> list[Int32[np.ndarray, " _"]]:
        cut = [self._pattern.split(text) for text in texts]  # text, word, text, word, ..., text
        between = iter(self._rest.encode([part for parts in cut for part in parts[::2]]))
        found = []
        for parts in cut:
            ids = [next(between)]
            for word in parts[1::2]:
                ids += [np.array([self._declared.id(word)], np.int32), next(between)]
            found.append(np.concatenate(ids).astype(np.int32))
        return found

    def decode(self, ids: Ids) -> str:
        first, words = self._declared.tokenizer.vocab, self._declared.words
        text = ""
        for whole, run in itertools.groupby((int(i) for i in ids if i >= SPECIAL), key=lambda i: i >= first):
            own = list(run)
            text += "".join(words[i - first] for i in own) if whole else self._rest.decode(own)
        return text

    def digest(self) -> str:
        return joint_digest(self._rest.digest(), repr(self._declared.words))


def _whole(word: str) -> str:
    """The pattern of a word that no letter or digit goes on, on either side."""
    before, after = (r"(?<!\w)" if word[0].isalnum() else ""), (r"(?!\w)" if word[-1].isalnum() else "")
    return before + re.escape(word) + after
