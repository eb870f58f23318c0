"""Queries whose replies may be reached by several strategies; a system message names one, or none does.

A reply is what a strategy writes down, `ANSWER`, and the answer, so one rule reads them all (`answer_of`). A strategy
suits a task whose records have what it writes down: facts to recall, or parts of the question to quote.

Reference: Mitra et al. 2023 (Orca 2), https://arxiv.org/abs/2311.11045.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stagejax.data.order import random_words
from stagejax.data.pipeline import joint_digest
from stagejax.data.prompts.system_messages import ANSWER, REPLY
from stagejax.data.sources import Record, Source

DIRECT, COT, EXTRACT = "direct", "cot", "extract_generate"
RECALL, RECALL_REASON = "recall_generate", "recall_reason_generate"
STRATEGIES = (DIRECT, COT, RECALL, RECALL_REASON, EXTRACT)
#: The system message that names no strategy; and messages that are drawn at random for each query.
CAUTIOUS, ANY = "cautious", "any"
#: Words that prompts and replies are put together with.
MARKS = (*(f"<{name}>" for name in (CAUTIOUS, *STRATEGIES)), REPLY, ANSWER, "first", "then", "recall", "quote", ";")


def reply(strategy: str, record: Record) -> str:
    """What a strategy writes down about a record with "steps", "facts", "quotes" and "label".

    >>> record = {"steps": ["e3", "e7"], "facts": ["e1 r0 e3", "e3 r2 e7"], "quotes": ["r0", "r2"], "label": "e7"}
    >>> for strategy in STRATEGIES:
    ...     print(reply(strategy, record))
    => e7
    first e3 then e7 => e7
    recall e1 r0 e3 ; e3 r2 e7 => e7
    recall e1 r0 e3 ; e3 r2 e7 then e3 then e7 => e7
    quote r0 ; r2 => e7
    """
    steps, facts, quotes = " then ".join(record["steps"]), " ; ".join(record["facts"]), " ; ".join(record["quotes"])
    written = {
        DIRECT: "",
        COT: f"first {steps} ",
        RECALL: f"recall {facts} ",
        RECALL_REASON: f"recall {facts} then {steps} ",
        EXTRACT: f"quote {quotes} ",
    }
    return f"{written[strategy]}{ANSWER} {record['label']}"


def strategy_of(said: str) -> str:
    """The strategy that a reply follows, by its words; "" where it follows none.

    >>> [strategy_of(said) for said in ("=> 3", "first 3 => 3", "recall a then b => b", "recall a => a", "3")]
    ['direct', 'cot', 'recall_reason_generate', 'recall_generate', '']
    """
    before, _, _ = said.partition(ANSWER)
    if not before:
        return DIRECT if said else ""
    first, *others = before.split()
    if first == "recall":
        return RECALL_REASON if "then" in others else RECALL
    return {"first": COT, "quote": EXTRACT}.get(first, "") if others else ""


@dataclass(frozen=True)
class Task:
    """Queries of one kind: records of `source`, as `reply` needs them, asked for in several wordings.

    >>> from stagejax.data.prompts.lessons_by_strategy import OneHop
    >>> from stagejax.data.knowledge.two_hop import FactGraph
    >>> Task("facts", OneHop(FactGraph(entities=20, relations=5, degree=3))).suited
    ('direct', 'cot', 'recall_generate')
    """

    name: str
    source: Source
    templates: tuple[str, ...] = ("{}",)  # {} stands for the question

    @property
    def suited(self) -> tuple[str, ...]:
        """The strategies that suit it, by its first record."""
        return _suited(self)


@dataclass(frozen=True)
class Asked(Source):
    """Queries of several tasks, one task after the other, each under a system message.

    Records hold "family" (the task), "question", "strategy" (what the message asks for, or `CAUTIOUS`), "prompt",
    "label", "short" (a reply of the label alone), "full" (a worked reply; under `CAUTIOUS` by a suited strategy drawn
    at random), "length" (how many steps) and "text", prompt and reply.

    Args:
      tasks: whose queries; those that `strategy` does not suit are left out.
      each: queries of a task; None: as many as it has records. Where they are more than its records, these come again,
        each time in the next wording.
      again: if not, no task has more than its records in all their wordings.
      strategy: one for all; or `CAUTIOUS`; or `ANY`: drawn for each query from `CAUTIOUS` and those that suit its task.
      chosen: instead, (name, strategy) of every task.
      seed: of the draws.

    >>> from stagejax.data.prompts.lessons_by_strategy import Ledgers
    >>> asked = Asked((Task("ledgers", Ledgers(), ("{}", "look up {}")),), each=2, strategy=EXTRACT)
    >>> asked[1]["prompt"], asked[1]["full"]
    ('<extract_generate> look up a 2 , c 2 , d 4 , c 4 , ? d <reply>', 'quote d 4 => 4')
    """

    tasks: tuple[Task, ...]
    each: int | None = None
    again: bool = False
    strategy: str = CAUTIOUS
    chosen: tuple[tuple[str, str], ...] = ()
    seed: int = 0
    split: str = "train"

    def __len__(self) -> int:
        return _kept(self)[1][-1]

    def __getitem__(self, index: int) -> Record:
        tasks, ends = _kept(self)
        if not 0 <= index < ends[-1]:
            raise IndexError(f"query {index} of {ends[-1]}")
        kind = int(np.searchsorted(ends, index, side="right"))
        task = tasks[kind]
        turn, place = divmod(index - (ends[kind - 1] if kind else 0), len(task.source))
        record, suited = task.source[place], task.suited
        draws = (random_words(self.seed, np.array([index]), 2)[0] >> np.uint64(16)).tolist()
        strategy = dict(self.chosen).get(task.name, self.strategy)
        if strategy == ANY:
            strategy = (CAUTIOUS, *suited)[draws[0] % (1 + len(suited))]
        worked = suited[draws[1] % len(suited)] if strategy == CAUTIOUS else strategy
        question = task.templates[(place + turn) % len(task.templates)].format(record["question"])
        prompt, full = f"<{strategy}> {question} {REPLY}", reply(worked, record)
        made = {"family": task.name, "question": question, "strategy": strategy, "prompt": prompt, "full": full}
        made |= {"short": reply(DIRECT, record), "label": record["label"], "length": len(record["steps"])}
        return made | {"text": f"{prompt} {full}"}

    def digest(self) -> str:
        own = (f"{task.name} {task.templates} {task.source.digest()}" for task in self.tasks)
        return joint_digest(f"{self.each} {self.again} {self.strategy} {self.chosen} {self.seed}", *own)


def erased(documents: Mapping[str, np.ndarray], message: int) -> dict[str, np.ndarray]:
    """Prompt erasure: documents [CLS, system message, query, reply, SEP] with another message, and all else as it was.

    Args:
      documents: of `stagejax.inference.prompts.teacher_corpus`.
      message: its token, such as that of `CAUTIOUS`.

    >>> erased({"tokens": np.array([1, 7, 5, 2, 1, 8, 6, 2]), "starts": np.array([0, 4, 8])}, 9)["tokens"].tolist()
    [1, 9, 5, 2, 1, 9, 6, 2]
    """
    tokens = documents["tokens"].copy()
    tokens[documents["starts"][:-1] + 1] = message
    return {**documents, "tokens": tokens}


def best_strategies(
    right: Mapping[str, Mapping[str, float]], tokens: Mapping[str, Mapping[str, float]], margin: float = 0.0
) -> dict[str, str]:
    """For each task the strategy of shortest replies among those as accurate as the best, but for `margin`.

    Args:
      right, tokens: by task and strategy, the share of right replies and their mean length on validation examples.

    >>> right, tokens = {"sums": {"direct": 0.4, "cot": 0.9}}, {"sums": {"direct": 3.0, "cot": 20.0}}
    >>> best_strategies(right, tokens), best_strategies(right, tokens, margin=0.5)
    ({'sums': 'cot'}, {'sums': 'direct'})
    """
    found = {}
    for task, own in right.items():
        good = [name for name, share in own.items() if share >= max(own.values()) - margin]
        found[task] = min(good, key=lambda name: (tokens[task][name], -own[name]))
    return found


@functools.lru_cache(maxsize=64)
def _suited(task: Task) -> tuple[str, ...]:
    record = task.source[0]
    facts, quotes = record["facts"], record["quotes"]
    there = {DIRECT: True, COT: True, RECALL: facts, RECALL_REASON: len(facts) > 1, EXTRACT: quotes}
    return tuple(name for name in STRATEGIES if there[name])


@functools.lru_cache(maxsize=64)
def _kept(asked: Asked) -> tuple[tuple[Task, ...], list[int]]:
    """The tasks whose queries are asked, and the number of the query behind each's last."""
    one = asked.strategy in STRATEGIES and not asked.chosen
    tasks = tuple(task for task in asked.tasks if not one or asked.strategy in task.suited)
    sizes = []
    for task in tasks:
        own = len(task.source)
        most = own * len(task.templates)
        sizes.append(own if asked.each is None else asked.each if asked.again else min(asked.each, most))
    return tasks, np.cumsum(sizes).tolist()
