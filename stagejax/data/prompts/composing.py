"""A writer of short texts that show any few of the skills of `data.prompts.rhetoric` at once.

A draft begins with a sentence. Skill after skill, in random order, changes it: each uses the words and sentences that
are there where it can, since the limit is less than what texts of one skill each have together. Parts and words
that a skill relies on are kept from the later ones, as far as it is known; the grader decides, and a draft without full
marks is thrown away.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from stagejax.data.prompts.drafts import Cell, Clause, Draft, Draw, Stuck, literal
from stagejax.data.prompts.rhetoric import NAMES, limit, marks, shown
from stagejax.data.sound.lexicon import content, initial, rime


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
    pairs = [(a, b) for a, b in itertools.pairwise(cells) if content(a.word) and content(b.word)]
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
    draw: Draw, skills: Sequence[int], topic: int, size: int | None = None, pure: bool = False, attempts: int = 300
) -> list[str] | None:
    """A text with full marks, or None where none was found; some skills leave no room for each other.

    Args:
      skills: their numbers.
      size: the text keeps the limit of so many skills, and has its mark of length by that; None: of these.
      pure: it shows no other skill.

    >>> words = composed(Draw(0, 0), (NAMES.index("epizeuxis"), NAMES.index("cause")), topic=3)
    >>> " ".join(words)
    'a gish sade sade because the rent bish . the fents rive two fishs . tarl tishs dill .'
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
