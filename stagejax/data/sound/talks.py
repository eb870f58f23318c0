"""Talks: long recordings of several sentences, with the times of their words and what they mean in another language.

Letters: S samples of a talk.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

from stagejax.data.order import random_words, uniforms
from stagejax.data.pipeline import joint_digest
from stagejax.data.prompts.number_words import ENGLISH
from stagejax.data.sound.speech import Spoken, recorded, speakers_of
from stagejax.data.sources import EmptySource, Record, Source
from stagejax.data.vocabulary.words import Words

_UNITS = ("", "ein", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")
_TENS = ("zehn", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig")
_ALONE = {10: "zehn", 11: "elf", 12: "zwölf"}
_STEMS = {6: "sech", 7: "sieb"}  # in front of "zehn"


class Sentence(NamedTuple):
    """A sentence of a talk.

    `starts` are the samples at which its words begin, -1 of a word that no aligner found in the recording. `links` are
    pairs of places: of a word, and of a word of the translation.
    """

    begin: int
    end: int
    words: tuple[str, ...]
    starts: tuple[int, ...]
    target: tuple[str, ...]
    links: tuple[tuple[int, int], ...]


class Talk(NamedTuple):
    """A recording, and its sentences in their order."""

    signal: Float32[np.ndarray, " S"]
    sentences: tuple[Sentence, ...]
    speaker: int


class Talks(Source):
    """Recordings of several sentences each; a record is {"signal", "sentences", "speaker"}, as in `Talk`.

    Subclasses give `rate` (samples a second), `talk`, `__len__` and `digest`.
    """

    rate: int = 8000

    def talk(self, index: int) -> Talk:
        """A talk by its number."""
        raise NotImplementedError

    def sentences_of(self, index: int) -> tuple[Sentence, ...]:
        """The sentences of a talk, which may be known without its sound."""
        return self.talk(index).sentences

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < len(self):
            raise IndexError(f"talk {index} of {len(self)}")
        return self.talk(index)._asdict()


def german_number(number: int) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...]]:
    """The morphemes of a German number from 10 to 99, and which of its two digits each of them stands for.

    The units come first, so that the translation of digits reorders them; "und" stands for none.

    Raises:
      ValueError: the number has not two digits.

    >>> german_number(24), german_number(30)
    ((('vier', 'und', 'zwanzig'), ((0, 2), (1, 0))), (('dreißig',), ((0, 0), (1, 0))))
    """
    if not 10 <= number <= 99:
        raise ValueError(f"{number} has not two digits: give a number from 10 to 99")
    tens, units = divmod(number, 10)
    if number in _ALONE or not units:
        return (_ALONE.get(number, _TENS[tens - 1]),), ((0, 0), (1, 0))
    if tens == 1:
        return (_STEMS.get(units, _UNITS[units]), "zehn"), ((0, 1), (1, 0))
    return (_UNITS[units], "und", _TENS[tens - 1]), ((0, 2), (1, 0))


def number_code() -> Words:
    """The tokens of English digits and of German numbers.

    >>> number_code().vocab
    37
    """
    german = (word for number in range(10, 100) for word in german_number(number)[0])
    return Words((*ENGLISH, *dict.fromkeys(german)))


def spoken_numbers(numbers: Sequence[int]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[tuple[int, int], ...]]:
    """Numbers digit by digit in English, in German, and the links between both.

    >>> spoken_numbers([24, 30])[:2]
    (('two', 'four', 'three', 'zero'), ('vier', 'und', 'zwanzig', 'dreißig'))
    """
    words, target, links = [], [], []
    for number in numbers:
        said, own = german_number(number)
        links += [(len(words) + i, len(target) + j) for i, j in own]
        words += [ENGLISH[number // 10], ENGLISH[number % 10]]
        target += said
    return tuple(words), tuple(target), tuple(links)


@dataclass(frozen=True)
class NumberTexts(Source):
    """Sentences of two-digit numbers without sound: records {"text": digits in English, "label": in German}.

    >>> NumberTexts(size=9)[3]
    {'text': 'nine three one zero eight one', 'label': 'drei und neunzig zehn ein und achtzig'}
    """

    split: str = "train"
    size: int = 20_000
    numbers: tuple[int, int] = (2, 3)  # least and most of a sentence
    seed: int = 0

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < self.size:
            raise IndexError(f"record {index} of {self.size}")
        seed, (least, most) = 2 * self.seed + int(self.split != "train"), self.numbers
        draws = uniforms(random_words(seed + _STREAM, np.array([index]), 1 + most))[0]
        drawn = [10 + int(90 * u) for u in draws[1 : 1 + least + int(draws[0] * (most - least + 1))]]
        words, target, _ = spoken_numbers(drawn)
        return {"text": " ".join(words), "label": " ".join(target)}

    def digest(self) -> str:
        return joint_digest(str(self))


@dataclass(frozen=True)
class NumberTalks(Talks):
    """Talks of one speaker each, put together from recordings of single digits, in a low noise.

    A sentence is some two-digit numbers, each two digits one behind the other: so its translation into German reorders
    them. Pauses are drawn evenly from ranges; those between numbers and those between sentences may overlap. What
    speaks and is silent is as in the recordings: their own silence comes on top of the pauses.

    Args:
      clips: recordings of digits.
      speakers: who speaks in turn; None: all.
      part: (first, last, n): of a speaker's recordings of a digit those whose place modulo n is in [first, last).
      sentences: of a talk.
      numbers: least and most of a sentence.
      longest: samples of a recording; what is behind is cut off.
      within, between, pause: seconds of silence inside a number, between numbers (least, most), between sentences.
      level: root mean square of a talk's recordings together.
      noise: that of the white noise.
      size: talks.

    Raises:
      EmptySource: a speaker has no recording of a digit, when a talk is read.

    >>> from stagejax.data.sound.speech import Tones
    >>> talk = NumberTalks(Tones(limit=200), sentences=2, size=3).talk(0)
    >>> len(talk.sentences), len(talk.sentences[0].words), talk.sentences[1].begin > talk.sentences[0].end
    (2, 4, True)
    """

    clips: Spoken
    speakers: tuple[int, ...] | None = None
    part: tuple[int, int, int] = (0, 1, 1)
    sentences: int = 12
    numbers: tuple[int, int] = (2, 3)
    longest: int = 4800
    within: float = 0.03
    between: tuple[float, float] = (0.05, 0.25)
    pause: tuple[float, float] = (0.2, 0.6)
    level: float = 0.1
    noise: float = 0.002
    size: int = 100
    seed: int = 0

    @property
    def split(self) -> str:  # type: ignore[override]
        return self.clips.split

    def of_split(self, split: str) -> Source:
        return replace(self, clips=self.clips.of_split(split))

    def __len__(self) -> int:
        return self.size

    def talk(self, index: int) -> Talk:
        return _talk(self, index)

    def sentences_of(self, index: int) -> tuple[Sentence, ...]:
        return _planned(self, index).sentences

    def digest(self) -> str:
        return joint_digest(self.clips.digest())


@functools.lru_cache(maxsize=32)
def _by_speaker(source: NumberTalks) -> dict[int, list[np.ndarray]]:
    """The recordings of each digit that a talk of each speaker may use."""
    _, words, owners = recorded(source.clips)
    first, last, n = source.part
    found: dict[int, list[np.ndarray]] = {}
    for speaker in speakers_of(source.clips, source.speakers):
        own = [np.flatnonzero((owners == speaker) & (words == digit)) for digit in range(10)]
        found[speaker] = [
            clips[(np.arange(len(clips)) % n >= first) & (np.arange(len(clips)) % n < last)] for clips in own
        ]
        for digit, clips in enumerate(found[speaker]):
            if not len(clips):
                raise EmptySource(
                    f"{source.clips} has no {ENGLISH[digit]!r} of speaker {speaker} in part {source.part}"
                )
    return found


class _Plan(NamedTuple):
    """A talk without its sound: recordings (-1: silence) with their samples, and the sentences."""

    parts: list[tuple[int, int]]
    sentences: tuple[Sentence, ...]
    speaker: int


@functools.lru_cache(maxsize=1 << 14)
def _planned(source: NumberTalks, index: int) -> _Plan:
    speakers, (least, most) = _by_speaker(source), source.numbers
    speaker = list(speakers)[index % len(speakers)]
    draws = iter(uniforms(random_words(source.seed, np.array([index]), source.sentences * (2 + 4 * most)))[0])
    recordings = recorded(source.clips)[0]
    parts: list[tuple[int, int]] = []
    sentences: list[Sentence] = []

    def now() -> int:
        return sum(samples for _, samples in parts)

    def silent(bounds: tuple[float, float]) -> None:
        parts.append((-1, round((bounds[0] + (bounds[1] - bounds[0]) * float(next(draws))) * source.rate)))

    silent(source.pause)
    for _ in range(source.sentences):
        numbers = [10 + int(90 * next(draws)) for _ in range(least + int(next(draws) * (most - least + 1)))]
        words, target, links = spoken_numbers(numbers)
        begin, starts = now(), []
        for k, word in enumerate(words):
            if k % 2:
                parts.append((-1, round(source.within * source.rate)))
            elif k:
                silent(source.between)
            starts.append(now())
            clips = speakers[speaker][ENGLISH.index(word)]
            clip = int(clips[int(next(draws) * len(clips))])
            parts.append((clip, min(len(recordings[clip]), source.longest)))
        sentences.append(Sentence(begin, now(), words, tuple(starts), target, links))
        silent(source.pause)
    return _Plan(parts, tuple(sentences), speaker)


@functools.lru_cache(maxsize=512)
def _talk(source: NumberTalks, index: int) -> Talk:
    plan, recordings = _planned(source, index), recorded(source.clips)[0]
    clips = [recordings[clip][:samples] if clip >= 0 else np.zeros(samples) for clip, samples in plan.parts]
    signal = np.concatenate(clips)
    spoken = np.concatenate([own for own, (clip, _) in zip(clips, plan.parts, strict=True) if clip >= 0])
    noise = uniforms(random_words(source.seed + _STREAM, np.array([index]), len(signal)))[0]
    signal = signal * (source.level / max(1e-6, _size(spoken))) + source.noise * _standard(noise)
    return Talk(signal.astype(np.float32), plan.sentences, plan.speaker)


def _size(signal: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(signal))))


def _standard(draws: Float64[np.ndarray, " S"]) -> Float64[np.ndarray, " S"]:
    """Even draws with mean 0 and variance 1."""
    return (draws - 0.5) * np.sqrt(12)


_STREAM = 1 << 41  # apart from what other data draws by the same seed
