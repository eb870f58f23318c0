"""Lists of things that are asked for under constraints: how many, in which letters, parted by what, behind which word.

As in IFEval (Zhou et al. 2023, https://arxiv.org/abs/2311.07911) every constraint can be checked by a program.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stagejax.data.order import random_words, shuffled
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Record, Source

THINGS: dict[str, tuple[str, ...]] = {
    kind: tuple(things.split())
    for kind, things in {
        "fruit": "pear fig plum apple grape lemon",
        "birds": "robin crow swan finch heron owl",
        "beasts": "fox bear wolf hare deer goat",
        "metals": "iron gold tin lead zinc copper",
        "trees": "oak elm birch cedar willow maple",
        "tools": "saw axe drill chisel rasp spade",
        "drinks": "tea milk cider juice cocoa water",
        "colours": "red blue green pink grey brown",
    }.items()
}
SEPARATORS = {"commas": ",", "dashes": "-", "slashes": "/", "bars": "|"}
PREFIXES = ("note", "list", "reply", "here", "well")
CASES = ("capitals", "small letters")
COUNTS = (2, 3, 4, 5)


@dataclass(frozen=True)
class Asked:
    """What a list must obey."""

    kind: str
    count: int
    case: str
    separator: str
    prefix: str

    def written(self, things: Sequence[str]) -> str:
        """These things as the list that is asked for.

        >>> Asked("birds", 2, "capitals", "dashes", "note").written(("owl", "crow"))
        'note : OWL - CROW'
        """
        own = [thing.upper() if self.case == "capitals" else thing for thing in things]
        return f"{self.prefix} : " + f" {SEPARATORS[self.separator]} ".join(own)


def broken(asked: Asked, text: str) -> tuple[str, ...] | None:
    """The constraints that a list breaks, of "prefix", "separator", "case", "count" and "kind"; None if it is no list.

    A list is a word, a colon, and different things that one separator parts: "here : owl , pear".

    >>> asked = Asked("birds", 2, "capitals", "dashes", "note")
    >>> broken(asked, "note : OWL - CROW"), broken(asked, "here : OWL - CROW - pear"), broken(asked, "OWL CROW")
    ((), ('prefix', 'case', 'count', 'kind'), None)
    """
    prefix, colon, *rest = text.split() or [""] if len(text.split()) > 1 else ("", "")
    things, marks = rest[::2], rest[1::2]
    known = {thing: kind for kind, own in THINGS.items() for thing in own}
    plain = [thing.lower() for thing in things]
    if (
        colon != ":" or prefix not in PREFIXES or len(things) != len(marks) + 1 or len(set(marks)) > 1
        or set(marks) - set(SEPARATORS.values()) or set(plain) - set(known) or len(set(plain)) < len(plain)
        or not all(thing in (own, own.upper()) for thing, own in zip(things, plain, strict=True))
    ):  # fmt: skip
        return None
    wanted = {
        "prefix": prefix == asked.prefix,
        "separator": set(marks) <= {SEPARATORS[asked.separator]},
        "case": all(thing.isupper() == (asked.case == "capitals") for thing in things),
        "count": len(things) == asked.count,
        "kind": all(known[thing] == asked.kind for thing in plain),
    }
    return tuple(name for name, obeyed in wanted.items() if not obeyed)


def words() -> tuple[str, ...]:
    """All words of requests, lists and prose.

    >>> len(words()) == len(set(words()))
    True
    """
    things = [thing for own in THINGS.values() for thing in own]
    told = " ".join((*_PROSE, "name in parted by with , small letters capitals :"))
    fixed = {word for word in told.split() if not word.startswith("{")}
    fixed |= {*SEPARATORS, *SEPARATORS.values(), *PREFIXES, *map(str, COUNTS), *THINGS}
    return (*sorted(fixed), *things, *(thing.upper() for thing in things))


@functools.cache
def _combinations(split: str) -> tuple[Asked, ...]:
    """All requests of a split: one of five is of the test split, by its hash."""
    every = itertools.starmap(Asked, itertools.product(THINGS, COUNTS, CASES, SEPARATORS, PREFIXES))

    def held_out(asked: Asked) -> bool:
        return hashlib.sha256(repr(asked).encode()).digest()[0] % 5 == 0

    return tuple(asked for asked in every if held_out(asked) == (split == "test"))


@dataclass(frozen=True)
class Enumerations(Source):
    """Requests for lists, with one that obeys: {"question", "solution", "asked"}.

    What is asked for belongs to the train or to the test split as a whole, by its hash. Its parts stand in random
    order, and so do the things of the answer.

    >>> record = Enumerations()[0]
    >>> record["question"], record["solution"]
    ('in capitals , begin with here , name 4 birds , parted by dashes', 'here : ROBIN - SWAN - OWL - HERON')
    """

    split: str = "train"
    size: int = 4000
    seed: int = 0

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Record:
        index = range(self.size)[index]
        every = _combinations(self.split)
        asked = every[int(shuffled(self.seed + 1, np.array([index]), len(every))[0])]
        draw = np.random.default_rng(random_words(self.seed, np.array([index]), 2)[0])
        parts = [f"name {asked.count} {asked.kind}", f"in {asked.case}", f"parted by {asked.separator}",
                 f"begin with {asked.prefix}"]  # fmt: skip
        things = draw.permutation(THINGS[asked.kind])[: asked.count].tolist()
        return {
            "question": " , ".join(draw.permutation(parts).tolist()),
            "solution": asked.written(things),
            "asked": asked,
        }

    def digest(self) -> str:
        return joint_digest(str(self), *(self[i]["question"] for i in range(min(self.size, 20))))


_PROSE = ("{thing} is one of the {kind} .", "{big} is {thing} in capitals .", "a page may begin with {word} .")


@dataclass(frozen=True)
class ThingProse(Source):
    """Documents on what things are and how they are written in capitals, `group` sentences each: {"title": "", "text"}.

    >>> ThingProse(documents=3, group=2)[0]["text"]
    'heron is one of the birds . PEAR is pear in capitals .'
    """

    documents: int
    group: int = 4
    seed: int = 0
    split: str = "train"

    def __len__(self) -> int:
        return self.documents

    def __getitem__(self, index: int) -> Record:
        draws = random_words(self.seed + 2, range(len(self))[index] * self.group + np.arange(self.group), 4)
        said = []
        for way, kind, place, word in (draws >> np.uint64(16)).tolist():
            name = [*THINGS][kind % len(THINGS)]
            thing = THINGS[name][place % len(THINGS[name])]
            sentence = _PROSE[(0, 0, 1, 1, 2)[way % 5]]
            said.append(sentence.format(thing=thing, kind=name, big=thing.upper(), word=PREFIXES[word % len(PREFIXES)]))
        return {"title": "", "text": " ".join(said)}

    def digest(self) -> str:
        return joint_digest(repr(self), self[0]["text"])
