"""What a language model meets one after the other: general text, other corpora, a domain, and tasks as instructions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from stagejax.data.answers import Answers
from stagejax.data.fitting import Fitting
from stagejax.data.instructed import Instructed
from stagejax.data.learned import LearnedFrom
from stagejax.data.sources import Source
from stagejax.data.successive import Successive
from stagejax.data.text import CausalText


@dataclass(frozen=True)
class LanguageStream:
    """Corpora and tasks in rows of one length, so that all stages and all scores of a model share their programs.

    Args:
      tokenizer: learned from one source and used for all, with the names of classes as whole words.
      corpora: general text, others to be read after it, and last the text of a domain.
      tasks: with names of one token each.
      longest: most characters of the texts of a question.
      length: tokens of a row; questions that do not fit are left out.
      batch: rows of a training batch.

    >>> import numpy as np
    >>> from stagejax.data import Bytes, Stdlib
    >>> from stagejax.data.instructed import drawn_instructions, names_of
    >>> from stagejax.data.whole_words import WholeWords
    >>> tasks, text = drawn_instructions(40), Stdlib(limit=100_000)
    >>> words = LearnedFrom(WholeWords(Bytes(), names_of(tasks)), text)
    >>> stream = LanguageStream(words, (text, text), tasks, longest=30, length=48, batch=4)
    >>> stream.suite("test").batch, stream.names[2], stream.tasks_in((2, 0), seed=0).take(np.arange(2))["task"].tolist()
    (40, (270, 271), [0, 1])
    """

    tokenizer: LearnedFrom
    corpora: tuple[Source, ...]
    tasks: tuple[Instructed, ...]
    longest: int
    length: int
    batch: int

    @property
    def names(self) -> tuple[tuple[int, ...], ...]:
        """The ids of the classes of each task."""
        whole = self.tokenizer.tokenizer
        return tuple(tuple(whole.id(name) for name in task.names) for task in self.tasks)  # type: ignore[attr-defined]

    def text(self, corpus: int) -> CausalText:
        """Running text of a corpus."""
        source = self.corpora[corpus]
        return CausalText(source=source, tokenizer=self.tokenizer, batch=self.batch, length=self.length)

    def rows(self, task: int, part: str) -> Answers:
        """Questions and answers of a task: "train", "valid" or "test"."""
        asked = self.tasks[task].questions(part, self.longest)
        fitting = Fitting(asked, self.tokenizer, ("question",), (self.length - 2,))
        return Answers(source=fitting, tokenizer=self.tokenizer, batch=self.batch, length=self.length)

    def corpora_in(self, order: Sequence[int], seed: int) -> Successive:
        """Some corpora as tasks."""
        return Successive(data=tuple(map(self.text, order)), tasks=len(order), seed=seed)

    def tasks_in(self, order: Sequence[int], seed: int) -> Successive:
        """The training rows of some tasks in an order."""
        return Successive(data=tuple(self.rows(task, "train") for task in order), tasks=len(order), seed=seed)

    def suite(self, part: str, each: int = 8) -> Successive:
        """All that is scored, `each` rows of everything in a batch: rows of "valid" or "test" of all tasks in their own
        order, then held-out text of all corpora."""
        asked = tuple(self.rows(task, part) for task in range(len(self.tasks)))
        data = (*asked, *(self.text(corpus).held_out(1) for corpus in range(len(self.corpora))))
        data = tuple(replace(own, batch=each * len(data), count=None, seed=0) for own in data)  # type: ignore[type-var]
        return Successive(data=data, tasks=len(data))
