"""A small language of invented words: how each sounds is its spelling, and what it is about, and its kind, are listed.

Words are an initial and a rime, such as "b" + "ade". Every initial has two verbs, two adjectives and six nouns; every
topic has six nouns, each in the singular and in the plural.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from stagejax.data.vocabulary.words import Words

INITIALS = tuple("bdfgklmnprst")
RIMES = ("ade", "ill", "oon", "ock", "ump", "ish", "ent", "arl", "uth", "ive")
#: Words that are not about anything, by the letter of their kind.
FUNCTION = {
    "the": "t", "a": "i", "one": "i", "some": "s", "two": "s", "three": "s", "that": "h", "those": "o", "its": "r",
    "their": "r", "it": "p", "they": "p", "and": "&", ",": ",", "(": "<", ")": ">", "if": "I", "then": "T", "so": "S",
    "because": "B", "not": "N", "but": "U", "grew": "G", "more": "M", "than": "H", "did": "D", "oh": "O", ".": ".",
    "?": "?", "!": "!",
}  # fmt: skip
_COUNT = len(INITIALS)


def _stems(*places: int) -> list[list[str]]:
    """Of each initial the words with some of its rimes, which it goes through from one of its own."""
    return [[own + RIMES[(i + place) % len(RIMES)] for place in places] for i, own in enumerate(INITIALS)]


VERBS = tuple(word for own in _stems(0, 5) for word in own)
ADJECTIVES = tuple(word for own in _stems(1, 6) for word in own)
_NOUNS = _stems(2, 3, 4, 7, 8, 9)
#: Nouns in the singular, by topic; no two of a topic have the same initial.
TOPICS = tuple(tuple(_NOUNS[(topic - 2 * j) % _COUNT][j] for j in range(6)) for topic in range(_COUNT))
SINGULAR = tuple(noun for own in TOPICS for noun in own)
#: The letter of the kind of every word: n and m are nouns in the singular and plural, v verbs, a adjectives.
KIND = FUNCTION | {
    **dict.fromkeys(VERBS, "v"), **dict.fromkeys(ADJECTIVES, "a"), **dict.fromkeys(SINGULAR, "n"),
    **{f"{noun}s": "m" for noun in SINGULAR},
}  # fmt: skip
#: The topic of every noun.
ABOUT = {form: topic for topic, own in enumerate(TOPICS) for noun in own for form in (noun, f"{noun}s")}

CORE = "(?:[tihr]a{0,2}n|[tsor]?a{0,2}m|p)"  # what is spoken of, alone
PHRASE = f"{CORE}(?:<{CORE}>)?"
LISTED = f"{PHRASE},{PHRASE}&{PHRASE}"
CLAUSE = f"(?:{LISTED}|{PHRASE})(?:v{{1,2}}(?:N{PHRASE}U{PHRASE}|{LISTED}|{PHRASE})?|GMa{{1,2}}H(?:{LISTED}|{PHRASE}))"
_SENTENCE = rf"(?:S?{CLAUSE}(?:B{CLAUSE})?\.|I{CLAUSE}T{CLAUSE}\.|D{CLAUSE}(?:B{CLAUSE})?\?|Oa{{0,2}}[nm]!)"
_TEXT = re.compile(f"{_SENTENCE}+")


def kinds(words: Sequence[str]) -> str:
    """The kind of every word, a letter each; "-" for what is no word of the language.

    >>> kinds("the boon bade two poons , hm".split())
    'tnvsm,-'
    """
    return "".join(KIND.get(word, "-") for word in words)


def content(word: str) -> bool:
    """Whether it is a noun, a verb or an adjective."""
    return KIND.get(word, "-") in "nmva"


def initial(word: str) -> str:
    return word[0]


def rime(word: str) -> str:
    """What has to be the same for two words to rhyme: their last three letters.

    >>> rime("bade") == rime("kade"), rime("bade") == rime("kades")
    (True, False)
    """
    return word[-3:]


def grammatical(words: Sequence[str]) -> bool:
    """Whether a text is made of whole sentences.

    >>> grammatical("did fents bish ? oh bock !".split()), grammatical("bish fents .".split())
    (True, False)
    """
    return _TEXT.fullmatch(kinds(words)) is not None


@functools.cache
def lexicon_tokenizer(tags: tuple[str, ...] = ()) -> Words:
    """One token a word, and one for each tag of prompts."""
    return Words((*tags, *KIND))
