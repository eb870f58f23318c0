"""What a language model meets one after the other: general text, other corpora, a domain, and tasks as instructions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from stagejax.data.language.articles import Articles
from stagejax.data.language.documentation import Documentation
from stagejax.data.language.field_text import FieldText
from stagejax.data.named import TFDS, Dataset
from stagejax.data.portion import Portion
from stagejax.data.prompts.answers import Answers
from stagejax.data.prompts.instructed import (
    Instructed,
    drawn_instructions,
    names_of,
    published_instructions,
    small_instructions,
)
from stagejax.data.published import C4
from stagejax.data.selection.fitting import Fitting
from stagejax.data.selection.successive import Successive
from stagejax.data.sources import Source, Stdlib
from stagejax.data.tasks.text_tasks import TaskText, TextTask
from stagejax.data.text import CausalText
from stagejax.data.together import Together
from stagejax.data.tokenizers import BPE
from stagejax.data.vocabulary.learned import LearnedFrom
from stagejax.data.vocabulary.whole_words import WholeWords
from stagejax.data.vocabulary.wordpiece import WordPiece


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
    >>> from stagejax.data.prompts.instructed import drawn_instructions, names_of
    >>> from stagejax.data.vocabulary.whole_words import WholeWords
    >>> tasks, text = drawn_instructions(40), Stdlib(limit=100_000)
    >>> words = LearnedFrom(WholeWords(Bytes(), names_of(tasks)), text)
    >>> stream = LanguageStream(words, (text, text), tasks, longest=30, length=48, batch=4)
    >>> stream.suite("test").batch, stream.names[2], stream.tasks_in((2, 0), seed=0).take(np.arange(2))["task"].tolist()
    (40, (274, 275), [0, 1])
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


def small_stream(pieces: int, length: int, batch: int, most: int = 1500) -> LanguageStream:
    """Encyclopedia articles; program text, German captions and Shakespeare; word problems; and five tasks.

    Args:
      pieces: of a vocabulary of WordPiece, to which come the whole words of the tasks.
      length, batch: of rows; questions have at most 40 characters of text, of word problems the last 60.
      most: training records of a task.
    """
    captions = FieldText(Portion(Dataset("multi30k"), stop=5000), "de")
    corpora = (Articles(Dataset("wikitext2")), Stdlib(limit=400_000), captions, Dataset("tinyshakespeare"))
    problems = TextTask("gsm8k", Portion(Dataset("gsm8k"), stop=1000), 1, "question", "solution")
    tasks = small_instructions(most)
    words = LearnedFrom(WholeWords(WordPiece(pieces), names_of(tasks)), Together(corpora))
    return LanguageStream(words, (*corpora, TaskText(problems)), tasks, longest=40, length=length, batch=batch)


def published_stream(pieces: int, length: int, batch: int) -> LanguageStream:
    """C4; the encyclopedia in English, German and French; word problems; and six tasks: from TFDS."""
    problems = TaskText(TextTask("gsm8k", TFDS("gsm8k"), 1, "question", "answer"))
    corpora = (C4, TFDS("wiki40b/en"), TFDS("wiki40b/de"), TFDS("wiki40b/fr"), problems)
    tasks = published_instructions()
    words = LearnedFrom(WholeWords(BPE(pieces), names_of(tasks)), C4)
    return LanguageStream(words, corpora, tasks, longest=3 * length, length=length, batch=batch)


def drawn_stream(pieces: int, length: int, batch: int) -> LanguageStream:
    """Program text, its documentation, other program text; and three generated tasks: nothing outside is needed.

    >>> stream = drawn_stream(400, length=32, batch=8)
    >>> [task.name for task in stream.tasks], len(stream.corpora), stream.tokenizer.vocab
    (['who', 'does', 'same'], 3, 418)
    """
    tasks, text = drawn_instructions(400), Stdlib(limit=100_000)
    words = LearnedFrom(WholeWords(WordPiece(pieces), names_of(tasks)), text)
    corpora = (text, Documentation(Stdlib(limit=2_000_000)), Stdlib(limit=200_000))
    return LanguageStream(words, corpora, tasks, longest=40, length=length, batch=batch)
