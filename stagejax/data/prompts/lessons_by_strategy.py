"""Worked questions with all that a strategy may write down: steps, facts to recall, and parts of the question to quote.

Records of all sources here hold the texts "question" and "label", and lists of texts: "steps" (results on the way),
"facts" (what is known beforehand and not told) and "quotes" (what of the question matters).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stagejax.data.knowledge.two_hop import FactGraph
from stagejax.data.order import random_words
from stagejax.data.pipeline import joint_digest
from stagejax.data.reasoning.skills import held_out
from stagejax.data.reasoning.worked import FactTexts
from stagejax.data.sources import Derived, Record, Source

_ATTEMPTS = 64  # one account of five is one of the test split


@dataclass(frozen=True)
class SumLessons(Derived):
    """Of `WorkedSums`: quotes are the numbers with their signs.

    >>> from stagejax.data.reasoning.problems import Problems
    >>> from stagejax.data.reasoning.worked import WorkedSums
    >>> record = SumLessons(WorkedSums(Problems(steps=(2,))))[0]
    >>> record["steps"], record["quotes"]
    (['11 + 15 = 26', '26 - 14 = 12'], ['11', '+ 15', '- 14'])
    """

    def __getitem__(self, index: int) -> Record:
        record = self.source[index]
        words = [step.split() for step in record["steps"]]
        quotes = [words[0][0], *(" ".join(step[1:3]) for step in words)]
        return lesson(record["question"], record["label"], record["steps"], quotes=quotes)

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "sum lessons")


@dataclass(frozen=True)
class ChainLessons(Derived):
    """Of `WorkedChains`: quotes are the clauses on the way to the variable that is asked for, in order.

    >>> from stagejax.data.reasoning.chains import Chains
    >>> from stagejax.data.reasoning.worked import WorkedChains
    >>> record = ChainLessons(WorkedChains(Chains(clauses=(3,))))[1]
    >>> record["question"], record["steps"], record["quotes"]
    ('h = val 1 , n = val h , p = not n , ? n', ['h 1', 'n 1'], ['h = val 1', 'n = val h'])
    """

    def __getitem__(self, index: int) -> Record:
        record = self.source[index]
        clauses = {clause.split()[0]: clause for clause in record["question"].split(" , ")}
        quotes = [clauses[step.split()[0]] for step in record["steps"]]
        return lesson(record["question"], record["label"], record["steps"], quotes=quotes)

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "chain lessons")


@dataclass(frozen=True)
class OneHop(Source):
    """Where a relation leads from an entity, by a `FactGraph` whose facts are not told: the fact is to be recalled.

    >>> record = OneHop(FactGraph(entities=20, relations=5, degree=3))[0]
    >>> record["question"], record["steps"], record["facts"], record["label"]
    ('e7 r2', ['e14'], ['e7 r2 e14'], 'e14')
    """

    graph: FactGraph
    split: str = "train"

    def __len__(self) -> int:
        return len(FactTexts(self.graph))

    def __getitem__(self, index: int) -> Record:
        fact = FactTexts(self.graph)[index]["text"]
        head, relation, tail = fact.split()
        return lesson(f"{head} {relation}", tail, [tail], facts=[fact])

    def digest(self) -> str:
        return joint_digest(str(self))


@dataclass(frozen=True)
class HopLessons(Derived):
    """Of `WorkedHops`: the facts of both hops are to be recalled; steps are where they lead.

    >>> from stagejax.data.reasoning.worked import WorkedHops
    >>> record = HopLessons(WorkedHops(FactGraph(entities=20, relations=5, degree=3)))[0]
    >>> record["question"], record["steps"], record["facts"]
    ('e11 r0 r3', ['e6', 'e17'], ['e11 r0 e6', 'e6 r3 e17'])
    """

    def __getitem__(self, index: int) -> Record:
        record = self.source[index]
        return lesson(record["question"], record["label"], [*record["brief"], record["label"]], facts=record["steps"])

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "hop lessons")


@dataclass(frozen=True)
class Ledgers(Source):
    """Amounts booked to names in turn, and what one name has in all: steps are running totals, quotes its entries.

    The name has one or two entries. A ledger belongs to the train or to the test split by its hash.

    Args:
      names: how many there are: a, b, c, ...
      entries: fewest and most of a ledger.
      amounts: an entry is one of 0, 1, ..., `amounts` - 1; at most 10.

    >>> record = Ledgers()[2]
    >>> record["question"], record["steps"], record["quotes"], record["label"]
    ('d 4 , c 3 , b 4 , ? c', ['d 0', 'c 3', 'b 3'], ['c 3'], '3')
    """

    split: str = "train"
    size: int = 1000
    names: int = 4
    entries: tuple[int, int] = (3, 4)
    amounts: int = 5
    seed: int = 0

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < self.size:
            raise IndexError(f"record {index} of {self.size}")
        fewest, most = self.entries
        drawn = random_words(self.seed, index * _ATTEMPTS + np.arange(_ATTEMPTS), 2 + 2 * most) >> np.uint64(16)
        for words in drawn.tolist():
            count = fewest + words[0] % (most - fewest + 1)
            who = [word % self.names for word in words[2 : 2 + count]]
            much = [word % self.amounts for word in words[2 + most : 2 + most + count]]
            asked = words[1] % self.names
            number = int("1" + "".join(f"{name}{amount}" for name, amount in zip(who, much, strict=True)) + f"{asked}")
            if who.count(asked) in (1, 2) and held_out(np.array([number]))[0] == (self.split == "test"):
                return booked([chr(97 + name) for name in who], much, chr(97 + asked))
        raise ValueError(f"{self}: no ledger of the {self.split} split was found for record {index}")

    def digest(self) -> str:
        return joint_digest(str(self))


def booked(names: list[str], amounts: list[int], asked: str) -> Record:
    """The ledger of these entries.

    >>> booked(["a", "b", "a"], [3, 1, 4], "a")["steps"]
    ['a 3', 'b 3', 'a 7']
    """
    entries = [f"{name} {amount}" for name, amount in zip(names, amounts, strict=True)]
    own = [amount if name == asked else 0 for name, amount in zip(names, amounts, strict=True)]
    quotes = [entry for entry, name in zip(entries, names, strict=True) if name == asked]
    steps = [f"{name} {total}" for name, total in zip(names, np.cumsum(own).tolist(), strict=True)]
    return lesson(f"{' , '.join(entries)} , ? {asked}", str(sum(own)), steps, quotes=quotes)


@dataclass(frozen=True)
class TextLessons(Derived):
    """Of `Evidence`: steps are the words of a text that speak most for its class, the first of them is quoted.

    >>> # TextLessons(Evidence(Dataset("trec"), Dataset("trec"), names))[0]["quotes"]
    """

    def __getitem__(self, index: int) -> Record:
        record = self.source[index]
        return lesson(record["question"], record["label"], record["steps"], quotes=record["brief"])

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "text lessons")


def lesson(question: str, label: str, steps: list[str], facts: list[str] | None = None,
           quotes: list[str] | None = None) -> Record:  # fmt: skip
    """A record of this file.

    >>> lesson("e1 r0", "e3", ["e3"], facts=["e1 r0 e3"])["quotes"]
    []
    """
    return {"question": question, "label": label, "steps": steps, "facts": facts or [], "quotes": quotes or []}
