"""Questions that a task's verifier judges: what a model says to them, what is right, and what the rest lacks."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stagejax.data.knowledge.town import Town, TownQuestions
from stagejax.data.portion import Portion
from stagejax.data.prompts.answers import token_rows
from stagejax.data.prompts.enumerations import Enumerations
from stagejax.data.reasoning.list_programs import ListPrograms
from stagejax.data.reasoning.mistakes import CODE, HOPS, JUDGES, KINDS, LISTS, MATH
from stagejax.data.reasoning.problems import Problems
from stagejax.data.reasoning.prose import Delimited
from stagejax.data.reasoning.written import BRIEF
from stagejax.data.retrieval.tfidf import tf_idf
from stagejax.data.selection.distinct import Distinct
from stagejax.data.sources import Source
from stagejax.data.tokenizers import Tokenizer, codec
from stagejax.inference.continuing import GREEDY, continued, continuing_flops
from stagejax.inference.frozen import Frozen
from stagejax.names import slug

#: Of every answer whether it is "right" and "formed" (0 or 1), and its "mistake"; of the first ones the "texts".
Marks = dict[str, list[Any]]


@dataclass(frozen=True)
class Quiz:
    """Questions of one of the tasks of `data.reasoning.mistakes`.

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
    town: Town,
    size: int,
    tests: tuple[int, int],
    rows: tuple[int, ...],
    limits: tuple[int, ...],
    *,
    largest: int = 20,
    statements: tuple[int, ...] = (2, 3),
) -> tuple[Task, ...]:
    """The tasks of `data.reasoning.mistakes`, generated: examples, questions for development and test, all different.

    Of word problems and list programs no two have a program in common, of lists no question. Nothing that is asked in
    development is in an example or in the test: a program, the constraints of a list, a question in two hops. No
    example of two hops speaks of a fact that is asked about.

    Args:
      size: examples of a task, but for two hops, of which the town has as many as it has.
      tests: questions for development, and of the test.
      rows, limits: most tokens of question and answer, and of an answer, of each task.
      largest: number in word problems.
      statements: of list programs.

    >>> tasks = drawn_tasks(Town(60, 8), 40, (8, 9), (54, 32, 46, 32), (32, 18, 18, 16))
    >>> [(task.name, len(task.dev), task.test.questions) for task in tasks[:2]], tasks[3].test.source[0]["solution"]
    ([('word problems', 8, 9), ('two hops', 8, 9)], 'well : PINK / GREEN / BLUE / RED / GREY')
    """
    dev, test = tests

    def halves(source: Source) -> tuple[Source, Source]:
        return Portion(source, stop=dev), Portion(source, dev, dev + test)

    def drawn(source: Any, field: str, asked: str) -> tuple[Source, Source, Source]:
        held = Distinct(replace(source, split="test", size=5 * (dev + test), seed=1), asked, dev + test)
        return Distinct(replace(source, size=5 * size), field, size), *halves(held)

    sources = {
        MATH: drawn(Problems(steps=(1, 2, 3, 4), largest=largest, wording=BRIEF), "program", "program"),
        HOPS: (TownQuestions(town, ("told",)), *halves(TownQuestions(town, ("ood",)))),
        CODE: tuple(map(Delimited, drawn(ListPrograms(steps=statements), "solution", "solution"))),
        LISTS: drawn(Enumerations(), "question", "asked"),
    }
    return tuple(
        Task(name, train, own, Quiz(name, asked, test, length, limit))
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


@dataclass(frozen=True)
class Examiner:
    """Has models of a run answer quizzes, each model each quiz once: the results of `answered`, durable as
    label/task/model, and charged as if every answer had all the tokens that it may have.

    Args:
      run: of a pipeline.
      at_once: questions that are answered together.

    >>> # ask = Examiner(run, tokenizer, at_once=100)
    >>> # right = share(ask(run.train(stage), task.test).value, "right")
    """

    run: Any
    tokenizer: Tokenizer
    at_once: int
    known: dict[str, Any] = field(default_factory=dict)

    def __call__(self, net: Any, quiz: Quiz, label: str = "test") -> Any:
        name = f"{slug(label)}/{slug(quiz.task)}/{net.name}"
        if name not in self.known:
            flops = quiz.questions * _answer_flops(net.model, quiz.length, quiz.limit)
            self.known[name] = self.run.make(name, answered, self.tokenizer, self.at_once, quiz, net, flops=flops)
        return self.known[name]


_answer_flops = functools.cache(continuing_flops)


def nearest(tokenizer: Tokenizer, examples: Source, quiz: Quiz) -> Marks:
    """What one says who reasons about nothing: the answer of the example whose question is the likest, by TF-IDF.

    >>> from stagejax.data.reasoning.mistakes import MATH
    >>> from stagejax.data.reasoning.problems import Problems
    >>> problems = Problems(size=8, steps=(1,))
    >>> nearest(problems.tokenizer(), problems, Quiz(MATH, problems, 8, 48, 20))["right"]
    [1, 1, 1, 1, 1, 1, 1, 1]
    """
    asked = quiz.source
    known, new = (token_rows(source, tokenizer, "question", quiz.length, ())["tokens"] for source in (examples, asked))
    near = (tf_idf(new, known, tokenizer.vocab) @ tf_idf(known, known, tokenizer.vocab).T).argmax(1)
    said = [examples[int(i)]["solution"] for i in near]
    return marked(quiz.task, [asked[i] for i in range(len(asked))], said)


def commonest(examples: Source, quiz: Quiz) -> Marks:
    """What one says who has counted: to every question the answer that most examples end with, or, where none is marked
    by "ans", the commonest solution.

    >>> from stagejax.data.reasoning.mistakes import MATH
    >>> from stagejax.data.reasoning.problems import Problems
    >>> commonest(Problems(size=99), Quiz(MATH, Problems(size=3), 3, 48, 20))["texts"][0][1]
    'ans 2'
    """
    ends = [record["solution"].rpartition(" ; ")[2] for record in (examples[i] for i in range(len(examples)))]
    whole = not all(end.startswith("ans ") for end in ends)
    said = [examples[i]["solution"] for i in range(len(examples))] if whole else ends
    asked = [quiz.source[i] for i in range(len(quiz.source))]
    return marked(quiz.task, asked, [Counter(said).most_common(1)[0][0]] * len(asked))


def marked(task: str, asked: Sequence[Mapping[str, Any]], said: Sequence[str]) -> Marks:
    """Answers under their task's judge.

    >>> from stagejax.data.reasoning.mistakes import MATH
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
    """Of all answers those that are "right", "formed", "formless", "wrong", "reasoning" (wrong in its right form), or
    have a mistake of a kind.

    >>> marks = {"right": [1, 0, 0, 0], "formed": [1, 1, 1, 0], "mistake": ["", "plan", "step", "form"]}
    >>> [share(marks, what) for what in ("right", "formless", "wrong", "reasoning", "plan")]
    [0.25, 0.25, 0.75, 0.5, 0.25]
    """
    if what in ("right", "formed"):
        return float(np.mean(marks[what]))
    if what == "formless":
        return 1 - float(np.mean(marks["formed"]))
    wanted = {"wrong": KINDS, "reasoning": KINDS[1:]}.get(what, (what,))
    return float(np.mean([own in wanted for own in marks["mistake"]]))


def preferred(ours: Marks, theirs: Marks) -> float:
    """How often who looks at form alone prefers our answer to theirs to the same question; half a time if both have it.

    >>> preferred({"formed": [1, 1, 0, 0]}, {"formed": [1, 0, 1, 0]})
    0.5
    """
    return float(np.mean((1 + np.array(ours["formed"]) - np.array(theirs["formed"])) / 2))
