"""Questions with a short label and the steps that lead to it, in full and in brief: what explanations are made of.

Records of all sources here hold the texts "question" and "label", and lists of texts "steps" and "brief": every step,
and what is left of them in a shorter explanation.
"""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass

import numpy as np

from stagejax.data.knowledge.two_hop import FactGraph
from stagejax.data.order import random_words
from stagejax.data.pipeline import joint_digest
from stagejax.data.reasoning.skills import held_out
from stagejax.data.sources import Derived, Record, Source

_ATTEMPTS = 64  # one string of five is one of the test split


@dataclass(frozen=True)
class WorkedSums(Derived):
    """Word problems (`Problems`): steps are the operations, in brief their results.

    >>> from stagejax.data.reasoning.problems import Problems
    >>> record = WorkedSums(Problems(steps=(2,)))[0]
    >>> record["steps"], record["brief"], record["label"]
    (['11 + 15 = 26', '26 - 14 = 12'], ['26', '12'], '12')
    """

    def __getitem__(self, index: int) -> Record:
        record = self.source[index]
        steps = record["solution"].split(" ; ")[:-1]
        brief = [step.split(" = ")[1] for step in steps]
        return {"question": record["question"], "steps": steps, "brief": brief, "label": str(record["answer"])}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "worked sums")


@dataclass(frozen=True)
class WorkedChains(Derived):
    """Chains of variables (`Chains`): steps are the values on the way with their names, in brief without.

    >>> from stagejax.data.reasoning.chains import Chains
    >>> record = WorkedChains(Chains(clauses=(3,)))[1]
    >>> record["question"], record["steps"], record["brief"], record["label"]
    ('h = val 1 , n = val h , p = not n , ? n', ['h 1', 'n 1'], ['1', '1'], '1')
    """

    def __getitem__(self, index: int) -> Record:
        record = self.source[index]
        steps = record["rationale"].split(" , ")
        brief = [step.split()[-1] for step in steps]
        return {"question": record["question"], "steps": steps, "brief": brief, "label": record["label"]}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "worked chains")


@dataclass(frozen=True)
class WorkedHops(Source):
    """Two-hop questions about a `FactGraph`, whose facts are not told: steps are both facts, in brief the bridge.

    The train split has the compositions that training may have, the test split those that are never trained on.

    >>> record = WorkedHops(FactGraph(entities=20, relations=5, degree=3))[0]
    >>> record["question"], record["steps"], record["brief"], record["label"]
    ('e11 r0 r3', ['e11 r0 e6', 'e6 r3 e17'], ['e6'], 'e17')
    """

    graph: FactGraph
    split: str = "train"

    def __len__(self) -> int:
        return len(self._compositions())

    def __getitem__(self, index: int) -> Record:
        h, r1, r2, b, t = self.graph.tokenizer().decode(self._compositions()[index]).split()
        return {"question": f"{h} {r1} {r2}", "steps": [f"{h} {r1} {b}", f"{b} {r2} {t}"], "brief": [b], "label": t}

    def digest(self) -> str:
        return joint_digest(str(self))

    def _compositions(self) -> np.ndarray:
        parts = self.graph.parts()
        return parts.told if self.split == "train" else parts.iid


@dataclass(frozen=True)
class FactTexts(Source):
    """The facts of a `FactGraph`, one a text {"text": "h r t"}: what is known before questions are asked.

    >>> FactTexts(FactGraph(entities=20, relations=5, degree=3))[0]["text"]
    'e7 r2 e14'
    """

    graph: FactGraph
    split: str = "train"

    def __len__(self) -> int:
        return self.graph.entities * self.graph.degree

    def __getitem__(self, index: int) -> Record:
        parts = self.graph.parts()
        return {"text": self.graph.tokenizer().decode(np.concatenate([parts.id_atomic, parts.ood_atomic])[index])}

    def digest(self) -> str:
        return joint_digest(str(self))


@dataclass(frozen=True)
class WorkedCounts(Source):
    """How often a letter comes in a row of letters: steps count it letter by letter, in brief where it comes.

    A question belongs to the train or to the test split by its hash.

    Args:
      letters: of the alphabet, from "a" on.
      lengths: shortest and longest row.

    >>> record = WorkedCounts(seed=4)[4]
    >>> record["question"], record["steps"], record["brief"], record["label"]
    ('a in a d c d', ['a 1', 'd 1', 'c 1', 'd 1'], ['a 1'], '1')
    """

    split: str = "train"
    size: int = 1000
    letters: int = 4
    lengths: tuple[int, int] = (4, 7)
    seed: int = 0

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < self.size:
            raise IndexError(f"record {index} of {self.size}")
        shortest, longest = self.lengths
        drawn = random_words(self.seed, index * _ATTEMPTS + np.arange(_ATTEMPTS), 2 + longest) >> np.uint64(16)
        for words in drawn.tolist():
            length, row = shortest + words[0] % (longest - shortest + 1), [w % self.letters for w in words[1:]]
            wanted, row = row[0], row[1 : length + 1]
            number = functools.reduce(lambda sum, letter: sum * self.letters + letter, (*row, wanted), length)
            if held_out(np.array([number]))[0] == (self.split == "test"):
                return counted(chr(97 + wanted), [chr(97 + letter) for letter in row])
        raise ValueError(f"{self}: no row of the {self.split} split was found for record {index}")

    def digest(self) -> str:
        return joint_digest(str(self))


def counted(letter: str, row: list[str]) -> Record:
    """A letter counted in a row.

    >>> counted("b", ["a"])["brief"], counted("b", ["a"])["label"]
    (['b 0'], '0')
    """
    counts = np.cumsum([own == letter for own in row]).tolist()
    steps = [f"{own} {count}" for own, count in zip(row, counts, strict=True)]
    brief = [step for step in steps if step.startswith(letter)] or [f"{letter} 0"]
    return {"question": f"{letter} in {' '.join(row)}", "steps": steps, "brief": brief, "label": str(counts[-1])}


@dataclass(frozen=True)
class Evidence(Derived):
    """Texts with a class: steps are the words of the text that speak most for it, in brief the first of them.

    A word speaks for a class by ln p(word | class) - ln p(word | other classes), counted with 1 more of each; words
    that come less often than `often` do not speak.

    Args:
      source: records {"text", "label"}; those of more than `longest` words are left out.
      learned_from: records that words are counted in.
      names: of the classes, one word each.
      words: most of a text that are named.

    >>> # Evidence(Dataset("sst2"), Dataset("sst2"), ("negative", "positive"))[9]["steps"]
    """

    learned_from: Source
    names: tuple[str, ...]
    words: int = 3
    longest: int = 24
    often: int = 5

    def __len__(self) -> int:
        return len(_short(self.source, self.longest))

    def __getitem__(self, index: int) -> Record:
        record = self.source[_short(self.source, self.longest)[index]]
        own = record["text"].split()
        speaks = _speaking(self.learned_from, len(self.names), self.often)[record["label"]]
        ranked = sorted(dict.fromkeys(own), key=lambda word: -speaks.get(word, 0.0))
        steps = [word for word in ranked[: self.words] if speaks.get(word, 0.0) > 0] or ranked[:1]
        return {"question": " ".join(own), "steps": steps, "brief": steps[:1], "label": self.names[record["label"]]}

    def digest(self) -> str:
        own = f"{self.names} {self.words} {self.longest} {self.often}"
        return joint_digest(self.source.digest(), self.learned_from.digest(), own)


@functools.lru_cache(maxsize=32)
def _short(source: Source, longest: int) -> list[int]:
    return [i for i in range(len(source)) if 0 < len(source[i]["text"].split()) <= longest]


@functools.lru_cache(maxsize=8)
def _speaking(source: Source, classes: int, often: int) -> list[dict[str, float]]:
    """By class, how much each word speaks for it."""
    counts: list[Counter[str]] = [Counter() for _ in range(classes)]
    for i in range(len(source)):
        counts[source[i]["label"]].update(source[i]["text"].split())
    every = sum(counts, Counter())
    found = []
    for own in counts:
        inside, outside = own.total() + len(every), every.total() - own.total() + len(every)
        found.append({w: float(np.log((own[w] + 1) / inside) - np.log((n - own[w] + 1) / outside))
                      for w, n in every.items() if n >= often})  # fmt: skip
    return found
