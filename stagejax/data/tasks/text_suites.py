"""Suites of text tasks: GLUE, and small tasks from `$STAGEJAX_DATA`, alike in size or not."""

from __future__ import annotations

from typing import Any

from stagejax.data.named import TFDS, Dataset
from stagejax.data.portion import Portion
from stagejax.data.prompts.question_tasks import CLASSES, WordsInText
from stagejax.data.tasks.text_tasks import TextTask

#: Tasks that GLUE scores by a correlation: Matthews' and Pearson's.
CORRELATED = ("cola", "stsb")


def glue() -> tuple[TextTask, ...]:
    """The tasks of GLUE from TFDS, tested on their validation splits; without WNLI, as nearly everywhere.

    Reference: Wang et al. 2019, https://arxiv.org/abs/1804.07461.

    >>> [task.name for task in glue()]
    ['mnli', 'qqp', 'qnli', 'sst2', 'cola', 'stsb', 'mrpc', 'rte']
    """

    def task(name: str, classes: int, *texts: str, test: str = "validation", unit: float = 1.0) -> TextTask:
        return TextTask(name, TFDS(f"glue/{name}", test=test), classes, *texts, unit=unit)

    pair = ("sentence1", "sentence2")
    return (
        task("mnli", 3, "premise", "hypothesis", test="validation_matched"),
        task("qqp", 2, "question1", "question2"),
        task("qnli", 2, "question", "sentence"),
        task("sst2", 2, "sentence"),
        task("cola", 2, "sentence"),
        task("stsb", 1, *pair, unit=5.0),
        task("mrpc", 2, *pair),
        task("rte", 2, *pair),
    )


def small_suite(large: int = 3000, small: int = 500) -> tuple[TextTask, ...]:
    """Sentiment, kind of question, topic, answers, paraphrases and similarity (a regression).

    Args:
      large: training rows of the first four tasks.
      small: of the last two, which others may help.

    >>> [task.classes for task in small_suite()]
    [2, 6, 4, 2, 2, 1]
    """

    def task(name: str, rows: int, classes: int, *texts: str, part: str = "", **fields: Any) -> TextTask:
        return TextTask(name, Portion(Dataset(name, part=part), stop=rows), classes, *texts, **fields)

    return (
        task("sst2", large, 2),
        task("trec", large, 6),
        task("agnews", large, 4),
        task("qnli", large, 2, "question", "sentence"),
        task("msrp", small, 2, "s1", "s2"),
        task("stsb", small, 1, "s1", "s2", part="en", label="score", unit=5.0),
    )


def uneven_suite() -> tuple[TextTask, ...]:
    """Topic, sentiment, similarity (a regression) and kind of question, of 6,000 to 500 training rows.

    >>> [task.name for task in uneven_suite()]
    ['agnews', 'sst2', 'stsb', 'trec']
    """

    def task(name: str, rows: int, classes: int, *texts: str, part: str = "", **fields: Any) -> TextTask:
        return TextTask(name, Portion(Dataset(name, part=part), stop=rows), classes, *texts, **fields)

    return (
        task("agnews", 6000, 4),
        task("sst2", 4000, 2),
        task("stsb", 1000, 1, "s1", "s2", part="en", label="score", unit=5.0),
        task("trec", 500, 6),
    )


def word_classes(rows: int = 3000) -> TextTask:
    """The class of a word between its neighbours, of six: one word of each of so many English sentences.

    >>> word_classes().classes
    6
    """
    return TextTask("ud", Portion(WordsInText(Dataset("ud", part="en_ewt")), stop=rows), len(CLASSES))
