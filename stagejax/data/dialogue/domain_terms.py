"""The terms of a domain, found in its dialogues: what they say facts about, and words that other domains lack."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from stagejax.data.language.log_odds import letter_strings, log_odds, words_by_variety
from stagejax.data.order import random_words
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Source

_ASIDE = re.compile(r"（.*?）|\(.*?\)")  # noqa: RUF001 - what tells entities of one name apart
_APART = re.compile(r"[、，,；;。！!？?]|\s-\s")  # noqa: RUF001 - what parts the values of a list
_TRIES = 32  # strings drawn for one of `RandomTerms`


@dataclass(frozen=True)
class DomainTerms:
    """A dictionary of one domain, made of dialogues alone: a lexical bank, and keywords.

    The bank: entities of the facts that turns are annotated with, and the values of their attributes, piece by piece
    where they are lists. Keywords: strings of two to `longest` letters that may be words (accessor variety of at least
    `least`), are there at least `least` times, whose log-odds against the other domains are above `z` standard
    deviations, and that are `ratio` times as frequent as there. One that holds a better one is left out.

    Args:
      own: records {"turns": [{"text", "facts" (optional): [[entity, attribute, value], ...]}, ...]} of the domain.
      other: those of the other domains.
      z, least, longest, ratio: of keywords.
      described: attributes whose values are texts, not terms.
      value: characters of a value at most.

    >>> from stagejax.data.dialogue.drawn_dialogues import DrawnDialogues
    >>> park, film = (DrawnDialogues(domain, 60) for domain in ("park", "film"))
    >>> sorted(DomainTerms(park, (film,), least=10).keywords())
    ['gate', 'walk']
    """

    own: Source
    other: tuple[Source, ...]
    z: float = 3.0
    least: int = 3
    longest: int = 4
    ratio: float = 4.0
    described: tuple[str, ...] = ("Information",)
    value: int = 20

    def terms(self) -> tuple[str, ...]:
        """All of them, in order."""
        return _terms(self)

    def bank(self) -> set[str]:
        """Entities and values of facts, of 2 characters at least."""
        found: set[str] = set()
        for turn in turns_of(self.own):
            for entity, attribute, value in turn.get("facts", ()):
                values = () if attribute in self.described else _APART.split(value)
                found |= {part.strip() for part in (_ASIDE.sub("", entity), *values)}
        return {term for term in found if 2 <= len(term) <= self.value}

    def keywords(self) -> dict[str, float]:
        """The z of every keyword, best first."""
        texts = (turn["text"] for turn in turns_of(self.own))
        words = words_by_variety(texts, self.longest, self.least)
        own, other = _counts((self.own,), self.longest), _counts(self.other, self.longest)
        times = self.ratio * own.total() / other.total()
        often = [word for word, count in words.items() if count >= max(self.least, times * other[word])]
        best: dict[str, float] = {}
        for word, z in sorted(log_odds(own, other, often).items(), key=lambda item: (-item[1], item[0])):
            if z > self.z and not any(known in word for known in best):
                best[word] = z
        return best

    def digest(self) -> str:
        how = f"{self.z} {self.least} {self.longest} {self.ratio} {self.described} {self.value}"
        return joint_digest(self.own.digest(), *(source.digest() for source in self.other), how)


@dataclass(frozen=True)
class RandomTerms:
    """As many strings of the same texts as a dictionary has there, each as long as its term: a control.

    For every term the string is, of 32 drawn places, the one that is there most nearly as often as the term is.

    Args:
      like: the dictionary.
      seed: of the draws.

    >>> from stagejax.data.dialogue.drawn_dialogues import DrawnDialogues
    >>> like = DomainTerms(DrawnDialogues("park", 60), (DrawnDialogues("film", 60),))
    >>> drawn = RandomTerms(like).terms()
    >>> len(set(drawn)) == len(like.terms()), set(drawn) & set(like.terms())
    (True, set())
    """

    like: DomainTerms
    seed: int = 0

    def terms(self) -> tuple[str, ...]:
        """All of them, in order."""
        return _random_terms(self)

    def digest(self) -> str:
        return joint_digest(self.like.digest(), str(self.seed))


def turns_of(source: Source) -> Iterator[dict[str, Any]]:
    """The turns of all dialogues, one after the other."""
    for index in range(len(source)):
        yield from source[index]["turns"]


@functools.lru_cache(maxsize=32)
def _counts(sources: tuple[Source, ...], longest: int) -> Counter[str]:
    """How often strings of letters are there."""
    if len(sources) > 1:
        return sum((_counts((source,), longest) for source in sources), start=Counter())
    texts = (turn["text"] for turn in turns_of(sources[0]))
    return Counter(text[start:end] for text in texts for start, end in letter_strings(text, longest))


@functools.lru_cache(maxsize=32)
def _terms(own: DomainTerms) -> tuple[str, ...]:
    return tuple(sorted(own.bank() | own.keywords().keys()))


@functools.lru_cache(maxsize=32)
def _random_terms(own: RandomTerms) -> tuple[str, ...]:
    text = "\n".join(turn["text"] for turn in turns_of(own.like.own))
    terms = [term for term in own.like.terms() if term in text]
    known, found = set(terms), []
    for number, term in enumerate(terms):
        words = random_words(own.seed, np.array([number]), _TRIES)[0].tolist()
        drawn = (text[at : at + len(term)] for at in (word % (len(text) - len(term) + 1) for word in words))
        fits = [string for string in dict.fromkeys(drawn) if "\n" not in string and string not in known]
        if fits:
            wanted = text.count(term)
            found.append(min(fits, key=lambda string: abs(text.count(string) - wanted)))
            known.add(found[-1])
    return tuple(sorted(found))
