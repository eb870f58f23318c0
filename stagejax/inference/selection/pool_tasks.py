"""What is asked of every record of a pool of which some are labelled: the class of a text, or tags of its words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stagejax.data.joined import Row
from stagejax.data.portion import Portion
from stagejax.data.sources import Source
from stagejax.data.tasks.labelled_text import LabelledText
from stagejax.data.tasks.tagged_rows import TaggedRecords
from stagejax.data.tasks.text_tasks import TextTask
from stagejax.data.vocabulary.learned import LearnedFrom
from stagejax.inference.frozen import flops_of_one
from stagejax.inference.selection.predictions import INPUTS, Made, says_class, says_tags
from stagejax.models.text.tagger import ChainTagger
from stagejax.models.text.text_classifier import TextClassifier
from stagejax.models.transformer import Transformer
from stagejax.objectives.text.on_texts import by_labels, by_logits
from stagejax.objectives.text.tagging import chain_tagging, tags_by_logits
from stagejax.stage import Evaluation


@dataclass(frozen=True)
class PoolTask:
    """A pool, what is held out, a model, and how it learns from labels and from a teacher's logits.

    Args:
      name: of the task.
      pool: data of all records, which are also given by record.
      records: how many the pool has.
      validation, test: what is held out.
      model: with an encoder, and a head for the task.
      labels, logits: the fields of a record.
      hard, soft: objectives of labels and of logits.
      says: what a trained network says of rows (see `inference.selection.predictions`).
    """

    name: str
    pool: Any
    records: int
    validation: Evaluation
    test: Evaluation
    model: TextClassifier
    labels: Row
    logits: Row
    hard: Callable[..., Any]
    soft: Callable[..., Any]
    says: Callable[..., Any]

    @property
    def flops(self) -> float:
        """Of predictions of all records."""
        spec = self.pool.sample_spec()
        return self.records * float(flops_of_one(self.says, self.model, {n: spec[n] for n in INPUTS if n in spec}))


def classes_of_texts(
    task: TextTask,
    records: int,
    encoder: Transformer,
    words: LearnedFrom,
    length: int,
    tested: tuple[int, int, int],
    dropout: float = 0.0,
) -> PoolTask:
    """Texts with a class each: the first `records` are the pool, those behind them for validation.

    Args:
      task: where texts and labels are.
      records: of the pool.
      encoder: of the model.
      words: the tokens, and what they are learned from.
      length: tokens in a row.
      tested: rows of a batch, batches of validation and of test.
      dropout: before the head.
    """
    rows, validated, held = tested
    pool = LabelledText(
        task=replace(task, source=Portion(task.source, stop=records)),
        tokenizer=words,
        learned_from=words.source,
        batch=rows,
        length=length,
    )
    behind = replace(task, source=Portion(task.source, start=records))
    return PoolTask(
        name=task.name,
        pool=pool,
        records=records,
        validation=Evaluation(replace(pool, task=behind, count=validated), validated, objective=by_labels),
        test=Evaluation(pool.held_out(held), held, objective=by_labels),
        model=TextClassifier(encoder, task.classes, dropout),
        labels=Row("label", dtype="int32"),
        logits=Row("logits", (task.classes,)),
        hard=by_labels,
        soft=by_logits,
        says=says_class,
    )


def tags_of_words(
    sources: tuple[Source, Source],
    records: int,
    encoder: Transformer,
    words: LearnedFrom,
    tags: tuple[str, ...],
    length: int,
    tested: tuple[int, int, int],
) -> PoolTask:
    """Sentences whose words have tags, by a linear chain where they are learned from labels: the first are the pool.

    Args:
      sources: of the pool and of test, and of validation.
      tags: all of them.
      records, encoder, words, length, tested: as in `classes_of_texts`.
    """
    (train, develop), (rows, validated, held) = sources, tested
    pool = TaggedRecords(sources=(Portion(train, stop=records),), tags=tags, tokenizer=words, batch=rows, length=length)
    behind = replace(pool, sources=(develop,), once=True, count=validated)
    return PoolTask(
        name="tags",
        pool=pool,
        records=records,
        validation=Evaluation(behind, validated, objective=chain_tagging),
        test=Evaluation(pool.held_out(held), held, objective=chain_tagging),
        model=ChainTagger(encoder, len(tags)),
        labels=Row("targets", (length,), "int32"),
        logits=Row("logits", (length, len(tags))),
        hard=chain_tagging,
        soft=tags_by_logits,
        says=says_tags,
    )


def of_words_alone(pool: LabelledText, test: LabelledText, labelled: Made) -> float:
    """Accuracy on `test` of logistic regression on TF-IDF of whole texts, from "rows" of the pool and their "label".

    No network and no text without a label: what both have to be worth more than.

    Raises:
      ValueError: the test data are endless.

    >>> from stagejax.data import Bytes, Stdlib
    >>> from stagejax.data.tasks.text_tasks import synonym_tasks
    >>> task = synonym_tasks(200)[0]
    >>> pool = LabelledText(task=task, tokenizer=Bytes(), learned_from=Stdlib(), batch=20, length=48)
    >>> own = {"rows": np.arange(100), "label": pool.take_records(np.arange(100))["label"]}
    >>> of_words_alone(pool, pool.held_out(2), own) > 0.9
    True
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    def texts(data: LabelledText, rows: np.ndarray) -> list[str]:
        return [" ".join(data.task.texts(row)) for row in rows.tolist()]

    if test.count is None:
        raise ValueError("endless data is no test: give a number of batches")
    rows = test.records(np.arange(test.count * test.batch))
    judge = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=2000))
    judge.fit(texts(pool, labelled["rows"]), labelled["label"])
    return float(judge.score(texts(test, rows), test.take_records(rows)["label"]))
