"""Tasks of all kinds as questions about a context: {"question", "context", "answer"}, each a line of text."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np

from stagejax.data.pipeline import joint_digest
from stagejax.data.prompts.questions import first_words
from stagejax.data.sources import Derived, Record, Source
from stagejax.data.tasks.text_tasks import TextTask


@dataclass(frozen=True)
class Asked(Source):
    """A text task as a question that the name of a class answers; the names, as options, and its texts are the context.

    Args:
      task: where texts and labels are.
      question: what is asked.
      names: of the classes, each another one.
      longest: most characters of the texts; a pair has half of them for each.

    Raises:
      ValueError: another number of names than of classes, or a name comes twice.

    Reference: Khashabi et al. 2020 (UnifiedQA), https://arxiv.org/abs/2005.00700, for tasks as questions with options.

    >>> from stagejax.data.tasks.text_tasks import synonym_tasks
    >>> Asked(synonym_tasks()[2], "alike?", ("no", "yes"), 30)[7]
    {'question': 'alike?', 'context': 'no, yes; the doctor / the lady lifts', 'answer': 'yes'}
    """

    task: TextTask
    question: str
    names: tuple[str, ...]
    longest: int = 90

    def __post_init__(self) -> None:
        if len(self.names) != self.task.classes or len({*self.names}) != len(self.names):
            raise ValueError(f"names={self.names}: {self.task.name} has {self.task.classes} classes, a name for each")

    @property
    def split(self) -> str:  # type: ignore[override]
        return self.task.source.split

    @property
    def name(self) -> str:
        """The task's, as a part of the names of stages."""
        return self.task.name.replace("/", "-")

    def of_split(self, split: str) -> Source:
        return replace(self, task=self.task.of_split(split))

    def __len__(self) -> int:
        return len(self.task.source)

    def __getitem__(self, index: int) -> Record:
        texts, label = self.task.texts(index), int(self.task.source[index][self.task.label])
        kept = " / ".join(first_words(text.lower(), self.longest // len(texts)) for text in texts)
        context = f"{', '.join(self.names)}; {kept}"
        return {"question": self.question, "context": context, "answer": self.names[label]}

    def digest(self) -> str:
        fields = self.task.first, self.task.second, self.task.label, self.question, self.names, self.longest
        return joint_digest(self.task.source.digest(), repr(fields))


@dataclass(frozen=True)
class AskedOfTables(Derived):
    """Questions for a cell of a table (`TableTask`), whose rows are the context: the answer is a span of it.

    Rows stand in the table's order: where the answer is tells nothing.

    Args:
      longest: most characters of a question and its answer; longer ones are left out.

    >>> from stagejax.data.tables.table_tasks import TableTask
    >>> from stagejax.data.tables.web_tables import DrawnTables
    >>> record = AskedOfTables(TableTask(DrawnTables(5), "answer"))[0]
    >>> record["answer"] in record["context"]
    True
    """

    longest: int = 100

    def __len__(self) -> int:
        return len(_short(self))

    def __getitem__(self, index: int) -> Record:
        record = self.source[_short(self)[index]]
        grid = record["grid"]
        context = " ; ".join(" , ".join(row) for row in (grid.header, *grid.rows))
        return {"question": record["context"], "context": context, "answer": record["answer"]}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"as questions of {self.longest}")


@functools.lru_cache(maxsize=8)
def _short(own: AskedOfTables) -> list[int]:
    records = (own.source[i] for i in range(len(own.source)))
    return [i for i, record in enumerate(records) if len(record["context"] + record["answer"]) <= own.longest]


#: Classes of words (UD's universal ones) that `WordsInText` tells apart, and what they are called.
CLASSES = {"NOUN": "noun", "VERB": "verb", "ADJ": "adjective", "ADV": "adverb", "PRON": "pronoun", "ADP": "preposition"}

LONGEST = 12


@dataclass(frozen=True)
class WordsInText(Derived):
    """A word of each sentence of a treebank with two words on each side of it: {"text", "label", "lemma"}.

    Words are of the six `CLASSES`, whose number is the label, in letters alone, and of at most `LONGEST` characters;
    sentences without one are left out.

    Args:
      source: records {"form", "lemma", "upos"}, lists alike.
      seed: of which word.

    Reference: Nivre et al. 2020 (Universal Dependencies 2), https://arxiv.org/abs/2004.10643.
    """

    seed: int = 0

    def __len__(self) -> int:
        return len(_words(self))

    def __getitem__(self, index: int) -> Record:
        sentence, at = _words(self)[index]
        record = self.source[sentence]
        near = " ".join(record["form"][max(at - 2, 0) : at + 3])
        label = [*CLASSES].index(record["upos"][at])
        return {"text": f"{record['form'][at]} in {near}", "label": label, "lemma": record["lemma"][at].lower()}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"words by {self.seed}")


@functools.lru_cache(maxsize=8)
def _words(own: WordsInText) -> list[tuple[int, int]]:
    made, random = [], np.random.default_rng(own.seed)
    for sentence in range(len(own.source)):
        record, draw = own.source[sentence], random.random()
        columns = zip(record["form"], record["lemma"], record["upos"], strict=True)
        places = [
            at
            for at, (form, lemma, name) in enumerate(columns)
            if name in CLASSES and form.isalpha() and max(len(form), len(lemma)) <= LONGEST
        ]
        if places:
            made.append((sentence, places[int(draw * len(places))]))
    return made


@dataclass(frozen=True)
class BaseForms(Derived):
    """Words of `WordsInText`, asked for their lemma."""

    def __getitem__(self, index: int) -> Record:
        record = self.source[index]
        return {"question": "base form?", "context": record["text"].lower(), "answer": record["lemma"]}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "base forms")


@dataclass(frozen=True)
class Operations(Derived):
    """Word problems of one step (SVAMP) as records {"text", "label"}: 0 to 3 for which of + - * / solves them.

    Problems of several steps are left out.

    Reference: Patel et al. 2021, https://arxiv.org/abs/2103.07191.
    """

    def __len__(self) -> int:
        return len(self._places())

    def __getitem__(self, index: int) -> Record:
        record = self.source[self._places()[index]]
        return {"text": record["question_masked"], "label": "+-*/".index(record["equation"].split()[0])}

    def _places(self) -> list[int]:
        return _one_step(self.source)

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "operations")


@functools.lru_cache(maxsize=8)
def _one_step(source: Source) -> list[int]:
    equations = (source[i]["equation"].split() for i in range(len(source)))
    return [place for place, words in enumerate(equations) if sum(word in "+-*/" for word in words) == 1]
