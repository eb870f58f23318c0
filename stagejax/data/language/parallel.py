"""Parallel texts: short ones, lines that alternate between two languages, instructions to translate, made-up ones."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stagejax.data.order import random_words
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record, Source


@dataclass(frozen=True)
class Short(Derived):
    """The records whose texts all have few words, as spaces part them.

    Args:
      fields: of a record that hold the texts.
      words: at most so many in each of them, and at least `more`.

    >>> drawn = DrawnTranslations(60)
    >>> len(Short(drawn, ("en", "de"), 4)) + len(Short(drawn, ("en",), 5, more=5)) == 60
    True
    """

    fields: tuple[str, ...]
    words: int
    more: int = 0

    def __len__(self) -> int:
        return len(_kept(self))

    def __getitem__(self, index: int) -> Record:
        return self.source[_kept(self)[index]]

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"{self.fields} {self.more} to {self.words}")


@functools.lru_cache(maxsize=32)
def _kept(short: Short) -> tuple[int, ...]:
    def words(record: Record) -> tuple[int, ...]:
        return tuple(len(record[field].split()) for field in short.fields)

    every = ((i, words(short.source[i])) for i in range(len(short.source)))
    return tuple(i for i, found in every if short.more <= min(found) and max(found) <= short.words)


@dataclass(frozen=True)
class Interlinear(Derived):
    """Pairs as two lines, the one and below it what it is in the other language: records {"text"}.

    Several one behind another are an interlinear document: `PackedAnswers(source=Interlinear(...), fields=("text",),
    joined=True)` fills rows with them. Exchange the fields for documents of the other direction.

    Args:
      fields: of a pair: which text comes first, and which below it.

    Reference: Guo et al., NAACL Findings 2024, https://arxiv.org/abs/2403.11430, section 3 (stage 2).

    >>> Interlinear(DrawnTranslations(9), ("de", "en"))[0]["text"]
    'd4 d3 d3 .\\ne4 e3 e3 .\\n'
    """

    fields: tuple[str, str]

    def __getitem__(self, index: int) -> Record:
        pair = self.source[index]
        return {"text": "".join(f"{pair[field]}\n" for field in self.fields)}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"{self.fields}")


@dataclass(frozen=True)
class Instructed(Derived):
    """Instructions to translate, with the translation as the answer: records {"question", "solution"}.

    Pair i is asked for by template i modulo their number. In which language the templates are is the caller's choice.

    Args:
      fields: of a pair: the text to be translated, and its translation.
      templates: with {} for the text.

    >>> Instructed(DrawnTranslations(9), ("de", "en"), ("Auf Englisch: {}\\n",))[0]
    {'question': 'Auf Englisch: d4 d3 d3 .\\n', 'solution': 'e4 e3 e3 .'}
    """

    fields: tuple[str, str]
    templates: tuple[str, ...]

    def __getitem__(self, index: int) -> Record:
        (given, wanted), template = self.fields, self.templates[index % len(self.templates)]
        pair = self.source[index]
        return {"question": template.format(pair[given]), "solution": pair[wanted]}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"{self.fields} {self.templates}")


#: How each language asks for a translation, and what it calls the others.
_REQUESTS: dict[str, tuple[str, ...]] = {
    "en": ("In {}: ", "Translate into {}: ", "Say it in {}: "),
    "de": ("Auf {}: ", "Übersetze auf {}: ", "Sag es auf {}: "),
    "fr": ("En {} : ", "Traduis en {} : ", "Dis-le en {} : "),
    "zh": ("用{}说：", "翻译成{}：", "请译成{}："),  # noqa: RUF001
}
_NAMES: dict[str, dict[str, str]] = {
    "en": {"en": "English", "de": "German", "fr": "French", "zh": "Chinese"},
    "de": {"en": "Englisch", "de": "Deutsch", "fr": "Französisch", "zh": "Chinesisch"},
    "fr": {"en": "anglais", "de": "allemand", "fr": "français", "zh": "chinois"},
    "zh": {"en": "英语", "de": "德语", "fr": "法语", "zh": "中文"},
}


def translation_requests(source: str, target: str, language: str | None = None) -> tuple[str, ...]:
    """Templates for `Instructed` that ask to translate, in the language of the source or in another one.

    >>> translation_requests("de", "en")[0], translation_requests("de", "en", "en")[1]
    ('Auf Englisch: {}\\n', 'Translate into English: {}\\n')
    """
    own = language or source
    return tuple(f"{request.format(_NAMES[own][target])}{{}}\n" for request in _REQUESTS[own])


@dataclass(frozen=True)
class DrawnTranslations(Source):
    """Made-up sentences in three made-up languages, word by word, for tests: records {"en", "de", "fr"}.

    Word k is e<k>, d<k> or f<k>; French has the words in the opposite order.

    Args:
      count: of sentences, each of 3 or 4 words and a full stop.
      words: how many there are.

    >>> DrawnTranslations(2)[1]
    {'en': 'e1 e0 e3 .', 'de': 'd1 d0 d3 .', 'fr': 'f3 f0 f1 .'}
    """

    count: int
    words: int = 8
    seed: int = 0
    split: str = "train"
    letters: ClassVar[dict[str, str]] = {"en": "e", "de": "d", "fr": "f"}

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Record:
        *drawn, more = (int(x) for x in random_words(2 * self.seed + (self.split != "train"), np.array([index]), 5)[0])
        numbers = [x % self.words for x in drawn[: 3 + more % 2]]
        orders = {"en": numbers, "de": numbers, "fr": numbers[::-1]}
        return {name: " ".join([*(f"{self.letters[name]}{k}" for k in own), "."]) for name, own in orders.items()}

    def digest(self) -> str:
        return joint_digest(f"{self}")
