"""Questions that a task's verifier judges: what a model says to them, what is right, and what the rest lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stagejax.data.answers import token_rows
from stagejax.data.enumerations import Enumerations
from stagejax.data.list_programs import ListPrograms
from stagejax.data.mistakes import CODE, HOPS, JUDGES, KINDS, LISTS, MATH
from stagejax.data.portion import Portion
from stagejax.data.problems import Problems
from stagejax.data.prose import Delimited
from stagejax.data.sources import Source
from stagejax.data.tfidf import tf_idf
from stagejax.data.tokenizers import Tokenizer, codec
from stagejax.data.town import Town, TownQuestions
from stagejax.data.written import BRIEF
from stagejax.inference.continuing import GREEDY, continued
from stagejax.inference.frozen import Frozen

#: Of every answer whether it is "right" and "formed" (0 or 1), and its "mistake"; of the first ones the "texts".
Marks = dict[str, list[Any]]


@dataclass(frozen=True)
class Quiz:
    """Questions of one of the tasks of `data.mistakes`.

    Args:
      questions: how many, so that a plan need not read the source.
      length: most tokens of a question and its answer together.
      limit: most tokens of an answer.
    """

    task: str
    source: Source
    questions: int
    length: int
    limit: int


@dataclass(frozen=True)
class Task:
    """What a model is tuned on and asked."""

    name: str
    train: Source
    dev: Source
    test: Quiz


def drawn_tasks(
    town: Town, size: int, dev: int, test: int, largest: int, rows: tuple[int, ...], limits: tuple[int, ...]
) -> tuple[Task, ...]:
    """The tasks of `data.mistakes`, generated: no question of a test, nor what answers it, is in an example.

    Word problems and list programs are tested by programs of which no example has one, lists by other constraints
    together, two hops over facts of a town that no example speaks of. Development questions share all that.

    Args:
      size, dev, test: examples, and questions of each task; of two hops as many as there are, if those are fewer.
      largest: number in word problems.
      rows, limits: most tokens of question and answer, and of an answer, of each task.

    >>> tasks = drawn_tasks(Town(60, 8), 40, 8, 8, 20, (54, 32, 46, 32), (32, 18, 18, 16))
    >>> [(task.name, len(task.dev)) for task in tasks[:2]], tasks[3].test.source[0]["solution"]
    ([('word problems', 8), ('two hops', 8)], 'note : milk / cider / cocoa / juice')
    """

    def three(source: Any) -> tuple[Source, Source, Source]:
        unseen = replace(source, split="test", size=test, seed=2)
        return replace(source, size=size), replace(source, size=dev, seed=1), unseen

    def hops(kind: str, most: int) -> Source:
        source = TownQuestions(town, (kind,))
        return Portion(source, stop=min(most, len(source)))

    sources = {
        MATH: three(Problems(steps=(1, 2, 3, 4), largest=largest, wording=BRIEF)),
        HOPS: (TownQuestions(town, ("told",)), hops("iid", dev), hops("ood", test)),
        CODE: tuple(map(Delimited, three(ListPrograms()))),
        LISTS: three(Enumerations()),
    }
    return tuple(
        Task(name, train, own, Quiz(name, asked, len(asked), length, limit))
        for (name, (train, own, asked)), length, limit in zip(sources.items(), rows, limits, strict=True)
    )


def answered(tokenizer: Tokenizer, at_once: int, quiz: Quiz, net: Any) -> Marks:
    """Greedy answers of a result's model to all questions, `at_once` together, judged."""
    asked = [quiz.source[i] for i in range(len(quiz.source))]
    said = continued(
        Frozen.of(net), codec(tokenizer, quiz.source, "question"), [record["question"] for record in asked], GREEDY,
        length=quiz.length, limit=quiz.limit, batch=at_once, seed=0,
    )  # fmt: skip
    return marked(quiz.task, asked, said)


def nearest(tokenizer: Tokenizer, examples: Source, quiz: Quiz) -> Marks:
    """What one says who reasons about nothing: the answer of the example whose question is the likest, by TF-IDF.

    >>> from stagejax.data.mistakes import MATH
    >>> from stagejax.data.problems import Problems
    >>> problems = Problems(size=8, steps=(1,))
    >>> nearest(problems.tokenizer(), problems, Quiz(MATH, problems, 8, 48, 20))["right"]
    [1, 1, 1, 1, 1, 1, 1, 1]
    """
    asked = quiz.source
    known, new = (token_rows(source, tokenizer, "question", quiz.length, ())["tokens"] for source in (examples, asked))
    near = (tf_idf(new, known, tokenizer.vocab) @ tf_idf(known, known, tokenizer.vocab).T).argmax(1)
    said = [examples[int(i)]["solution"] for i in near]
    return marked(quiz.task, [asked[i] for i in range(len(asked))], said)


def marked(task: str, asked: Sequence[Mapping[str, Any]], said: Sequence[str]) -> Marks:
    """Answers under their task's judge.

    >>> from stagejax.data.mistakes import MATH
    >>> asked = [{"question": "7 and 5 ?", "answer": 12, "program": "7 + 5"}] * 2
    >>> marked(MATH, asked, ("7 + 5 = 12 ; ans 12", "7 - 5 = 2 ; ans 2"))["mistake"]
    ['', 'plan']
    """
    judged = [JUDGES[task](record, text) for record, text in zip(asked, said, strict=True)]
    return {
        "right": [int(own.right) for own in judged],
        "formed": [int(own.formed) for own in judged],
        "mistake": [own.mistake or "" for own in judged],
        "texts": [[record["question"], text] for record, text in zip(asked[:2], said, strict=False)],
    }


def share(marks: Marks, what: str) -> float:
    """Of all answers those that are "right", "formed", "wrong", "reasoning" (wrong in a form that is right), or have a
    mistake of a kind.

    >>> marks = {"right": [1, 0, 0, 0], "formed": [1, 1, 1, 0], "mistake": ["", "plan", "step", "form"]}
    >>> [share(marks, what) for what in ("right", "formed", "wrong", "reasoning", "form")]
    [0.25, 0.75, 0.75, 0.5, 0.25]
    """
    if what in ("right", "formed"):
        return float(np.mean(marks[what]))
    wanted = {"wrong": KINDS, "reasoning": KINDS[1:]}.get(what, (what,))
    return float(np.mean([own in wanted for own in marks["mistake"]]))


def preferred(ours: Marks, theirs: Marks) -> float:
    """How often who looks at form alone prefers our answer to theirs to the same question; half a time if both have it.

    >>> preferred({"formed": [1, 1, 0, 0]}, {"formed": [1, 0, 1, 0]})
    0.5
    """
    return float(np.mean((1 + np.array(ours["formed"]) - np.array(theirs["formed"])) / 2))
