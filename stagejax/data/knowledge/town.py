"""A town whose people are told of by their relations to each other: prose, questions in one hop and in two, newcomers.

What a model knows (the prose), how it is to answer (the questions) and what is new to it (the newcomers) are apart: no
text of the prose has the form of an answer, and no newcomer is in the prose or in a question about residents.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from stagejax.data.knowledge.facts import People
from stagejax.data.knowledge.two_hop import FactGraph
from stagejax.data.order import random_words, shuffled
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Record, Source
from stagejax.data.tokenizers import SPECIAL

RELATIONS = ("boss", "friend", "neighbour", "teacher", "doctor", "rival", "cousin", "tailor")
#: How prose states that the relation r of h is t.
WAYS = (
    "the {r} of {h} is {t} .",
    "{h} calls as {r} on {t} .",
)
#: Questions about residents, in two hops: to train on (`told`), others over the same facts (`iid`), and others over
#: facts that are in no `told` one (`ood`). About newcomers: new facts in one hop (`new`), and two hops over a new fact
#: and an old one that is in no `told` question, or (`familiar`) may be in some.
KINDS = ("told", "iid", "ood", "new", "new-old", "old-new", "familiar new-old", "familiar old-new")


class Fact(NamedTuple):
    """The relation r of h is t: numbers of people and of a relation."""

    h: int
    r: int
    t: int


#: Facts of which each begins where the one before it ends.
Path = tuple[Fact, ...]


@dataclass(frozen=True)
class Town:
    """Residents, each with `degree` relations to others, and newcomers, each with one to a resident and one from one.

    Args:
      residents, newcomers: people, 12000 or fewer together.
      degree: of the eight relations those that each resident has.
      apart: share of the facts that are in no question `told`; see `FactGraph`.
      untold: share of the questions over the other facts that are kept from `told`.

    Raises:
      ValueError: too many people, or a degree that leaves no relation for newcomers.

    >>> town = Town(residents=40, newcomers=6, degree=3)
    >>> {kind: len(paths) for kind, paths in town.paths().items()}["new"], town.said(town.paths()["new"][0][0])
    (12, 'friend of caldwell : arnold')
    """

    residents: int = 84
    newcomers: int = 50
    degree: int = 7
    apart: float = 0.25
    untold: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if self.newcomers < 1 or self.newcomers > self.residents or self.residents + self.newcomers > _MOST:
            raise ValueError(
                f"residents={self.residents}, newcomers={self.newcomers}: at most as many newcomers as residents, and "
                f"{_MOST} people together, each with a name of its own"
            )
        if not 1 <= self.degree < len(RELATIONS):
            raise ValueError(f"degree={self.degree}: from 1 to {len(RELATIONS) - 1}, so that a relation can be new")

    def name(self, person: int) -> str:
        """One word."""
        return _names()[person]

    def words(self) -> tuple[str, ...]:
        """All words of prose, questions and answers."""
        told = {word for way in (*WAYS, *_FORMS) for word in way.split() if not word.startswith("{")}
        return (*sorted(told), *RELATIONS, *_names()[: self.residents + self.newcomers])

    def said(self, fact: Fact) -> str:
        """A fact as a step of an answer."""
        return f"{RELATIONS[fact.r]} of {self.name(fact.h)} : {self.name(fact.t)}"

    def facts(self) -> tuple[Fact, ...]:
        """Of the residents, all that there are."""
        return _facts(self)[0]

    def paths(self) -> dict[str, tuple[Path, ...]]:
        """What is asked for, by kind: one fact, or two; each kind in random order."""
        return _facts(self)[1]


_FORMS = ("who is the {r} of the {r} of {h} ?", "{r} of {h} : {t} ; ans {t}")


_MOST = 12_000


@functools.cache
def _names() -> tuple[str, ...]:
    """Surnames in lower case; behind the last of them first names and surnames, as one word."""
    every = [People(_MOST).name(person).lower().split() for person in range(_MOST)]
    known: set[str] = set()
    return tuple("_".join(own) if own[1] in known else known.add(own[1]) or own[1] for own in every)


@functools.lru_cache(maxsize=8)
def _facts(town: Town) -> tuple[tuple[Fact, ...], dict[str, tuple[Path, ...]]]:
    graph = FactGraph(town.residents, len(RELATIONS), town.degree, town.apart, town.untold, town.seed)
    parts, first = graph.parts(), SPECIAL + town.residents

    def fact(h: int, r: int, t: int) -> Fact:
        return Fact(int(h) - SPECIAL, int(r) - first, int(t) - SPECIAL)

    def two(rows: np.ndarray) -> tuple[Path, ...]:
        return tuple((fact(h, r1, b), fact(b, r2, t)) for h, r1, r2, b, t in rows)

    familiar, apart = ([fact(*row) for row in rows] for rows in (parts.id_atomic, parts.ood_atomic))
    new = _arrivals(town, (*familiar, *apart))
    paths = {"told": two(parts.told), "iid": two(parts.iid), "ood": two(parts.ood), "new": tuple((own,) for own in new)}
    for label, old in (("", apart), ("familiar ", familiar)):
        paths[f"{label}new-old"] = tuple((own, then) for own in new for then in old if then.h == own.t)
        paths[f"{label}old-new"] = tuple((then, own) for own in new for then in old if then.t == own.h)
    orders = {kind: shuffled(town.seed + 5, np.arange(len(own)), len(own)) for kind, own in paths.items() if own}
    return (*familiar, *apart), {k: tuple(own[i] for i in orders.get(k, ())) for k, own in paths.items()}


def _arrivals(town: Town, facts: tuple[Fact, ...]) -> list[Fact]:
    """Of each newcomer a relation to a resident, and one that a resident did not have before to the newcomer."""
    draws = random_words(town.seed + 6, np.arange(town.newcomers), 3) >> np.uint64(16)
    hosts = shuffled(town.seed + 7, np.arange(town.newcomers), town.residents)  # each of one newcomer
    found = []
    for number, (own, of, lacked) in enumerate(draws.tolist()):
        newcomer, host = town.residents + number, int(hosts[number])
        has = {fact.r for fact in facts if fact.h == host}
        lacks = [r for r in range(len(RELATIONS)) if r not in has]
        found.append(Fact(newcomer, own % len(RELATIONS), of % town.residents))
        found.append(Fact(host, lacks[lacked % len(lacks)], newcomer))
    return found


@dataclass(frozen=True)
class TownProse(Source):
    """Portraits of residents: all facts about one of them, in random order, each in some way; {"title": "", "text"}.

    Every epoch of residents portrays each once. So of the words of a portrait few but the facts are hard to foretell.

    >>> TownProse(Town(residents=40, newcomers=6, degree=2), documents=9)[1]["text"]
    'the neighbour of barrett is bond . barrett calls as tailor on bowman .'
    """

    town: Town
    documents: int
    split: str = "train"

    def __len__(self) -> int:
        return self.documents

    def __getitem__(self, index: int) -> Record:
        number, town = np.array([range(len(self))[index]]), self.town
        resident = int(shuffled(town.seed + 8, number, town.residents)[0])
        own = _by_resident(town)[resident]
        draw = np.random.default_rng(random_words(town.seed + 9, number, 2)[0])
        said = [stated(town, own[k], int(draw.integers(len(WAYS)))) for k in draw.permutation(len(own))]
        return {"title": "", "text": " ".join(said)}

    def digest(self) -> str:
        return joint_digest(repr(self), *(self[i]["text"] for i in range(min(len(self), 50))))


@functools.lru_cache(maxsize=8)
def _by_resident(town: Town) -> dict[int, list[Fact]]:
    found: dict[int, list[Fact]] = {}
    for fact in town.facts():
        found.setdefault(fact.h, []).append(fact)
    return found


def stated(town: Town, fact: Fact, way: int) -> str:
    """A fact in one of `WAYS`."""
    return WAYS[way].format(h=town.name(fact.h), r=RELATIONS[fact.r], t=town.name(fact.t))


@dataclass(frozen=True)
class TownQuestions(Source):
    """Questions of some kinds, each answered fact by fact: {"question", "solution", "steps", "answer", "path"}.

    Args:
      kinds: out of `KINDS`.
      context: the facts of the path stand before the question, in prose and in random order.

    Raises:
      ValueError: there is no such kind, or no question of it.

    >>> asked = TownQuestions(Town(residents=40, newcomers=6, degree=3), ("told",))[0]
    >>> asked["question"], asked["solution"]
    ('who is the doctor of the rival of bates ?', 'rival of bates : baldwin ; doctor of baldwin : barnes ; ans barnes')
    """

    town: Town
    kinds: tuple[str, ...]
    context: bool = False
    split: str = "train"

    def __post_init__(self) -> None:
        if not self.kinds or set(self.kinds) - set(KINDS):
            raise ValueError(f"kinds={self.kinds}: choose out of {', '.join(KINDS)}")

    def __len__(self) -> int:
        return len(_of_kinds(self.town, self.kinds))

    def __getitem__(self, index: int) -> Record:
        index = range(len(self))[index]
        path, town = _of_kinds(self.town, self.kinds)[index], self.town
        asked = " of ".join(f"the {RELATIONS[fact.r]}" for fact in reversed(path))
        steps, answer = [town.said(fact) for fact in path], town.name(path[-1].t)
        told = ""
        if self.context:
            draws = (random_words(town.seed + 10, np.array([index]), 1 + len(path))[0] >> np.uint64(16)).tolist()
            order = [(k + draws[0]) % len(path) for k in range(len(path))]
            told = " ".join(stated(town, path[k], draws[1 + k] % len(WAYS)) for k in order) + " "
        return {
            "question": f"{told}who is {asked} of {town.name(path[0].h)} ?",
            "solution": " ; ".join([*steps, f"ans {answer}"]),
            "steps": len(steps),
            "answer": answer,
            "path": path,
        }

    def digest(self) -> str:
        return joint_digest(repr(self), *(self[i]["question"] for i in range(min(len(self), 50))))


@functools.lru_cache(maxsize=32)
def _of_kinds(town: Town, kinds: tuple[str, ...]) -> tuple[Path, ...]:
    return tuple(path for kind in kinds for path in town.paths()[kind])
