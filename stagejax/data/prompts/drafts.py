"""Drafts of short texts: sentences in parts, whose words still change, and what of them must stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from stagejax.data.order import random_words
from stagejax.data.sound.lexicon import ADJECTIVES, KIND, SINGULAR, TOPICS, VERBS, content

_PLURAL = tuple(f"{noun}s" for noun in SINGULAR)
_WORDS = {"v": VERBS, "a": ADJECTIVES, "n": SINGULAR, "m": _PLURAL}
_OWN = {(kind, t): own if kind == "n" else tuple(f"{x}s" for x in own) for kind in "nm" for t, own in enumerate(TOPICS)}
T = TypeVar("T")


class Stuck(Exception):
    """The draft cannot show the skill."""


class Draw:
    """Random numbers, one after the other, of a seed and a number."""

    def __init__(self, seed: int, number: int) -> None:
        self._words = self._stream(seed, number)

    @staticmethod
    def _stream(seed: int, number: int) -> Iterator[int]:
        for block in range(1 << 20):
            yield from (random_words(seed + 7919 * block, np.array([number]), 256)[0] >> np.uint64(16)).tolist()

    def below(self, size: int) -> int:
        return next(self._words) % size

    def chance(self, share: float) -> bool:
        return next(self._words) < share * 2**48

    def pick(self, options: Sequence[T]) -> T:
        if not options:
            raise Stuck
        return options[next(self._words) % len(options)]

    def mixed(self, options: Sequence[T]) -> list[T]:
        return [options[i] for i in sorted(range(len(options)), key=lambda _: next(self._words))]


@dataclass(eq=False)
class Cell:
    """A word of a draft. One that stands in several places is one cell, and changes in all of them."""

    word: str
    held: bool = False

    @property
    def kind(self) -> str:
        return KIND[self.word]


@dataclass(eq=False)
class Clause:
    """A sentence of a draft; its subject, verb and tail are a clause, and `kept` names the parts not to change."""

    subject: list[Cell]
    verb: list[Cell]
    tail: list[Cell]
    head: list[Cell] = field(default_factory=list)
    rest: list[Cell] = field(default_factory=list)
    end: str = "."
    kept: set[str] = field(default_factory=set)

    def cells(self) -> list[Cell]:
        return [*self.head, *self.subject, *self.verb, *self.tail, *self.rest]

    def content(self) -> list[Cell]:
        return [cell for cell in self.cells() if content(cell.word)]

    def set(self, part: str, cells: Sequence[Cell], keep: bool = True) -> None:
        """Put other words in a part's place.

        Raises:
          Stuck: it is kept.
        """
        if part in self.kept:
            raise Stuck
        setattr(self, part, list(cells))
        if keep:
            self.kept.add(part)

    def keep(self, *parts: str) -> None:
        self.kept.update(parts)

    def freeze(self) -> None:
        self.keep("head", "subject", "verb", "tail", "rest")


def literal(text: str) -> list[Cell]:
    return [Cell(word, True) for word in text.split()]


class Draft:
    """A text in the making."""

    def __init__(self, draw: Draw, topic: int) -> None:
        self.draw, self.topic = draw, topic
        self.sentences: list[Clause] = []

    def words(self) -> list[str]:
        return [word for own in self.sentences for word in (*(cell.word for cell in own.cells()), own.end)]

    # --- new words ---

    def word(self, kind: str, fits: Callable[[str], bool] | None = None) -> str:
        """A word of a kind, every second noun of the topic; one that fits."""
        options = _WORDS[kind]
        if kind in "nm" and self.draw.chance(0.5):
            options = _OWN[kind, self.topic]
            options = options if fits is None or any(map(fits, options)) else _WORDS[kind]
        return self.draw.pick(options if fits is None else [word for word in options if fits(word)])

    def phrase(self, adjectives: float = 0.15) -> list[Cell]:
        first, kind = self.draw.pick((("", "m"), ("", "m"), ("the", "n"), ("the", "m"), ("two", "m"), ("a", "n")))
        middle = [Cell(self.word("a"))] if self.draw.chance(adjectives) else []
        return [*literal(first), *middle, Cell(self.word(kind))]

    def clause(self, short: bool = False) -> Clause:
        tail = [] if short or self.draw.chance(0.4) else self.phrase()
        return Clause(self.phrase(0.0 if short else 0.15), [Cell(self.word("v"))], tail)

    def reword(self, cell: Cell, fits: Callable[[str], bool]) -> None:
        if cell.held:
            raise Stuck
        cell.word, cell.held = self.word(cell.kind, fits), True

    # --- places ---

    def clauses(self) -> list[Clause]:
        return [own for own in self.sentences if own.verb]

    def one(self, *parts: str) -> Clause:
        """Some clause of which these parts are not kept; a new one where there is none."""
        own = [x for x in self.clauses() if not x.kept & set(parts)]
        return self.draw.pick(own) if own else self.add()

    def add(self) -> Clause:
        self.sentences.append(self.clause())
        return self.sentences[-1]

    def two(self, first: str, second: str) -> tuple[Clause, Clause]:
        """Two clauses that follow each other, of which the second's part is not kept, and the first has its part."""
        pairs = [
            (a, b) for a, b in zip(self.sentences, self.sentences[1:], strict=False)
            if a.verb and b.verb and second not in b.kept and getattr(a, first) and not b.head
        ]  # fmt: skip
        if pairs:
            return self.draw.pick(pairs)
        last = self.sentences[-1] if self.sentences[-1].verb else self.add()
        if not getattr(last, first):
            last.set(first, self.phrase(), keep=False)
        return last, self.add()
