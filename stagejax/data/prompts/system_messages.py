"""Queries of several families under system messages, which say in what form a reply is to be given.

A prompt is a message, the query and `REPLY`. In every form the answer follows `ANSWER`, so one rule reads them all.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stagejax.data.order import random_words
from stagejax.data.pipeline import joint_digest
from stagejax.data.selection.quotas import drawn_by_task
from stagejax.data.sources import Derived, Record, Source

#: Messages as single words. The first is the empty one, under which a reply explains itself unasked.
MESSAGES = ("<empty>", "<answer-only>", "<step-by-step>", "<justify>", "<explain>")
EMPTY, ANSWER_ONLY, STEP_BY_STEP, JUSTIFY, EXPLAIN = range(len(MESSAGES))
REPLY, ANSWER, BECAUSE = "<reply>", "=>", "because"
#: Words that prompts and replies are put together with.
MARKS = (*MESSAGES, REPLY, ANSWER, BECAUSE, "first", "then", "explanation", ";")


def reply(message: int, steps: Sequence[str], label: str) -> str:
    """What a message asks for: an answer with its steps in a form, or alone.

    >>> for message in range(5):
    ...     print(reply(message, ["2 + 3 = 5", "5 - 1 = 4"], "4"))
    2 + 3 = 5 ; 5 - 1 = 4 => 4
    => 4
    first 2 + 3 = 5 then 5 - 1 = 4 => 4
    => 4 because 2 + 3 = 5 ; 5 - 1 = 4
    explanation 2 + 3 = 5 ; 5 - 1 = 4 => 4
    """
    said = " ; ".join(steps)
    forms = {
        EMPTY: f"{said} {ANSWER} {label}",
        ANSWER_ONLY: f"{ANSWER} {label}",
        STEP_BY_STEP: f"first {' then '.join(steps)} {ANSWER} {label}",
        JUSTIFY: f"{ANSWER} {label} {BECAUSE} {said}",
        EXPLAIN: f"explanation {said} {ANSWER} {label}",
    }
    return forms[message]


def answer_of(said: str) -> str:
    """The answer in a reply of any form: what follows `ANSWER`, up to `BECAUSE`; empty where there is none.

    >>> [answer_of(said) for said in ("=> 4 because 2", "2 ; 4 => 4", "=> 4", "4")]
    ['4', '4', '4', '']
    """
    return said.partition(ANSWER)[2].partition(BECAUSE)[0].strip()


@dataclass(frozen=True)
class Family:
    """Queries of one kind.

    Args:
      source: records with "question", "label", "steps" and "brief", as of `stagejax.data.reasoning.worked`.
      templates: wordings, {} stands for the question; record i is told in template i modulo their number.
      messages: how often each of `MESSAGES` is drawn for these queries; 0: it does not suit them.
    """

    name: str
    source: Source
    templates: tuple[str, ...] = ("{}",)
    messages: tuple[int, ...] = (1, 1, 1, 1, 1)


@dataclass(frozen=True)
class Queries(Source):
    """Queries with a message each, drawn task by task (`drawn_by_task`); a task is a template of a family.

    Records hold "family", "question", "message" (its number), "prompt", "label", the replies "full" and "brief" that
    the steps of the source make, "length" (how many steps), and "text", all of it: what a vocabulary is learned from.

    Args:
      size: how many are drawn; None: all there are, in order.
      quota: most of a task.
      few: of those that were drawn, a part of so many, drawn in the same way, with the same messages.
      message: one for all; None: drawn for each query by the frequencies of its family.
      seed: of all draws.

    >>> from stagejax.data.reasoning.worked import WorkedCounts
    >>> queries = Queries((Family("count", WorkedCounts(seed=4), ("how many {}", "count {}")),), size=8)
    >>> queries[1]["prompt"], queries[1]["full"]
    ('<answer-only> count c in d d d d d c d <reply>', '=> 1')
    """

    families: tuple[Family, ...]
    size: int | None = None
    quota: int | None = None
    few: int | None = None
    message: int | None = None
    seed: int = 0
    split: str = "train"

    def __len__(self) -> int:
        return len(_picks(self))

    def __getitem__(self, index: int) -> Record:
        number, kind, place = _picks(self)[index]
        family = self.families[kind]
        record, message = family.source[place], self.message
        if message is None:
            ends = np.cumsum(family.messages)
            draw = int(random_words(self.seed + 3, np.array([number]), 1)[0, 0] >> np.uint64(16)) % int(ends[-1])
            message = int(np.searchsorted(ends, draw, side="right"))
        question = family.templates[place % len(family.templates)].format(record["question"])
        full, brief = (reply(message, record[steps], record["label"]) for steps in ("steps", "brief"))
        prompt = f"{MESSAGES[message]} {question} {REPLY}"
        made = {"family": family.name, "question": question, "message": message, "prompt": prompt, "full": full}
        made |= {"brief": brief, "label": record["label"], "length": len(record["steps"])}
        return made | {"text": f"{prompt} {full}"}

    def digest(self) -> str:
        how = f"{self.size} {self.quota} {self.few} {self.message} {self.seed}"
        told = (f"{own.name} {own.templates} {own.messages}" for own in self.families)
        return joint_digest(how, *told, *(own.source.digest() for own in self.families))


@dataclass(frozen=True)
class Numbered(Derived):
    """Records whose label is a number too, "answer": its place among `labels`.

    >>> from stagejax.data.reasoning.worked import WorkedCounts
    >>> queries = Queries((Family("count", WorkedCounts(seed=4)),))
    >>> queries[0]["label"], Numbered(queries, ("1", "0"))[0]["answer"]
    ('0', 1)
    """

    labels: tuple[str, ...]

    def __getitem__(self, index: int) -> Record:
        record = self.source[index]
        return {**record, "answer": self.labels.index(record["label"])}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), *self.labels)


@functools.lru_cache(maxsize=64)
def _picks(queries: Queries) -> list[tuple[int, int, int]]:
    """Of each query its number among all there are, its family, and its record there."""
    every, tasks, begin = [], [], 0
    for kind, family in enumerate(queries.families):
        ways = len(family.templates)
        for place in range(len(family.source)):
            every.append((len(every), kind, place))
            tasks.append(begin + place % ways)
        begin += ways
    if queries.size is None:
        return every
    drawn = drawn_by_task(np.array(tasks), queries.size, queries.quota, queries.seed)
    if queries.few is not None:
        drawn = drawn[drawn_by_task(np.array(tasks)[drawn], queries.few, queries.quota, queries.seed + 1000)]
    return [every[i] for i in drawn.tolist()]
