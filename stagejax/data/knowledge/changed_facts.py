"""A town some of whose people change: what a model that read of it before has to learn, and should not lose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from stagejax.data.knowledge.biographies import Cloze, Sentences
from stagejax.data.knowledge.facts import RELATIONS, People
from stagejax.data.order import random_words
from stagejax.data.prompts.answers import Answers
from stagejax.data.selection.successive import Successive
from stagejax.data.sources import Source
from stagejax.data.together import Together
from stagejax.data.tokenizers import Tokenizer


@dataclass(frozen=True)
class Changed(People):
    """The town of the same size and seed, in which every fact about some people is another one than before.

    Args:
      first, last: of these people, those with the numbers first, ..., last - 1.

    Raises:
      ValueError: there are no such people.

    >>> before, after = People(300), Changed(300, first=7, last=9)
    >>> [[town.object(person, 0) for town in (before, after)] for person in (6, 7)]
    [['Quito', 'Quito'], ['Madrid', 'Kyoto']]
    >>> before.name(7) == after.name(7)
    True
    """

    first: int = 0
    last: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.first <= self.last <= self.size:
            raise ValueError(f"people {self.first} to {self.last} of {self.size}: there are no such people")

    def object(self, person: int, relation: int) -> str:
        was, own = super().object(person, relation), RELATIONS[relation].objects
        if not self.first <= person < self.last:
            return was
        drawn = random_words(self.seed + 5, np.array([person]), len(RELATIONS))[0, relation] >> np.uint64(16)
        return own[(own.index(was) + 1 + int(drawn) % (len(own) - 1)) % len(own)]


@dataclass(frozen=True)
class Episodes:
    """A town that is read of as it is, and then in episodes, in each of which some people change and some are new.

    Numbers of people: first those who never change, then those who do, episode by episode, then the new ones.

    Args:
      kept: people who never change.
      changed, new: people of each episode.
      count: of episodes.
      ways: numbers of `Relation.statements` in which facts are told.
      asked: of the one in which they are asked for; it ends with the object.

    >>> town = Episodes(kept=4, changed=2, new=1, count=2, ways=(0,))
    >>> told = [town.told(episode) for episode in (1, 2)]
    >>> [sorted({own[i]["text"].split(" ")[0] for i in range(len(own))}) for own in told]
    [['Gwen', 'Noah', 'Olga'], ['Grace', 'Rosa', 'Sam']]
    """

    kept: int
    changed: int
    new: int
    count: int
    ways: tuple[int, ...] = (0, 3)
    asked: int = 3
    seed: int = 0

    @property
    def size(self) -> int:
        """People after the last episode."""
        return self.kept + self.count * (self.changed + self.new)

    def town(self, episode: int) -> Changed:
        """The town as it is after an episode; 0 is before the first one."""
        return Changed(self.size, self.seed, self.kept, self.kept + episode * self.changed)

    def told(self, episode: int) -> Source:
        """Sentences of an episode: about all but the new people (0), or about those who are changed or new (1, ...)."""
        town, known = self.town(episode), self.kept + self.count * self.changed
        if not episode:
            return Sentences(town, 0, known, self.ways)
        ends = (self.kept + episode * self.changed, self.changed), (known + episode * self.new, self.new)
        return Together(tuple(Sentences(town, end - size, end, self.ways) for end, size in ends))

    def reading(self, tokenizer: Tokenizer, batch: int, length: int, seed: int) -> Successive:
        """Rows of a sentence each: the town as it was, then every episode, as tasks."""
        how = {"tokenizer": tokenizer, "batch": batch, "length": length}
        told = (self.told(episode) for episode in range(self.count + 1))
        data = tuple(Answers(source=own, fields=("title", "text"), prompts=True, **how) for own in told)
        return Successive(data=data, tasks=len(data), seed=seed)

    def questions(self, tokenizer: Tokenizer, batch: int, length: int) -> Answers:
        """Every fact of the town as it is in the end, a row each, to be completed."""
        source = Cloze(self.town(self.count), 0, self.size, (self.asked,))
        return Answers(source=source, tokenizer=tokenizer, batch=batch, length=length)

    def kinds(self) -> Int64[np.ndarray, " facts"]:
        """Of each fact, in the order of the records of `questions`: 0 it stays, 1 it changes, 2 it is new."""
        people = np.arange(self.size)
        known = self.kept + self.count * self.changed
        return np.repeat(np.where(people < self.kept, 0, np.where(people < known, 1, 2)), len(RELATIONS))
