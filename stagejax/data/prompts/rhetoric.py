"""Twenty skills of writing that a program can see in a text, and the marks of a text that was to show some of them.

The texts are of `data.sound.lexicon`. A skill is seen in the words alone: its name in a text earns nothing.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from stagejax.data.sound import lexicon
from stagejax.data.sound.lexicon import ABOUT, CLAUSE, CORE, content, grammatical, initial, kinds, rime

Sentence = tuple[str, ...]  # words and the mark at its end


@dataclass(frozen=True)
class Text:
    """Words, parted into sentences, each with what it means by kind."""

    sentences: tuple[Sentence, ...]

    @classmethod
    def of(cls, words: Sequence[str]) -> Text:
        """Words behind the last mark are left out."""
        ends = [i + 1 for i, word in enumerate(words) if word in (".", "?", "!")]
        return cls(tuple(tuple(words[a:b]) for a, b in zip([0, *ends], ends, strict=False)))

    @functools.cached_property
    def kinds(self) -> tuple[str, ...]:
        return tuple(kinds(own) for own in self.sentences)

    @functools.cached_property
    def content(self) -> tuple[tuple[str, ...], ...]:
        """The nouns, verbs and adjectives of each sentence."""
        return tuple(tuple(filter(content, own)) for own in self.sentences)

    @property
    def pairs(self) -> Iterator[int]:
        """Each sentence that another follows."""
        return iter(range(len(self.sentences) - 1))

    def has(self, pattern: str) -> bool:
        """Whether the kinds of some sentence have this pattern."""
        return any(re.search(pattern, own) for own in self.kinds)

    def nouns(self) -> Iterator[tuple[str, str]]:
        """Every noun, in order, with the first word of its phrase ("" if that is the noun or an adjective)."""
        for words, own in zip(self.sentences, self.kinds, strict=True):
            for found in re.finditer("([tihrso]?)a*[nm]", own):
                yield words[found.end() - 1], words[found.start()] if found[1] else ""


# --- sound ---


def alliteration(text: Text) -> bool:
    """Three different words of a sentence begin with the same letter."""
    found = ([initial(word) for word in set(own)] for own in text.content)
    return any(letters.count(letter) >= 3 for letters in found for letter in set(letters))


def end_rhyme(text: Text) -> bool:
    """Two sentences that follow each other end in different words that rhyme."""
    ends = [own[-1] if own else "" for own in text.content]
    return any(rime(ends[i]) == rime(ends[i + 1]) and ends[i] != ends[i + 1] for i in text.pairs)


def internal_rhyme(text: Text) -> bool:
    """Two neighbouring words, which are different, rhyme."""
    pairs = (pair for own in text.sentences for pair in itertools.pairwise(own))
    return any(content(a) and content(b) and a != b and rime(a) == rime(b) for a, b in pairs)


def framing(text: Text) -> bool:
    """The first and the last word of the text, which are different, begin with the same letter."""
    words = [word for own in text.content for word in own]
    return bool(words) and words[0] != words[-1] and initial(words[0]) == initial(words[-1])


# --- repetition ---


def epizeuxis(text: Text) -> bool:
    """A word twice in a row."""
    return any(a == b and content(a) for own in text.sentences for a, b in itertools.pairwise(own))


def anaphora(text: Text) -> bool:
    """Two sentences that follow each other begin with the same two words, at least one of them about something."""
    begins = [own[:2] for own in text.sentences]
    return any(begins[i] == begins[i + 1] and any(map(content, begins[i])) for i in text.pairs)


def epistrophe(text: Text) -> bool:
    """Two sentences that follow each other end in the same word."""
    return any(text.content[i][-1:] == text.content[i + 1][-1:] != () for i in text.pairs)


def anadiplosis(text: Text) -> bool:
    """A sentence begins with the word in which the one before ended."""
    return any(text.content[i][-1:] == text.content[i + 1][:1] != () for i in text.pairs)


# --- structure ---


def tricolon(text: Text) -> bool:
    """A list of three."""
    return text.has(f"{CORE},{CORE}&{CORE}")


def question(text: Text) -> bool:
    return text.has(rf"^D{CLAUSE}.*\?$")


def parenthesis(text: Text) -> bool:
    """Something said in brackets, of a noun."""
    return text.has(f"[nm]<{CORE}>")


def apostrophe(text: Text) -> bool:
    """Somebody is called upon."""
    return text.has("^Oa*[nm]!$")


# --- logic ---


def modus_ponens(text: Text) -> bool:
    """If A then B. A. So B."""
    for one, two, three in zip(text.sentences, text.sentences[1:], text.sentences[2:], strict=False):
        if one[0] != "if" or "then" not in one:
            continue
        a, b = one[1 : one.index("then")], one[one.index("then") + 1 :]
        if a and len(b) > 1 and two == (*a, ".") and three == ("so", *b) and b[:-1] != a:
            return True
    return False


def contrast(text: Text) -> bool:
    """Not this but that."""
    return text.has(f"N{CORE}(?:<{CORE}>)?U{CORE}")


def comparison(text: Text) -> bool:
    """This grew more ... than that."""
    return text.has(f"GMa+H{CORE}")


def cause(text: Text) -> bool:
    """This because of that."""
    return text.has(f"{CLAUSE}B{CLAUSE}")


# --- reference ---


def pronoun(text: Text) -> bool:
    """A sentence begins with a pronoun, in the number of the noun that the one before began with."""
    for i in text.pairs:
        named = re.search("[nm]", text.kinds[i])
        if named and text.sentences[i + 1][0] == ("it" if named[0] == "n" else "they"):
            return True
    return False


def possession(text: Text) -> bool:
    """Something belongs to the noun that the sentence began with, in its number."""
    for words, own in zip(text.sentences, text.kinds, strict=True):
        named = re.search("[nm]", own)
        if named and ("its" if named[0] == "n" else "their") in words[named.end() :]:
            return True
    return False


def demonstration(text: Text) -> bool:
    """What was "a" or "some" returns as "that" or "those"."""
    known: set[str] = set()
    for noun, first in text.nouns():
        if first in ("that", "those") and noun in known:
            return True
        if first in ("a", "some"):
            known.add(noun)
    return False


def counting(text: Text) -> bool:
    """One of something, and later two or three of it."""
    known: set[str] = set()
    for noun, first in text.nouns():
        if first in ("two", "three") and noun in known:
            return True
        if first == "one":
            known.add(f"{noun}s")
    return False


# --- marks ---

Skill = Callable[[Text], bool]
FAMILIES: dict[str, tuple[Skill, ...]] = {
    "sound": (alliteration, end_rhyme, internal_rhyme, framing),
    "repetition": (epizeuxis, anaphora, epistrophe, anadiplosis),
    "structure": (tricolon, question, parenthesis, apostrophe),
    "logic": (modus_ponens, contrast, comparison, cause),
    "reference": (pronoun, possession, demonstration, counting),
}
SKILLS = tuple(skill for own in FAMILIES.values() for skill in own)
NAMES = tuple(skill.__name__ for skill in SKILLS)


def limit(k: int) -> int:
    """The most words and marks of a text that shows k skills: 8 + 6 k, less than most k texts of one skill have.

    >>> [limit(k) for k in range(1, 6)]
    [14, 20, 26, 32, 38]
    """
    return 8 + 6 * k


def shown(words: Sequence[str]) -> tuple[int, ...]:
    """The numbers of all skills that a text shows.

    >>> [NAMES[skill] for skill in shown("did fents bish ? oh bock !".split())]
    ['question', 'apostrophe']
    """
    text = Text.of(words)
    return tuple(number for number, skill in enumerate(SKILLS) if skill(text))


@dataclass(frozen=True)
class Marks:
    """What a text of k skills got: a point for each skill, and for topic, grammar and length. All: k + 3.

    Reference: Yu et al. 2023, Skill-Mix, https://arxiv.org/abs/2310.17567, section 3.
    """

    skills: tuple[bool, ...]
    topic: bool
    sense: bool
    length: bool

    @property
    def full(self) -> bool:
        return all((*self.skills, self.topic, self.sense, self.length))

    @property
    def fraction(self) -> float:
        """The share of the skills."""
        return sum(self.skills) / len(self.skills)


def marks(words: Sequence[str], skills: Iterable[int], topic: int) -> Marks:
    """The marks of a text.

    Args:
      skills: numbers of those that were asked for, one at least.
      topic: its number; two nouns have to be of it.

    >>> own = marks("did boons bish ? oh sock !".split(), (NAMES.index("question"), NAMES.index("cause")), topic=0)
    >>> own.skills, own.topic, own.sense, own.length, own.full, own.fraction
    ((True, False), True, True, True, False, 0.5)
    """
    asked, text = tuple(skills), Text.of(words)
    return Marks(
        tuple(SKILLS[skill](text) for skill in asked),
        sum(ABOUT.get(word) == topic for word in words) >= 2,
        grammatical(words),
        len(words) <= limit(len(asked)),
    )


def tags(sizes: int) -> tuple[str, ...]:
    """The words of prompts: sizes, topics, the names of skills."""
    return (*map(size_tag, range(1, sizes + 1)), *map(topic_tag, range(len(lexicon.TOPICS))), *NAMES, ":")


def size_tag(size: int) -> str:
    return f"size:{size}"


def topic_tag(topic: int) -> str:
    return f"topic:{topic}"
