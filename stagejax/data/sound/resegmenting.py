"""Talks cut into segments: by hand, where sentences are, and at random words, with the translations cut accordingly."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from stagejax.data.order import random_words, uniforms
from stagejax.data.sound.talks import Sentence, Talks
from stagejax.data.sources import Derived, Record, Source


class Segment(NamedTuple):
    """Samples [begin, end) of a talk, what is said there, and its translation."""

    talk: int
    begin: int
    end: int
    words: tuple[str, ...]
    target: tuple[str, ...]


class Segments(Source):
    """Pieces of talks: records {"signal", "text", "label"}. Subclasses are frozen dataclasses that give `segments`.

    They have the field `talks`.
    """

    talks: Talks

    @property
    def split(self) -> str:  # type: ignore[override]
        return self.talks.split

    def segments(self) -> Sequence[Segment]:
        """All pieces, talk by talk."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.segments())

    def __getitem__(self, index: int) -> Record:
        own = self.segments()[index]
        signal = self.talks.talk(own.talk).signal[own.begin : own.end]
        return {"signal": signal, "text": " ".join(own.words), "label": " ".join(own.target)}

    def digest(self) -> str:
        return self.talks.digest()


@dataclass(frozen=True)
class ManualSegments(Segments):
    """Every sentence of every talk.

    >>> from stagejax.data.sound.speech import Tones
    >>> from stagejax.data.sound.talks import NumberTalks
    >>> source = ManualSegments(NumberTalks(Tones(limit=200), sentences=2, size=3))
    >>> len(source), source[0]["text"].split()[:2], source[0]["label"].split()[-1]
    (6, ['three', 'four'], 'fünfzig')
    """

    talks: Talks

    def segments(self) -> Sequence[Segment]:
        return _manual(self)


@dataclass(frozen=True)
class RandomSegments(Segments):
    """Every talk cut at one random word of each sentence (see `resegmented`), with pieces of at most `longest` seconds.

    Longer ones are left out, as by the limit on lengths in training.

    >>> from stagejax.data.sound.speech import Tones
    >>> from stagejax.data.sound.talks import NumberTalks
    >>> source = RandomSegments(NumberTalks(Tones(limit=200), sentences=3, size=3))
    >>> [own.words for own in source.segments() if own.talk == 0][1]
    ('four', 'five', 'three', 'nine')
    """

    talks: Talks
    least: float = 0.25  # seconds
    longest: float | None = None
    tries: int = 50
    seed: int = 0

    def segments(self) -> Sequence[Segment]:
        return _random(self)


@functools.lru_cache(maxsize=16)
def _manual(source: ManualSegments) -> list[Segment]:
    return [
        Segment(talk, own.begin, own.end, own.words, own.target)
        for talk in range(len(source.talks))
        for own in source.talks.sentences_of(talk)
    ]


@functools.lru_cache(maxsize=16)
def _random(source: RandomSegments) -> list[Segment]:
    found: list[Segment] = []
    rate = source.talks.rate
    for talk in range(len(source.talks)):
        sentences = source.talks.sentences_of(talk)
        draws = uniforms(random_words(source.seed, np.array([talk]), len(sentences) * source.tries))[0]
        splits = [split_word(own, draws[k :: len(sentences)]) for k, own in enumerate(sentences)]
        found += [own._replace(talk=talk) for own in resegmented(sentences, splits, source.least * rate)]
    most = float("inf") if source.longest is None else source.longest * rate
    return [own for own in found if own.end - own.begin <= most]


def split_word(sentence: Sentence, draws: np.ndarray) -> int | None:
    """The first word, by numbers from 0 to 1, that the aligner found in the recording; None: none of them.

    >>> own = Sentence(0, 9, ("a", "b"), (-1, 5), ("x",), ((0, 0),))
    >>> split_word(own, np.array([0.1, 0.7])), split_word(own, np.array([0.1]))
    (1, None)
    """
    places = (draws * len(sentence.words)).astype(int).tolist()
    return next((at for at in places if sentence.starts[at] >= 0), None)


def resegmented(sentences: Sequence[Sentence], splits: Sequence[int | None], least: float = 0.0) -> list[Segment]:
    """Pieces from the split word of each sentence to that of the next one, and what is before the first and behind the
    last of them. A sentence without one is left out, and no piece reaches over it.

    A piece's translation is the tail of the first sentence's and the head of the second one's (see `head_and_tail`).
    Words whose translations are reordered over the split are in both: nothing of what is said is lost.

    Args:
      splits: the number of the split word of each sentence.
      least: samples of a piece; shorter ones are dropped, and so are those without words or without a translation.

    Reference: the random segmentation of https://github.com/mgaido91/FBK-fairseq-ST, for Papi et al. 2021,
    https://arxiv.org/abs/2106.12607, section 3.

    >>> a = Sentence(0, 40, ("two", "four", "six", "one"), (0, 10, 20, 30), ("vier", "und", "zwanzig", "ein", "und",
    ...              "sechzig"), ((0, 2), (1, 0), (2, 5), (3, 3)))
    >>> [(own.begin, own.end, own.words, own.target) for own in resegmented([a], [2])]
    [(0, 20, ('two', 'four'), ('vier', 'und', 'zwanzig')), (20, 40, ('six', 'one'), ('ein', 'und', 'sechzig'))]
    """
    found: list[Segment] = []
    open_piece: tuple[int, tuple[str, ...], tuple[str, ...] | None] | None = None

    def close(end: int, words: tuple[str, ...], target: tuple[str, ...] | None) -> None:
        begin, before, tail = open_piece or (end, (), None)
        if tail is not None and target is not None and before + words and tail + target and end - begin >= least:
            found.append(Segment(0, begin, end, before + words, tail + target))

    last: Sentence | None = None
    for sentence, at in zip(sentences, splits, strict=True):
        if at is None:
            if last is not None:
                close(last.end, (), ())
            open_piece, last = None, None
            continue
        if last is None:
            open_piece = (sentence.begin, (), ())
        head, tail = head_and_tail(sentence, at)
        close(sentence.starts[at], sentence.words[:at], head)
        open_piece, last = (sentence.starts[at], sentence.words[at:], tail), sentence
    if last is not None:
        close(last.end, (), ())
    return found


def head_and_tail(sentence: Sentence, at: int, reach: int = 5) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """The translation of a sentence's words before a split, and of those from it on; None where no word is linked.

    The head ends with the last word that is linked to a word before the split, the tail begins with the first one that
    is linked to a word behind it. A place more than `reach` from the next one is taken for an error of the aligner. Of
    a sentence of one or two words the tail begins where the head ends.

    >>> own = Sentence(0, 9, ("a", "b", "c"), (0, 3, 6), tuple("stuvwxyz"), ((0, 0), (1, 1), (0, 7), (2, 3)))
    >>> head_and_tail(own, 2)  # the link of the first word to the last place is isolated
    (('s', 't'), ('v', 'w', 'x', 'y', 'z'))
    """
    before = sorted({j for i, j in sentence.links if i < at})
    behind = sorted({j for i, j in sentence.links if i >= at})
    while len(before) > 1 and before[-1] - before[-2] > reach:
        before.pop()
    while len(behind) > 1 and behind[1] - behind[0] > reach:
        behind.pop(0)
    end = before[-1] + 1 if before else 0
    head = sentence.target[:end] if before or at == 0 else None
    if len(sentence.words) <= 2:
        return head, sentence.target[end:]
    return head, sentence.target[behind[0] :] if behind else None


@dataclass(frozen=True)
class Transcripts(Derived):
    """What is said in each segment, without the sound: records {"text", "label"}.

    >>> from stagejax.data.sound.speech import Tones
    >>> from stagejax.data.sound.talks import NumberTalks
    >>> Transcripts(ManualSegments(NumberTalks(Tones(limit=200), sentences=2, size=3)))[1]["text"].split()[0]
    'nine'
    """

    source: Segments

    def __getitem__(self, index: int) -> Record:
        own = self.source.segments()[index]
        return {"text": " ".join(own.words), "label": " ".join(own.target)}

    def digest(self) -> str:
        return self.source.digest()
