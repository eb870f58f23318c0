"""Sentences about people, one fact in one wording each; and the same facts asked for in wordings of their own."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from stagejax.data.knowledge.facts import RELATIONS, People
from stagejax.data.order import random_words, shuffled
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Record, Source

#: The parts of the sentences: to learn from, to watch a model by while it learns, to test it.
PARTS = ("train", "tracking", "test")


@dataclass(frozen=True)
class Sentences(Source):
    """Every fact about some people of a town, once in each of some wordings, in three parts.

    Of each fact at most one sentence, drawn, is in another part than "train": so all facts can be learned from that,
    and no sentence is in two parts. Records are {"title": "", "text"}.

    Args:
      people: the town.
      first, last: of its people those with the numbers first, ..., last - 1.
      ways: numbers of `Relation.statements`.
      held: the facts of which a sentence is in "tracking", and of which one is in "test", as shares of all.

    Raises:
      ValueError: there are no such people, wordings or parts.

    >>> told = Sentences(People(60), first=10, last=20, ways=(0, 1, 2), held=0.2)
    >>> len(told), len(told.of_split("tracking")), told[0]["text"]
    (78, 6, 'Thomas Baker was born in Oslo.')
    """

    people: People
    first: int
    last: int
    ways: tuple[int, ...]
    held: float = 0.0
    split: str = "train"

    def __post_init__(self) -> None:
        if not 0 <= self.first < self.last <= self.people.size or not self.ways or self.split not in PARTS:
            raise ValueError(
                f"people {self.first} to {self.last} of {self.people.size}, ways={self.ways}, split={self.split!r}: "
                f"name people that there are, a wording or more, and a part out of {', '.join(PARTS)}"
            )
        if not 0 <= self.held <= 0.5 or (self.held and len(self.ways) < 2):
            raise ValueError(
                f"held={self.held} with {len(self.ways)} wordings: two parts hold one sentence of a fact out, so at "
                "most 0.5, and of facts that have two wordings or more"
            )

    def __len__(self) -> int:
        return len(_sentences(self))

    def __getitem__(self, index: int) -> Record:
        person, relation, way = _sentences(self)[index].tolist()
        return {"title": "", "text": stated(self.people, person, relation, way)}

    def digest(self) -> str:
        return joint_digest(repr(self), *(self[i]["text"] for i in range(min(len(self), 100))))


def stated(people: People, person: int, relation: int, way: int) -> str:
    """One fact in one wording."""
    said = {"name": people.name(person), "object": people.object(person, relation)}
    return RELATIONS[relation].statements[way].format(**said)


@functools.lru_cache(maxsize=32)
def _sentences(source: Sentences) -> np.ndarray:
    """(person, relation, way) of each sentence of a part."""
    count, ways, seed = (source.last - source.first) * len(RELATIONS), len(source.ways), source.people.seed + 3
    facts_F = np.arange(count)
    held = round(source.held * count)
    rank_F = shuffled(seed, facts_F, count)  # the first `held` have a sentence in tracking, the next in test
    out_F = (random_words(seed, facts_F, 1)[:, 0] % np.uint64(ways)).astype(np.int64)
    part_FW = np.zeros((count, ways), np.int64)
    part_FW[facts_F, out_F] = np.where(rank_F < held, 1, np.where(rank_F < 2 * held, 2, 0))
    facts, ways_ = np.nonzero(part_FW == PARTS.index(source.split))
    people, relations = np.divmod(facts, len(RELATIONS))
    return np.stack([source.first + people, relations, np.asarray(source.ways)[ways_]], axis=1)


@dataclass(frozen=True)
class Cloze(Source):
    """Facts to be completed: sentences in some wordings without their ends, from the object on.

    Records are {"question", "solution", "person", "relation", "mark"}.

    Args:
      people, first, last, ways: as in `Sentences`; the wordings end with the object.
      mark: an integer for all records, by which several of these can be told apart.

    Raises:
      ValueError: a wording does not end with the object.

    >>> asked = Cloze(People(60), first=10, last=20, ways=(3,))
    >>> asked[0]["question"], asked[0]["solution"]
    ('The home town of Thomas Baker is', ' Oslo.')
    """

    people: People
    first: int
    last: int
    ways: tuple[int, ...]
    mark: int = 0
    split: str = "train"

    def __post_init__(self) -> None:
        for relation in RELATIONS:
            for way in self.ways:
                if not relation.statements[way].endswith(" {object}."):
                    raise ValueError(f"{relation.statements[way]!r} does not end with the object: choose another way")

    def __len__(self) -> int:
        return (self.last - self.first) * len(RELATIONS) * len(self.ways)

    def __getitem__(self, index: int) -> Record:
        fact, way = divmod(range(len(self))[index], len(self.ways))
        person, relation = divmod(fact, len(RELATIONS))
        person += self.first
        solution = f" {self.people.object(person, relation)}."
        question = stated(self.people, person, relation, self.ways[way]).removesuffix(solution)
        return {"question": question, "solution": solution, "person": person, "relation": relation, "mark": self.mark}

    def digest(self) -> str:
        return joint_digest(repr(self), *(self[i]["question"] + self[i]["solution"] for i in range(len(self))))
