"""A writer of short texts that show any few of the skills of `data.rhetoric` at once, and the texts it wrote.

A draft begins with a sentence or two. Skill after skill, in random order, changes it: each uses the words and sentences
that are there where it can, since the limit of words is less than texts of one skill each would have together. Parts
and words that a skill relies on are kept from the later ones, as far as it is known; the grader decides, and a draft
without full marks is thrown away.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

import numpy as np

from stagejax.data.lexicon import ADJECTIVES, KIND, SINGULAR, TOPICS, VERBS, content, initial, lexicon_tokenizer, rime
from stagejax.data.order import random_words
from stagejax.data.pipeline import joint_digest
from stagejax.data.rhetoric import NAMES, limit, marks, shown, size_tag, tags, topic_tag
from stagejax.data.sources import Record, Source
from stagejax.data.words import Words

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
        self.draw, self.topic, self.sentences = draw, topic, []  # type: ignore[var-annotated]

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


# --- what each skill does to a draft ---


def _alliteration(d: Draft) -> None:
    own = d.one("verb") if d.draw.chance(0.5) else d.draw.pick(d.sentences)
    cells = own.content()
    held = [cell for cell in cells if cell.held]
    letter = initial(d.draw.pick(held or cells).word)
    have = {cell.word for cell in cells if initial(cell.word) == letter}
    for cell in cells:
        cell.held |= initial(cell.word) == letter
    for cell in d.draw.mixed([cell for cell in cells if not cell.held]):
        if len(have) < 3:
            d.reword(cell, lambda word: initial(word) == letter and word not in have)
            have.add(cell.word)
    while len(have) < 3:
        new = Cell(d.word("a", lambda word: initial(word) == letter and word not in have), True)
        part = d.draw.pick([x for x in ("subject", "tail") if getattr(own, x) and x not in own.kept])
        getattr(own, part).insert(-1, new)
        have.add(new.word)


def _end_rhyme(d: Draft) -> None:
    if len(d.sentences) < 2:
        d.add()
    i = d.draw.below(len(d.sentences) - 1)
    a, b = (own.content()[-1] for own in d.sentences[i : i + 2])
    if b.held:
        a, b = b, a
    d.reword(b, lambda word: rime(word) == rime(a.word) and word != a.word)
    a.held = True


def _internal_rhyme(d: Draft) -> None:
    own = d.one("subject") if d.draw.chance(0.5) else d.draw.pick(d.sentences)
    cells = own.cells()
    pairs = [(a, b) for a, b in zip(cells, cells[1:], strict=False) if content(a.word) and content(b.word)]
    pairs = [(a, b) for a, b in pairs if "m" not in (a.kind, b.kind) and not (a.held and b.held) and a is not b]
    if pairs:
        a, b = d.draw.pick(pairs)
        if b.held:
            a, b = b, a
    else:
        part = d.draw.pick([x for x in ("subject", "tail") if getattr(own, x) and x not in own.kept])
        b = getattr(own, part)[-1]
        a = Cell(d.word("a"))
        getattr(own, part).insert(-1, a)
        if b.kind != "n":
            b = Cell(d.word("a"))
            getattr(own, part).insert(-1, b)
        if b.held:
            a, b = b, a
    d.reword(b, lambda word: rime(word) == rime(a.word) and word != a.word)
    a.held = True


def _framing(d: Draft) -> None:
    a, b = d.sentences[0].content()[0], d.sentences[-1].content()[-1]
    if b.held:
        a, b = b, a
    d.reword(b, lambda word: initial(word) == initial(a.word) and word != a.word)
    a.held = True


def _epizeuxis(d: Draft) -> None:
    own = d.one("verb")
    own.set("verb", own.verb[:1] * 2)


def _anaphora(d: Draft) -> None:
    a, b = d.two("subject", "subject")
    b.set("subject", a.subject)
    if len(a.subject) == 1:  # the verb is the second word
        b.set("verb", a.verb)
        a.keep("verb")
    a.keep("subject", "head")


def _epistrophe(d: Draft) -> None:
    a, b = d.two("verb", "tail")
    if a.rest or b.rest:
        raise Stuck
    if a.tail:
        b.set("tail", a.tail[-1:] if a.tail[-1].kind == "m" else [*literal("the"), a.tail[-1]])
    else:
        b.set("tail", [])
        b.set("verb", a.verb)
    for own in (a, b):
        own.keep("tail", "rest")


def _anadiplosis(d: Draft) -> None:
    a, b = d.two("tail", "subject")
    if a.rest or a.tail[-1].kind not in "nm":
        raise Stuck
    b.set("subject", a.tail[-1:] if a.tail[-1].kind == "m" else [*literal("the"), a.tail[-1]])
    a.keep("tail", "rest")


def _tricolon(d: Draft) -> None:
    part = d.draw.pick(("subject", "tail"))
    own = d.one(part)
    first = getattr(own, part) or d.phrase()
    own.set(part, [*first, *literal(","), *d.phrase(0.05), *literal("and"), *d.phrase(0.05)])


def _question(d: Draft) -> None:
    own = d.one("head")
    if own.head:
        raise Stuck
    own.set("head", literal("did"))
    own.end = "?"


def _parenthesis(d: Draft) -> None:
    part = d.draw.pick(("subject", "tail"))
    own = d.one(part)
    if not getattr(own, part):
        raise Stuck
    own.set(part, [*getattr(own, part), *literal("("), *d.phrase(), *literal(")")])


def _apostrophe(d: Draft) -> None:
    called = Clause(d.phrase(0.3)[-1:], [], [], literal("oh"), end="!")
    called.freeze()
    d.sentences.insert(d.draw.pick((0, len(d.sentences))), called)


def _modus_ponens(d: Draft) -> None:
    plain = [own for own in d.clauses() if not own.head and not own.rest and own.end == "." and len(own.cells()) < 4]
    a = d.draw.pick(plain) if plain else d.clause(short=True)
    b = d.clause(short=True)
    at = d.sentences.index(a) if plain else len(d.sentences)
    rule = Clause(a.subject, a.verb, a.tail, literal("if"), [*literal("then"), *b.cells()])
    b.head = literal("so")
    for own in (rule, a, b):
        own.freeze()
    d.sentences[at : at + len(plain[:1])] = [rule, a, b]


def _contrast(d: Draft) -> None:
    own = d.one("tail")
    own.set("tail", [*literal("not"), *(own.tail or d.phrase()), *literal("but"), *d.phrase()])


def _comparison(d: Draft) -> None:
    own = d.one("verb")
    own.set("verb", [*literal("grew more"), Cell(d.word("a")), *literal("than")])
    if not own.tail:
        own.set("tail", d.phrase(), keep=False)


def _cause(d: Draft) -> None:
    own = d.one("rest")
    own.set("rest", [*literal("because"), *d.clause(short=True).cells()])


def _pronoun(d: Draft) -> None:
    a, b = d.two("subject", "subject")
    b.set("subject", literal("it" if _number(a) == "n" else "they"))
    a.keep("subject", "head")


def _number(own: Clause) -> str:
    """Of the noun that a sentence begins with."""
    found = [cell.kind for cell in own.cells() if cell.kind in "nm"]
    if not found:
        raise Stuck
    return found[0]


def _possession(d: Draft) -> None:
    own = d.one("tail")
    number = _number(own)
    if not any(cell.kind in "nm" for cell in own.subject):
        raise Stuck
    own.set("tail", [*literal("its" if number == "n" else "their"), *d.phrase(0.2)[-1:]])
    own.keep("subject")


def _demonstration(d: Draft) -> None:
    noun, number = Cell(""), d.draw.pick("nm")
    noun.word = d.word(number)
    again = literal("that" if number == "n" else "those")
    _twice(d, [*literal("a" if number == "n" else "some"), noun], [*again, noun])


def _counting(d: Draft) -> None:
    noun = d.word("n")
    _twice(d, literal(f"one {noun}"), literal(f"{d.draw.pick(('two', 'three'))} {noun}s"))


def _twice(d: Draft, first: list[Cell], again: list[Cell]) -> None:
    """Phrases at two places, in this order."""
    free = [(i, j, x) for i, own in enumerate(d.sentences) for j, x in enumerate(("subject", "tail"))
            if own.verb and x not in own.kept]  # fmt: skip
    if len(free) < 2:
        d.add()
        free += [(len(d.sentences) - 1, j, x) for j, x in enumerate(("subject", "tail"))]
    for (i, _, part), phrase in zip(sorted(d.draw.mixed(free)[:2]), (first, again), strict=True):
        d.sentences[i].set(part, phrase)


_SHOW = {
    "alliteration": _alliteration, "end_rhyme": _end_rhyme, "internal_rhyme": _internal_rhyme, "framing": _framing,
    "epizeuxis": _epizeuxis, "anaphora": _anaphora, "epistrophe": _epistrophe, "anadiplosis": _anadiplosis,
    "tricolon": _tricolon, "question": _question, "parenthesis": _parenthesis, "apostrophe": _apostrophe,
    "modus_ponens": _modus_ponens, "contrast": _contrast, "comparison": _comparison, "cause": _cause,
    "pronoun": _pronoun, "possession": _possession, "demonstration": _demonstration, "counting": _counting,
}  # fmt: skip
_SOUNDS = {"alliteration", "end_rhyme", "internal_rhyme", "framing"}


def draft(draw: Draw, skills: Sequence[int], topic: int, room: int) -> list[str] | None:
    """A text that may or may not be what was asked for; None where the writer got stuck."""
    own = Draft(draw, topic)
    own.add()
    names = draw.mixed([NAMES[skill] for skill in skills])
    try:
        for name in (name for name in names if name not in _SOUNDS):
            _SHOW[name](own)
        while len(own.words()) + 4 <= room and draw.chance(0.8):
            own.add()
        for name in (name for name in names if name in _SOUNDS):  # when all words have their places
            _SHOW[name](own)
    except Stuck:
        return None
    return own.words()


def composed(
    draw: Draw, skills: Sequence[int], topic: int, size: int | None = None, pure: bool = False, attempts: int = 400
) -> list[str] | None:
    """A text with full marks, or None where none was found; some skills leave no room for each other.

    Args:
      skills: their numbers.
      size: the text is as short as one of so many skills has to be; None: of these.
      pure: it shows no other skill.

    >>> words = composed(Draw(0, 0), (NAMES.index("epizeuxis"), NAMES.index("cause")), topic=3)
    >>> " ".join(words)
    ''
    """
    room = limit(len(skills) if size is None else size)
    for _ in range(attempts):
        words = draft(draw, skills, topic, room)
        if words is None or len(words) > room:
            continue
        own = marks(words, skills, topic)
        if all(own.skills) and own.topic and own.sense and (not pure or set(shown(words)) == set(skills)):
            return words
    return None


def held_out(skills: Sequence[int], share: float = 0.25) -> bool:
    """Whether these skills, in any order, are of the share of combinations that no training text shows together."""
    number = sum(1 << skill for skill in skills)
    return len(skills) > 1 and float(random_words(11, np.array([number]), 1)[0, 0]) < share * 2.0**64


@dataclass(frozen=True)
class Compositions(Source):
    """Texts that show k skills and are about a topic, each behind its prompt; all have full marks.

    Records are {"question", "solution", "skills", "topic"}. The k of record i is ks[i % len(ks)], so a source with more
    ks and as many texts of each holds the texts of one with fewer: D(1), D(1, 2), D(1, 2, 3).

    Args:
      ks: how many skills, each as often. 0: texts without any.
      each: texts of each k.
      pool: the skills that are drawn from, in sets that are all equally likely.
      topics: the topics that are drawn from.
      others: every text shows a skill of `pool` and one of these; the rest is drawn from both.
      combined: "trained" sets of skills, those `held_out`, or "any".
      sizes: of which one is drawn and stands in the prompt, for a text as long as one of so many skills; (): k.
      pure: no text shows a skill that its prompt does not name.

    >>> record = Compositions((1, 2), each=4, pool=tuple(range(12)))[1]
    >>> record["question"], record["solution"]
    ('', '')
    """

    ks: tuple[int, ...]
    each: int
    pool: tuple[int, ...]
    topics: tuple[int, ...] = tuple(range(len(TOPICS)))
    others: tuple[int, ...] = ()
    combined: Literal["any", "trained", "held out"] = "any"
    sizes: tuple[int, ...] = ()
    pure: bool = False
    seed: int = 0
    split: str = "train"

    def __post_init__(self) -> None:
        if not self.ks or not self.topics or max(self.ks) > len(self.pool) + len(self.others):
            raise ValueError(f"ks={self.ks} of {len(self.pool)} skills, topics={self.topics}: there is nothing to draw")

    def __len__(self) -> int:
        return len(self.ks) * self.each

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        number, place = divmod(index, len(self.ks))
        return _record(replace(self, ks=(self.ks[place],), each=1), number)

    def drawn(self, draw: Draw) -> tuple[int, ...]:
        """A set of skills, in the order of the prompt."""
        while True:
            own = tuple(draw.mixed([*self.pool, *self.others])[: self.ks[0]])
            across = not self.others or (set(own) & set(self.pool) and set(own) & set(self.others))
            if across and (self.combined == "any" or held_out(own) == (self.combined == "held out")):
                return own

    def digest(self) -> str:
        return joint_digest(str(self))


@functools.lru_cache(maxsize=1 << 16)
def _record(one: Compositions, number: int) -> Record:
    """Text `number` of a single k."""
    draw = Draw(one.seed + 101 * one.ks[0], number)
    for _ in range(100):
        skills, topic = one.drawn(draw), draw.pick(one.topics)
        size = draw.pick(one.sizes) if one.sizes else one.ks[0]
        words = composed(draw, skills, topic, size, one.pure)
        if words is not None:
            asked = (size_tag(size), topic_tag(topic), *(NAMES[skill] for skill in skills), ":")
            return {"question": " ".join(asked), "solution": " ".join(words), "skills": skills, "topic": topic}
    raise ValueError(f"{one}: the writer found no text. Draw from more skills, or ask for fewer of them.")


@functools.cache
def compositions_tokenizer() -> Words:
    """One token a word of the language, and one a word of prompts."""
    return lexicon_tokenizer(tags(8))
