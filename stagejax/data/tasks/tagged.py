"""Tagged sentences: a corpus in folds, as one stream of words and tags, and nested prefixes of it.

In a stream two tokens of word 0 and tag 0 stand before the first sentence and behind every one, so that whatever looks
back over two tags begins each sentence anew, and no learner has to know where sentences end.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, Int64

from stagejax.data.order import random_words, shuffled, uniforms
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Record, Source

BORDERS = 2  # tokens between sentences


class Stream(NamedTuple):
    """Words and tags by number; 0 is a border in both."""

    words: Int32[np.ndarray, " n"]
    tags: Int32[np.ndarray, " n"]

    @property
    def places(self) -> Int64[np.ndarray, " tokens"]:
        """Where the tokens are that are no borders."""
        return np.flatnonzero(self.words)

    def end(self, tokens: int) -> int:
        """Where the first `tokens` tokens end.

        Raises:
          ValueError: there are not so many.
        """
        if tokens > len(self.places):
            raise ValueError(f"a prefix of {tokens} tokens is asked for, of a stream that has {len(self.places)}")
        return int(self.places[tokens - 1]) + 1

    def first(self, tokens: int) -> Stream:
        """The first tokens, and the borders that end them; the last sentence may be cut."""
        cut = self.end(tokens)
        return Stream(*(np.append(own[:cut], np.zeros(BORDERS, np.int32)) for own in self))


class Corpus(NamedTuple):
    """All sentences as numbers: words and tags back to back, where each sentence starts, and what the numbers mean."""

    words: Int32[np.ndarray, " n"]
    tags: Int32[np.ndarray, " n"]
    starts: Int64[np.ndarray, " sentences_and_end"]
    forms: tuple[str, ...]  # forms[0] is the border's, ""
    labels: tuple[str, ...]


@dataclass(frozen=True)
class TaggedText:
    """The sentences of some sources, in folds: of each fold, one part is for testing and the others for training.

    Which sentences are in which part is drawn once; the order of the training sentences is drawn for each fold.

    Args:
      sources: whose records have a list of forms and one of tags.
      folds: how many parts.
      forms, tags: names of the fields.

    >>> text = TaggedText((DrawnSentences(60),), folds=3)
    >>> [len(stream.places) for stream in (text.training(0), text.test(0))]
    [465, 244]
    """

    sources: tuple[Source, ...]
    folds: int = 5
    forms: str = "form"
    tags: str = "upos"

    def corpus(self) -> Corpus:
        """All of it."""
        return _read(self)

    def digest(self) -> str:
        """The sha256 of the sources'."""
        return joint_digest(*(source.digest() for source in self.sources))

    def training(self, fold: int) -> Stream:
        """The sentences of all other parts."""
        parts = self._parts()
        own = np.flatnonzero(parts != fold)
        return self._stream(own[shuffled(fold, np.arange(len(own)), len(own))])

    def test(self, fold: int) -> Stream:
        """The sentences of this part."""
        return self._stream(np.flatnonzero(self._parts() == fold))

    def _parts(self) -> np.ndarray:
        count = len(self.corpus().starts) - 1
        return shuffled(0, np.arange(count), count) % self.folds

    def _stream(self, sentences: np.ndarray) -> Stream:
        corpus, border = self.corpus(), np.zeros(BORDERS, np.int32)

        def joined(own: np.ndarray) -> np.ndarray:
            spans = [own[corpus.starts[s] : corpus.starts[s + 1]] for s in sentences]
            return np.concatenate([border, *(piece for span in spans for piece in (span, border))])

        return Stream(joined(corpus.words), joined(corpus.tags))


@functools.lru_cache(maxsize=8)
def _read(text: TaggedText) -> Corpus:
    records = [source[i] for source in text.sources for i in range(len(source))]
    starts = np.cumsum([0, *(len(record[text.forms]) for record in records)], dtype=np.int64)

    def numbered(field: str) -> tuple[np.ndarray, tuple[str, ...]]:
        number = {"": 0}
        values = [number.setdefault(v, len(number)) for v in itertools.chain(*(record[field] for record in records))]
        return np.asarray(values, np.int32), tuple(number)

    (words, forms), (tags, labels) = numbered(text.forms), numbered(text.tags)
    return Corpus(words, tags, starts, forms, labels)


def lanes(stream: Stream, count: int, multiple: int = 1) -> Int64[np.ndarray, "length lanes"]:
    """Places of a stream side by side: each lane holds whole sentences, begins behind borders and ends with borders.

    Args:
      count: how many lanes, nearly of one length.
      multiple: of which the length is made one, so that streams of about one size are tagged by one program.

    Returns:
      Places; behind a lane's end place 0, which is a border.

    >>> text = TaggedText((DrawnSentences(60),), folds=3)
    >>> places = lanes(text.test(0), 4)
    >>> places.shape[1], len(np.unique(places[places > 0])) >= 244
    (4, True)
    """
    borders = stream.words == 0
    begins = np.append(np.flatnonzero(borders[:-1] & ~borders[1:]) + 1, len(stream.words))
    cuts = begins[np.searchsorted(begins, np.linspace(begins[0], len(stream.words), count + 1).astype(int))]
    length = -(-int(np.diff(cuts).max()) // multiple) * multiple
    places = cuts[:-1] + np.arange(length)[:, None]
    return np.where(places < cuts[1:], places, 0)


_ENDINGS = ("ak", "el", "im", "os", "un", "ar", "et", "is")


@dataclass(frozen=True)
class DrawnSentences(Source):
    """Sentences of a made-up language, for tests: tags from a Markov chain, words by Zipf's law.

    Records are {"form": list of str, "upos": list of str}. Half of the words have one tag each, which has to be learned
    by heart; the others have an ending, which is that of their tag in three cases of four.

    Args:
      count: of sentences, each of 4 to 19 words.
      labels: how many tags, at most 8.
      vocabulary: word stems of each tag.

    >>> record = DrawnSentences(3)[0]
    >>> len(record["form"]) == len(record["upos"]), record["form"][:3]
    (True, ['w38', 'w1el', 'w197ar'])
    """

    count: int
    labels: int = 8
    vocabulary: int = 300
    seed: int = 0
    split: str = "train"

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Record:
        words = random_words(self.seed, np.array([index]), 100)[0]
        draws = uniforms(words).reshape(20, 5)
        chain = uniforms(random_words(~self.seed, np.arange(self.labels), self.labels)) ** 4
        chain = np.cumsum(chain, -1) / chain.sum(-1, keepdims=True)
        forms: list[str] = []
        tags: list[str] = []
        tag = 0
        for one in draws[: 4 + int(16 * draws[-1, 4])]:
            tag = min(int(np.searchsorted(chain[tag], one[0])), self.labels - 1)
            stem = int(self.vocabulary ** one[1])
            if stem % 2:
                forms.append(f"w{stem}{_ENDINGS[tag if one[2] < 0.75 else int(one[3] * self.labels)]}")
            else:
                forms.append(f"w{stem * self.labels + tag}")
            tags.append(f"T{tag}")
        return {"form": forms, "upos": tags}

    def digest(self) -> str:
        return joint_digest(f"{self}")


def suffix_numbers(forms: Sequence[str], length: int) -> Int64[np.ndarray, "forms lengths"]:
    """The endings of 0, 1, ..., `length` letters of every form, by number; capitalised forms have others.

    Numbers are unique over all lengths; a form that is too short is its own ending.

    >>> suffix_numbers(["sing", "ring", "Ring"], 2).tolist()
    [[0, 2, 4], [0, 2, 4], [1, 3, 5]]
    """
    number: dict[tuple[int, bool, str], int] = {}

    def of(n: int, form: str) -> int:
        return number.setdefault((n, form[:1].isupper(), form[len(form) - min(n, len(form)) :]), len(number))

    columns = [[of(n, form) for form in forms] for n in range(length + 1)]
    return np.asarray(columns, np.int64).T
