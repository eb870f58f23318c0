"""A source's text as one array of token ids, made once in a process and shared by every stage that declares it."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, Integer

from stagejax.data.sources import Source
from stagejax.data.tokenizers import SEP, Tokenizer, codec, texts


@dataclass(frozen=True, eq=False)
class Corpus:
    """Token ids of all documents, one after another, each closed by `SEP`.

    Attributes:
      ids: uint16 where the vocabulary fits, else int32.
      starts: where each document begins, and at the end the number of ids.
    """

    ids: Integer[np.ndarray, " ids"]
    starts: Int64[np.ndarray, " starts"]

    def digest(self) -> str:
        """The sha256 of ids and starts."""
        return hashlib.sha256(self.ids.astype("<i4").tobytes() + self.starts.astype("<i8").tobytes()).hexdigest()


@functools.lru_cache(maxsize=16)
def read_corpus(source: Source, tokenizer: Tokenizer, field: str = "text") -> Corpus:
    """The corpus of a declared source under a declared tokenizer, which is trained on the source's train split.

    >>> from stagejax.data import Bytes, Stdlib
    >>> made = read_corpus(Stdlib(limit=100_000), Bytes())
    >>> made.ids.dtype, len(made.starts) - 1 == len(Stdlib(limit=100_000)), int(made.ids[-1]) == SEP
    (dtype('uint16'), True, True)
    """
    code = codec(tokenizer, source, field)
    documents = code.encode(list(texts(source, field)))
    ends = np.cumsum([len(ids) + 1 for ids in documents], dtype=np.int64)
    ids = np.full(ends[-1] if len(ends) else 0, SEP, np.uint16 if tokenizer.vocab <= 2**16 else np.int32)
    for document, end in zip(documents, ends, strict=True):
        ids[end - 1 - len(document) : end - 1] = document
    return Corpus(ids, np.concatenate([np.zeros(1, np.int64), ends]))
