"""Questions in front of their contexts as rows of tokens, with the first and the last token of the answer."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Int32, Int64

from stagejax.data.pipeline import Batch, Data, joint_digest
from stagejax.data.records import OfRecords
from stagejax.data.sources import Source
from stagejax.data.tokenizers import CLS, PAD, SEP, Codec, Tokenizer, codec

_WORD = re.compile(r"\w+|[^\w\s]")
NOT_THERE = -1  #: the place of an answer that the row does not reach


def words_of(text: str) -> list[tuple[int, int]]:
    """Where the words and marks of a text stand: what spans are made of.

    >>> [(a, b) for a, b in words_of("it's file_name.")]
    [(0, 2), (2, 3), (3, 4), (5, 14), (14, 15)]
    """
    return [match.span() for match in _WORD.finditer(text)]


class Rows(NamedTuple):
    """All records of a source."""

    tokens: Int32[np.ndarray, "n length"]
    types: Int32[np.ndarray, "n length"]
    words: Int32[np.ndarray, "n length"]  # of the context, by number; -1 elsewhere
    start: Int32[np.ndarray, " n"]
    end: Int32[np.ndarray, " n"]


@dataclass(frozen=True, kw_only=True)
class SpanQuestions(OfRecords):
    """Rows [CLS, question, SEP, context, SEP], padded; the context is cut where the row ends.

    A batch is {"tokens", "types", "words": int32 (batch, length), "start", "end": int32 (batch,)}. Types are 0 up to
    the first SEP and 1 behind it. `words` numbers the word of the context that each token is of, and is -1 elsewhere.
    `start` and `end` are the first and the last token of the answer; `NOT_THERE` where the row does not reach it, 0
    (CLS) where a record has none: its places are -1. Each word is encoded by itself, with a space before it where the
    text has one.

    Args:
      source: records {"question", "context", "start", "end"}: the answer's place in characters, whole words.
      tokenizer: trained on the contexts of the source, unless it is `LearnedFrom` another.
      batch: rows in a global batch.
      length: tokens in a row.
      asked: of which the question takes at most so many.
      seed: of the order.
      count: number of batches; None: endless.

    >>> from stagejax.data import Bytes, Stdlib
    >>> from stagejax.data.prompts.wh_questions import ClozeSpans
    >>> data = SpanQuestions(source=ClozeSpans(Stdlib(limit=100_000)), tokenizer=Bytes(), batch=2, length=400, asked=99)
    >>> batch = data.take(np.arange(4))
    >>> sorted(batch), bool((batch["start"] <= batch["end"]).all())
    (['end', 'start', 'tokens', 'types', 'words'], True)
    """

    source: Source
    tokenizer: Tokenizer
    batch: int
    length: int
    asked: int
    seed: int = 0
    count: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.asked <= self.length - 4:
            raise ValueError(f"asked={self.asked} of length={self.length}: leave 4 tokens or more, and ask with 1")

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        row, one = jax.ShapeDtypeStruct((self.length,), np.int32), jax.ShapeDtypeStruct((), np.int32)
        return {"tokens": row, "types": row, "words": row, "start": one, "end": one}

    def size(self) -> int:
        return len(self.source)

    def take_records(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        rows = _encoded(self.source, self.tokenizer, self.length, self.asked)
        return {name: leaf[numbers] for name, leaf in rows._asdict().items()}

    def held_out(self, batches: int | None, split: str = "test") -> Data:
        return replace(self, source=self.source.of_split(split), seed=0, count=batches)

    def digest(self) -> str:
        return joint_digest(self.source.digest(), codec(self.tokenizer, self.source, "context").digest())


@functools.lru_cache(maxsize=1 << 16)
def _ids(code: Codec, word: str) -> tuple[int, ...]:
    return tuple(code.encode([word])[0].tolist())


def _pieces(code: Codec, text: str) -> list[tuple[int, ...]]:
    """The ids of each word of a text."""
    places = words_of(text)
    return [_ids(code, f"{' ' * (a == 0 or text[a - 1].isspace())}{text[a:b]}") for a, b in places]


@functools.lru_cache(maxsize=64)
def _encoded(source: Source, tokenizer: Tokenizer, length: int, asked: int) -> Rows:
    code, size = codec(tokenizer, source, "context"), len(source)
    made = Rows(*(np.zeros((size, length), np.int32) for _ in range(3)), *(np.zeros(size, np.int32) for _ in range(2)))
    made.tokens[:], made.words[:] = PAD, -1
    for row in range(size):
        record = source[row]
        head = [CLS, *sum(_pieces(code, record["question"]), ())[:asked], SEP]
        body = _pieces(code, record["context"])
        ids = [each for word in body for each in word]
        numbers = [number for number, word in enumerate(body) for _ in word]
        room = length - len(head) - 1
        at = slice(len(head), len(head) + len(ids[:room]))
        made.tokens[row, : len(head)], made.tokens[row, at], made.tokens[row, at.stop] = head, ids[:room], SEP
        made.words[row, at], made.types[row, at.start : at.stop + 1] = numbers[:room], 1
        made.start[row], made.end[row] = _answer(record, numbers, room, len(head))
    return made


def _answer(record: Any, numbers: list[int], room: int, first: int) -> tuple[int, int]:
    """The first and the last token of a record's answer, in a row whose context begins at `first`."""
    start, end = record["start"], record["end"]
    if start < 0:
        return 0, 0
    own = [number for number, (a, b) in enumerate(words_of(record["context"])) if a < end and b > start]
    at = [token for token, number in enumerate(numbers) if own and own[0] <= number <= own[-1]]
    return (first + at[0], first + at[-1]) if at and at[-1] < room else (NOT_THERE, NOT_THERE)
