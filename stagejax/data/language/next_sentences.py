"""BERT's instances from several corpora at once: masked tokens and next sentences, in files of drawn shards."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float64, Int32, Int64

from stagejax.data.corpus import Corpus, read_corpus
from stagejax.data.language.articles import sentences
from stagejax.data.order import random_words, shuffled, uniforms
from stagejax.data.pipeline import Batch, Data, joint_digest
from stagejax.data.sources import EmptySource, Source
from stagejax.data.tasks.text_tasks import fitting
from stagejax.data.text import corrupt
from stagejax.data.tokenizers import CLS, PAD, SEP, Codec, Ids, Tokenizer, codec

_SHORT = 0.1  # share of instances that are shorter than they could be
_DRAWS = 8  # random numbers of an instance
_STRIDE = 1 << 32  # more than a file has instances: what is drawn for one belongs to its number


@dataclass(frozen=True)
class BySentence(Tokenizer):
    """`tokenizer` on one sentence after another, each closed by `SEP`.

    >>> from stagejax.data import Bytes
    >>> BySentence(Bytes()).train(iter(())).encode(["A. B"])[0].tolist()
    [69, 50, 2, 70, 2]
    """

    tokenizer: Tokenizer

    @property
    def vocab(self) -> int:  # type: ignore[override]
        return self.tokenizer.vocab

    def train(self, texts: Iterator[str]) -> Codec:
        return _Sentencewise(self.tokenizer.train(texts))


class _Sentencewise(Codec):
    def __init__(self, inner: Codec) -> None:
        self.inner = inner

    def encode(self, texts: Sequence[str]) -> list[Int32[np.ndarray, " _"]]:
        parts = [sentences(text) for text in texts]
        ids = iter(self.inner.encode([part for own in parts for part in own]))
        end = np.array([SEP], np.int32)
        return [np.concatenate([end[:0], *(x for _ in own for x in (next(ids), end))]) for own in parts]

    def decode(self, ids: Ids) -> str:
        return self.inner.decode(ids)

    def digest(self) -> str:
        return joint_digest(self.inner.digest(), "by sentence")


class Draft(NamedTuple):
    """An instance before it is cut and masked: spans of a file's tokens."""

    first: tuple[int, int]
    second: tuple[int, int]
    random: bool  # whether the second is no continuation of the first
    cut: tuple[int, int]  # tokens that each has too many
    front: tuple[int, int]  # how many of them are taken from its front


def drafts(
    starts: Int64[np.ndarray, " sentences_and_end"],
    documents: Int64[np.ndarray, " documents_and_end"],
    room: int,
    draws: Float64[np.ndarray, "sentences draws"],
) -> list[Draft]:
    """BERT's instances of some documents: sentences of one document until `room` is full, cut into A and B.

    The cut is behind a sentence that is drawn. With probability 1/2, or where there is only one sentence, B is read
    from a random sentence of a random other document on, and the sentences that it replaces are put back. One instance
    in ten aims at a shorter length, drawn too. Of a pair that is too long, the longer one loses tokens at both ends.

    Args:
      starts: where each sentence begins among the tokens, and their number.
      documents: which sentence each document begins with, and their number; two documents or more.
      room: tokens of A and B together, 2 or more.
      draws: uniform numbers in [0, 1), a row for an instance; there are at most as many as sentences.

    Reference: Devlin et al. 2018, https://arxiv.org/abs/1810.04805, appendix A.2, and the released code.

    >>> made = drafts(np.array([0, 4, 8, 12]), np.array([0, 2, 3]), 8, np.full((3, 8), 0.9))
    >>> [(one.first, one.second, one.random) for one in made]
    [((0, 4), (4, 8), False), ((8, 12), (4, 8), True)]
    """
    begin, bounds, made = starts.tolist(), documents.tolist(), []
    for document in range(len(bounds) - 1):
        sentence, last = bounds[document], bounds[document + 1]
        while sentence < last:
            short, length, place, coin, other, where, front_a, front_b = draws[len(made)].tolist()
            target = room if short >= _SHORT else 2 + int(length * (room - 1))
            end = sentence + 1
            while end < last and begin[end] - begin[sentence] < target:
                end += 1
            middle = sentence + 1 + int(place * (end - sentence - 1)) if end - sentence > 1 else end
            first, random = (begin[sentence], begin[middle]), middle == end or coin < 0.5
            if random:
                drawn = int(other * (len(bounds) - 2))
                drawn += drawn >= document
                start = bounds[drawn] + int(where * (bounds[drawn + 1] - bounds[drawn]))
                stop, least = start + 1, begin[start] + max(1, target - (first[1] - first[0]))
                while stop < bounds[drawn + 1] and begin[stop] < least:
                    stop += 1
                second, sentence = (begin[start], begin[stop]), middle
            else:
                second, sentence = (begin[middle], begin[end]), end
            lengths = [first[1] - first[0], second[1] - second[0]]
            kept = fitting(lengths, room)
            cut = lengths[0] - kept[0], lengths[1] - kept[1]
            front = round(front_a * cut[0]), round(front_b * cut[1])
            made.append(Draft(first, second, random, cut, front))
    return made


@dataclass(frozen=True, kw_only=True)
class NextSentences(Data):
    """Masked language modelling and next sentences from several corpora that share files.

    A row is [CLS, A, SEP, B, SEP, padding]. A batch is {"tokens", "types": int32 (batch, length), of the corrupted
    tokens and whether they are of B; "places", "targets": int32 (batch, masks) and "weights", "letters": float32
    (batch, masks), of the masked tokens: where they are, what stood there, 1 or 0 where a row has fewer, and how many
    characters each stands for; "random_next": int32 (batch,), 1 where B does not follow A}.

    Each corpus is cut into shards of whole documents of nearly equal numbers of tokens. A file is made of so many
    shards of each corpus, the documents of all of them shuffled together: a small corpus's shards come again and again,
    each time in other company, with new masks and new random next sentences. What is drawn for a file belongs to it:
    there are `files` of them, and when the last one is read the first one follows. Instance n is of file n // `rows`
    modulo `files`; the instances of a file are read in an order of their own, from where they were left.

    Args:
      corpora: (documents with a field "text", shards of it in each file).
      tokenizer: whatever it is learned from; a `LearnedFrom` where corpora share it.
      batch: rows in a global batch.
      length: tokens in a row.
      shard: tokens in a shard, nearly.
      files: how many different ones are made.
      rows: instances that are read of a file before the next one.
      rate: share of tokens that are masked.
      seed: of all that is drawn.
      count: number of batches; None: endless.

    Raises:
      EmptySource: on reading, a corpus has less than one shard, or a file fewer than two documents.

    Reference: Wada et al. 2020, https://arxiv.org/abs/2005.07202, and its demonstration, with 5 and 5 shards of 100 KB
    in each of 50 files.

    >>> from stagejax.data import Bytes, Stdlib
    >>> small, large = Stdlib(limit=100_000), Stdlib(limit=400_000)
    >>> both = ((small, 1), (large, 1))
    >>> data = NextSentences(corpora=both, tokenizer=Bytes(), batch=4, length=32, shard=8000, files=2, rows=64)
    >>> {name: leaf.shape for name, leaf in data.take(np.arange(3)).items() if leaf.ndim > 1}
    {'tokens': (3, 32), 'types': (3, 32), 'places': (3, 4), 'targets': (3, 4), 'weights': (3, 4), 'letters': (3, 4)}
    """

    corpora: tuple[tuple[Source, int], ...]
    tokenizer: Tokenizer
    batch: int
    length: int
    shard: int
    files: int = 50
    rows: int = 1024
    rate: float = 0.15
    seed: int = 0
    count: int | None = None

    def __post_init__(self) -> None:
        if self.length < 8 or self.shard < 1 or self.files < 1 or self.rows < 1 or not self.corpora:
            raise ValueError(
                f"{len(self.corpora)} corpora, length={self.length}, shard={self.shard}, files={self.files}, "
                f"rows={self.rows}: length is 8 or more, the others 1"
            )
        shards = [number for _, number in self.corpora]
        if min(shards) < 1 or not 0 < self.rate < 1:
            raise ValueError(f"{shards} shards, rate={self.rate}: give at least 1 of each, and a share below 1")

    @property
    def masks(self) -> int:
        """Masked tokens of a row at most."""
        return max(1, round(self.rate * (self.length - 3)))

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        sizes = {"tokens": self.length, "types": self.length, "places": self.masks, "targets": self.masks}
        spec = {name: jax.ShapeDtypeStruct((size,), np.int32) for name, size in sizes.items()}
        real = jax.ShapeDtypeStruct((self.masks,), np.float32)
        return spec | {"weights": real, "letters": real, "random_next": jax.ShapeDtypeStruct((), np.int32)}

    def size(self) -> int:
        return self.files * self.rows

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        epochs, places = np.divmod(numbers, self.files * self.rows)
        files, within = np.divmod(places, self.rows)
        made = {name: np.empty((len(numbers), *leaf.shape), leaf.dtype) for name, leaf in self.sample_spec().items()}
        for file in np.unique(files).tolist():
            mine, rows = np.flatnonzero(files == file), _file(self._endless, file)
            read = epochs[mine] * self.rows + within[mine]
            order = shuffled(self.seed * self.files + file, read, len(rows["tokens"]))
            for name, leaf in rows.items():
                made[name][mine] = leaf[order]
        return made

    @property
    def _endless(self) -> NextSentences:
        """What the files depend on."""
        return replace(self, batch=1, count=None, rows=1, files=1)

    def held_out(self, batches: int, split: str = "test") -> Data:
        held = tuple((source.of_split(split), shards) for source, shards in self.corpora)
        return replace(self, corpora=held, count=batches)

    def shards(self, corpus: int) -> list[Int64[np.ndarray, " documents"]]:
        """The documents of each shard of a corpus.

        Raises:
          EmptySource: it has less than half the tokens of one shard.
        """
        return _shards(self._corpus(corpus), self.shard, self.seed, str(self.corpora[corpus][0]))

    def drawn(self, file: int) -> list[Int64[np.ndarray, " shards"]]:
        """Which shards of each corpus a file is made of: all of a corpus come equally often."""
        places = [np.arange(file * number, (file + 1) * number) for _, number in self.corpora]
        return [shuffled(self.seed, at, len(self.shards(corpus))) for corpus, at in enumerate(places)]

    def _corpus(self, corpus: int) -> Corpus:
        return read_corpus(self.corpora[corpus][0], BySentence(self.tokenizer))

    def digest(self) -> str:
        return joint_digest(*(self._corpus(corpus).digest() for corpus in range(len(self.corpora))))


@functools.lru_cache(maxsize=32)
def _shards(corpus: Corpus, tokens: int, seed: int, name: str) -> list[np.ndarray]:
    sizes = np.diff(corpus.starts)
    order = shuffled(seed, np.arange(len(sizes)), len(sizes))
    order = order[sizes[order] > 1]  # one id is the SEP that closes a document
    total = int(sizes[order].sum())
    count = round(total / tokens)
    if not count:
        raise EmptySource(f"{name} gives {total} tokens: less than a shard of {tokens}. Lower `shard`.")
    ends = np.cumsum(sizes[order])
    owners = (ends - sizes[order] / 2) * count // total
    found = [order[owners == shard] for shard in range(count)]
    return [own for own in found if len(own)]  # a document may be longer than a shard


@functools.lru_cache(maxsize=8)
def _file(data: NextSentences, file: int) -> Batch:
    """All instances of a file."""
    tokens, starts, documents = _read(data, file)
    words = random_words(data.seed, file * _STRIDE + np.arange(len(starts)), _DRAWS)
    draws = uniforms(words)
    made = drafts(starts, documents, data.length - 3, draws)
    spans = np.array([(*one.first, *one.second) for one in made])
    cut, front = np.array([one.cut for one in made]), np.array([one.front for one in made])
    spans[:, ::2] += front
    spans[:, 1::2] -= cut - front
    targets, types = _rows(tokens, spans, data.length)
    numbers = file * _STRIDE + np.arange(len(made))
    corrupted, weights = corrupt(targets, numbers, seed=~data.seed, rate=data.rate, vocab=data.tokenizer.vocab)
    places = np.argsort(-weights, axis=1, kind="stable")[:, : data.masks]
    said = np.take_along_axis(targets, places, axis=1)
    letters = _letters(codec(BySentence(data.tokenizer), data.corpora[0][0]), data.tokenizer.vocab)
    return {
        "tokens": corrupted,
        "types": types,
        "places": places.astype(np.int32),
        "targets": said,
        "weights": np.take_along_axis(weights, places, axis=1),
        "letters": letters[said],
        "random_next": np.array([one.random for one in made], np.int32),
    }


def _read(data: NextSentences, file: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The tokens of a file, where its sentences begin, and with which sentence each document does; and all ends."""
    parts = []
    for corpus, drawn in enumerate(data.drawn(file)):
        made, shards = data._corpus(corpus), data.shards(corpus)
        parts += [made.ids[made.starts[d] : made.starts[d + 1] - 1] for shard in drawn.tolist() for d in shards[shard]]
    order = shuffled(~data.seed, len(parts) * file + np.arange(len(parts)), len(parts)).tolist()
    ids = np.concatenate([parts[own] for own in order]).astype(np.int32)
    is_text, ends = ids != SEP, np.cumsum([len(parts[own]) for own in order])
    before = np.concatenate([[0], np.cumsum(is_text)])  # tokens of text before each id
    starts = np.unique(np.concatenate([[0], before[1:][~is_text], before[-1:]]))
    documents = np.searchsorted(starts, np.unique(np.concatenate([[0], before[ends]])))
    if len(documents) < 3:
        raise EmptySource(f"file {file} has {len(documents) - 1} documents, but a random next sentence is of another")
    return ids[is_text], starts, documents


def _rows(tokens: np.ndarray, spans_N4: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """[CLS, A, SEP, B, SEP, padding] and the types."""
    a, a_end, b, b_end = (own[:, None] for own in spans_N4.T)
    at, middle = np.arange(length)[None], 1 + a_end - a
    end = middle + 1 + b_end - b
    where = np.where(at < middle, a + at - 1, b + at - middle - 1)
    ids = np.where(at < end, tokens[np.clip(where, 0, len(tokens) - 1)], PAD)
    ids = np.where((at == middle) | (at == end), SEP, ids)
    ids[:, 0] = CLS
    return ids.astype(np.int32), ((at > middle) & (at <= end)).astype(np.int32)


@functools.lru_cache(maxsize=16)
def _letters(code: Codec, vocab: int) -> np.ndarray:
    """Characters of each id; of one that is never text, 0."""
    return np.array([len(code.decode([token])) for token in range(vocab)], np.float32)
