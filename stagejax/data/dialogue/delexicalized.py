"""Texts whose terms are replaced by a placeholder, so that what is left is how things are said, not of what."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record

#: One character, which no text should have of itself: a single token of every tokenizer that declares it.
PLACEHOLDER = "\N{WHITE SQUARE}"


@dataclass(frozen=True)
class TermMasker:
    """Terms to placeholders: from left to right, at each place the longest term; placeholders side by side are one.

    Terms are any strings, of several words as well; what is replaced depends on nothing but the text and the terms.

    Args:
      terms: strings that are not empty.
      placeholder: one character.

    Raises:
      ValueError: an empty term, or one with the placeholder; a placeholder of another length. Called: the text has
        the placeholder already.

    >>> mask = TermMasker(("恋恋笔记本", "笔记本", "电影", "2004年", "6月"))
    >>> mask("恋恋笔记本是电影吗？2004年6月上映。")
    '□是□吗？□上映。'
    """

    terms: tuple[str, ...]
    placeholder: str = PLACEHOLDER

    def __post_init__(self) -> None:
        if len(self.placeholder) != 1 or not all(self.terms) or any(self.placeholder in term for term in self.terms):
            raise ValueError(
                f"placeholder={self.placeholder!r} is one character, which no term holds, and no term is empty"
            )

    def __call__(self, text: str) -> str:
        """The text with placeholders."""
        if self.placeholder in text:
            raise ValueError(f"{text!r} has the placeholder {self.placeholder!r} already: choose another character")
        made: list[str] = []
        at = 0
        for start, end in self.spans(text):
            made.append(text[at:start])
            if not (made[-1] == "" and len(made) > 1):  # else it stands right behind another term
                made.append(self.placeholder)
            at = end
        return "".join((*made, text[at:]))

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where the terms stand, none over another.

        >>> TermMasker(("ab", "abc", "cd")).spans("xabcdcd")
        [(1, 4), (5, 7)]
        """
        known, found, at = _by_first(self.terms), [], 0
        while at < len(text):
            end = next((at + n for n, terms in known.get(text[at], ()) if text[at : at + n] in terms), None)
            if end is not None:
                found.append((at, end))
            at = at + 1 if end is None else end
        return found


@functools.lru_cache(maxsize=32)
def _by_first(terms: tuple[str, ...]) -> Mapping[str, list[tuple[int, set[str]]]]:
    """Terms by their first character and length, longest first."""
    found: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for term in terms:
        found[term[0]][len(term)].add(term)
    return {first: sorted(own.items(), reverse=True) for first, own in found.items()}


@runtime_checkable
class Terms(Protocol):
    """Where terms come from: a frozen declaration that finds them when they are asked for."""

    def terms(self) -> tuple[str, ...]: ...

    def digest(self) -> str: ...


@dataclass(frozen=True)
class Delexicalized(Derived):
    """Dialogues whose turns have placeholders for terms: records with "turns", each with a "text".

    Args:
      source: records {"turns": [{"text": ...}, ...]}.
      dictionary: of the terms.

    >>> from stagejax.data.dialogue.drawn_dialogues import DrawnDialogues
    >>> from stagejax.data.dialogue.domain_terms import DomainTerms
    >>> park, film = (DrawnDialogues(domain, 60) for domain in ("park", "film"))
    >>> plain, masked = park[0], Delexicalized(park, DomainTerms(park, (film,)))[0]
    >>> plain["turns"][0]["text"], masked["turns"][0]["text"]
    ('have you heard of gusogox ?', 'have you heard of □ ?')
    """

    dictionary: Terms

    def __getitem__(self, index: int) -> Record:
        return _delexicalized(self)[index]

    def digest(self) -> str:
        return joint_digest(self.source.digest(), self.dictionary.digest())


@functools.lru_cache(maxsize=64)
def _delexicalized(own: Delexicalized) -> tuple[Record, ...]:
    mask = TermMasker(own.dictionary.terms())

    def masked(turns: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [{"text": mask(turn["text"])} for turn in turns]

    records = (own.source[i] for i in range(len(own.source)))
    return tuple({**record, "turns": masked(record["turns"])} for record in records)
