"""Documents behind words about them, packed into rows that begin with a document; the words are read, not learned."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.corpus import Corpus, read_corpus
from stagejax.data.language.metadata import Metadata, Prefixes
from stagejax.data.language.packing import INTS
from stagejax.data.order import shuffled
from stagejax.data.pipeline import Batch, Data, joint_digest
from stagejax.data.sources import EmptySource, Source
from stagejax.data.tokenizers import CLS, Tokenizer
from stagejax.data.vocabulary.learned import LearnedFrom


def complete_rows(sizes: Int64[np.ndarray, " documents"], length: int) -> Int64[np.ndarray, " rows_and_end"]:
    """Which document begins each row: a row takes documents until it is full, and the next begins with the next one.

    What is left of a document that did not fit is dropped, and so is a last row that is not full.

    >>> complete_rows(np.array([3, 3, 9, 2, 2]), 4).tolist()
    [0, 2, 3, 5]
    """
    ends, first = np.cumsum(sizes), [0]
    while True:
        begin = ends[first[-1] - 1] if first[-1] else 0
        following = int(np.searchsorted(ends, begin + length)) + 1
        if following > len(sizes):
            return np.array(first, np.int64)
        first.append(following)


@dataclass(frozen=True, kw_only=True)
class ConditionedText(Data):
    """Next-token prediction on documents `CLS`, words about the document, text, `SEP`, several in a row.

    A row begins with a document and is filled with whole ones; the last is cut, what is left of it dropped, and a piece
    of one token removed. A batch has "tokens", "targets", "segments" (1, 2, ... for the documents of a row, so that
    attention keeps them apart), "positions" (from 0 in each), int32 (batch, length), and "weights": 1 where the target
    is text or the end of a document, 0 where it is of the words about it.

    The order of documents is drawn once, and every epoch orders the rows anew. Data with words and data without have as
    many tokens in a batch, of which the words take some.

    Reference: Gao et al. 2025 (MeCo), https://arxiv.org/abs/2501.01956, section 2 and appendix.

    Args:
      source: records with a text and, where there is `metadata`, its field.
      tokenizer, learned_from: which tokens, trained on the texts of which source; text and words are encoded apart, so
        that a text has the same tokens with words and without.
      metadata: the words; None: none.
      learn_metadata: whether the words are targets, too.

    Raises:
      EmptySource: the documents do not fill a row.

    >>> from stagejax.data import Bytes, Stdlib
    >>> source = Stdlib(limit=100_000)
    >>> data = ConditionedText(source=source, tokenizer=Bytes(), learned_from=source, batch=2, length=64,
    ...                        metadata=Metadata(of_field="name"))
    >>> row = {name: leaf[0] for name, leaf in data.take(np.arange(1)).items()}
    >>> Bytes().decode(row["tokens"][row["weights"] == 0])[:5], Bytes().decode(row["targets"][:5])
    ('URL: ', 'URL: ')
    """

    source: Source
    tokenizer: Tokenizer
    learned_from: Source
    batch: int
    length: int
    metadata: Metadata | None = None
    learn_metadata: bool = False
    seed: int = 0
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        ints = {name: jax.ShapeDtypeStruct((self.length,), np.int32) for name in INTS}
        return ints | {"weights": jax.ShapeDtypeStruct((self.length,), np.float32)}

    def size(self) -> int:
        return len(self._layout()[1]) - 1

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        order, first = self._layout()
        made = {name: np.zeros((len(numbers), self.length), leaf.dtype) for name, leaf in self.sample_spec().items()}
        for row, packed in enumerate(shuffled(self.seed, numbers, self.size()).tolist()):
            at = 0
            for segment, number in enumerate(order[first[packed] : first[packed + 1]].tolist(), start=1):
                tokens, words = self.document(number)
                span = min(len(tokens) - 1, self.length - at)
                if span > 1:
                    here = np.s_[row, at : at + span]
                    made["tokens"][here], made["targets"][here] = tokens[:span], tokens[1 : span + 1]
                    made["segments"][here], made["positions"][here] = segment, np.arange(span)
                    made["weights"][here] = self.learn_metadata or np.arange(span) >= words
                at += span
        return made

    def document(self, number: int) -> tuple[np.ndarray, int]:
        """The tokens of a record's document, and how many of them are words about it."""
        text, words = _piece(self._texts(), number), np.zeros(0, np.int32)
        if self.metadata is not None:
            words = _piece(self._words(self.metadata), number)[:-1]
        return np.concatenate([[CLS], words, text]).astype(np.int32), len(words)

    def digest(self) -> str:
        words = [] if self.metadata is None else [self._words(self.metadata).digest()]
        return joint_digest(self._texts().digest(), *words)

    def _texts(self) -> Corpus:
        return read_corpus(self.source, LearnedFrom(self.tokenizer, self.learned_from))

    def _words(self, metadata: Metadata) -> Corpus:
        return read_corpus(Prefixes(self.source, metadata), LearnedFrom(self.tokenizer, self.learned_from))

    def _layout(self) -> tuple[np.ndarray, np.ndarray]:
        return _layout(self.source, self.tokenizer, self.learned_from, self.metadata, self.length, self.seed)


def _piece(corpus: Corpus, number: int) -> np.ndarray:
    """The ids of a document, with its `SEP`."""
    return corpus.ids[corpus.starts[number] : corpus.starts[number + 1]]


@functools.lru_cache(maxsize=16)
def _layout(
    source: Source, tokenizer: Tokenizer, learned_from: Source, metadata: Metadata | None, length: int, seed: int
) -> tuple[Int64[np.ndarray, " documents"], Int64[np.ndarray, " rows_and_end"]]:
    """The order of documents, and where in it each row begins."""
    learned = LearnedFrom(tokenizer, learned_from)
    sizes = np.diff(read_corpus(source, learned).starts)  # `SEP` stands for `CLS`: the last token predicts nothing
    if metadata is not None:
        sizes = sizes + np.diff(read_corpus(Prefixes(source, metadata), learned).starts) - 1
    order = shuffled(~seed, np.arange(len(sizes)), max(1, len(sizes)))
    first = complete_rows(sizes[order], length)
    if len(first) < 2:
        raise EmptySource(
            f"the {len(sizes)} documents of {source} do not fill one row of length={length}. Give the source more "
            "text, or lower `length`."
        )
    return order, first
