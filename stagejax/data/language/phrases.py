"""Phrases of a small vocabulary: what common words say in a row, in texts that have others as well."""

from __future__ import annotations

import functools
import re
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from stagejax.data.order import random_words
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record, Source


def word_set(words: str) -> frozenset[str]:
    """The words that spaces part."""
    return frozenset(words.split())


#: Words that say how others belong together.
FUNCTION = word_set(
    "a an the of in on at by to for from with into onto over through up down off near next out and or as while "
    "that his her their its is are was be being some"
)


@dataclass(frozen=True)
class Phrases(Derived):
    """Of every text the longest run of words of a small vocabulary that no stop parts, each once: records {"text"}.

    The vocabulary are the `words` most frequent words of the training split, in small letters. A run is cut to `most`
    words and ends in no function word; it has `least` words or more, and `content` of them are no function words.
    Phrases of other splits are those that the training split does not have.

    Args:
      words: size of the vocabulary.
      least, most: words of a phrase.
      content: fewest and most words that are no function words.
      field: of a record, with its text.
      limit: so many phrases of the training split; None: all.

    >>> phrases = Phrases(DrawnCaptions(200), words=20, least=4, most=8, content=(2, 4))
    >>> phrases[0]["text"]
    'a white woman walking in the water'
    """

    words: int = 80
    least: int = 4
    most: int = 8
    content: tuple[int, int] = (3, 6)
    field: str = "text"
    limit: int | None = None

    def __len__(self) -> int:
        return len(_phrases(self))

    def __getitem__(self, index: int) -> Record:
        return {"text": _phrases(self)[index]}

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The most frequent words, in their order."""
        return _vocabulary(self.source.of_split("train"), self.words, self.field)

    def phrase(self, text: str) -> str | None:
        """The phrase of a text, if it has one."""
        known, runs = set(self.vocabulary), [[]]
        for piece in re.split(r"[.,;:!?]", text):
            runs.append([])
            for word in words_of(piece):
                if word in known:
                    runs[-1].append(word)
                else:
                    runs.append([])
        run = max(runs, key=len)[: self.most]
        while run and run[-1] in FUNCTION:
            run.pop()
        fewest, most = self.content
        fits = len(run) >= self.least and fewest <= sum(word not in FUNCTION for word in run) <= most
        return " ".join(run) if fits else None

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"{self.words} {self.least} {self.most} {self.content} {self.limit}")


def words_of(text: str) -> list[str]:
    """The words of a text in small letters; but for "a", they have two letters or more.

    >>> words_of("A man's hat, in water.")
    ['a', 'man', 'hat', 'in', 'water']
    """
    return re.findall(r"[^\W\d_]{2,}|\ba\b", text.lower())


@functools.lru_cache(maxsize=16)
def _vocabulary(source: Source, words: int, field: str) -> tuple[str, ...]:
    found = Counter(word for i in range(len(source)) for word in words_of(source[i][field]))
    return tuple(sorted(found, key=lambda word: (-found[word], word))[:words])


@functools.lru_cache(maxsize=16)
def _phrases(phrases: Phrases) -> tuple[str, ...]:
    made = (phrases.phrase(phrases.source[i][phrases.field]) for i in range(len(phrases.source)))
    every = dict.fromkeys(phrase for phrase in made if phrase is not None)
    if phrases.split == "train":
        return tuple(every)[: phrases.limit]
    known = set(_phrases(replace(phrases, source=phrases.source.of_split("train"), limit=None)))
    return tuple(phrase for phrase in every if phrase not in known)


#: What made-up captions are made of: kinds, colours, deeds and places.
_KINDS, _COLOURS = ("man", "woman", "dog", "girl", "boy"), ("red", "blue", "green", "white")
_DEEDS, _PLACES = ("standing", "jumping", "playing", "walking"), ("street", "water", "field", "park")


@dataclass(frozen=True)
class DrawnCaptions(Source):
    """Made-up captions such as "A red dog jumping in the street.", for tests: records {"text"}."""

    count: int
    seed: int = 0
    split: str = "train"

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Record:
        which = ("train", "val", "test").index(self.split)
        drawn = random_words(3 * self.seed + which, np.array([index]), 4)[0].tolist()
        kind, colour, deed, place = (
            words[number % len(words)] for words, number in zip((_KINDS, _COLOURS, _DEEDS, _PLACES), drawn, strict=True)
        )
        return {"text": f"A {colour} {kind} {deed} in the {place}."}

    def digest(self) -> str:
        return joint_digest(f"{self}")
