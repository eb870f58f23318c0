"""Suites of tasks that are asked as questions: small ones of `$STAGEJAX_DATA`, published and generated ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from stagejax.data.named import TFDS, Dataset
from stagejax.data.pipeline import joint_digest
from stagejax.data.portion import Portion
from stagejax.data.prompts.question_tasks import CLASSES, Asked, AskedOfTables, BaseForms, Operations, WordsInText
from stagejax.data.published import trec_in_tfds
from stagejax.data.selection.few_shot import Binarised, FewShot
from stagejax.data.sources import Derived, Record, Source
from stagejax.data.tables.table_tasks import TableTask
from stagejax.data.tables.table_text import Window
from stagejax.data.tables.web_tables import DrawnTables, WebTables
from stagejax.data.tasks.text_tasks import TextTask, synonym_tasks
from stagejax.data.together import Together

_TREC = ("description", "entity", "abbreviation", "human", "location", "number")
_NEWS = ("world", "sports", "business", "science")


@dataclass(frozen=True)
class Suite:
    """Questions of several tasks.

    Args:
      targets: tasks of which each is held out in its turn.
      others: tasks that never are.
    """

    targets: tuple[Asked, ...]
    others: tuple[Source, ...]

    def without(self, target: Asked, start: float = 0.0, stop: float | None = None) -> Together:
        """A part of the training records of each task but that one.

        >>> suite = drawn_questions(40)
        >>> len(suite.without(suite.targets[0]).parts), len(suite.without(suite.targets[0], 0.0, 0.5).parts[0])
        (3, 20)
        """
        own = tuple(own for own in self.targets if own != target)
        return Together(tuple(part_of(task, start, stop) for task in (*own, *self.others)))


def few_of(target: Asked, part: Literal["few", "valid", "test"], shots: int, tests: int, seed: int) -> Asked:
    """Of a task "few" training records of each class, as many others that are "valid", or so many "test" records.

    >>> [len(few_of(drawn_questions(200).targets[0], part, 4, 50, seed=0)) for part in ("few", "valid", "test")]
    [20, 20, 50]
    """
    task = target.task if part != "test" else target.task.of_split("test")
    if part == "test":
        return replace(target, task=replace(task, source=Portion(task.source, 0, tests)))
    pool = Portion(task.source, *((0, 0.5) if part == "few" else (0.5, None)))
    return replace(target, task=replace(task, source=FewShot(pool, shots, seed, task.label)))


def small_questions(most: int, tables: bool = False) -> Suite:
    """Kinds of questions and topics, held out in turn; beside them sentiment, operations, classes and lemmas of words,
    and of pairs of sentences, half as often, paraphrases, answers and similarity.

    Args:
      most: training records of a task; of kinds of questions twice as many, as one of them is rare.
        Texts have at most 120 characters, of a pair each half of them.
      tables: whether there are questions for a cell of a table as well, which are longer.

    >>> [task.question for task in small_questions(2000).targets]
    ['what kind?', 'what topic?']
    """

    def task(
        name: str, question: str, names: tuple[str, ...], *texts: str, source: Source | None = None, times: int = 1
    ) -> Asked:
        own = Portion(source or Dataset(name), stop=times * most // max(len(texts), 1))
        return Asked(TextTask(name, own, len(names), *texts), question, names, longest=120)

    pair, stsb = ("s1", "s2"), Binarised(Dataset("stsb", part="en"), "score", 4.0, 1.0)
    words, others = (WordsInText(Dataset("ud", part="en_ewt"), seed) for seed in (0, 1))
    operations = ("add", "subtract", "multiply", "divide")
    suite = Suite(
        (task("trec", "what kind?", _TREC, times=2), task("agnews", "what topic?", _NEWS, "title")),
        (
            task("sst2", "what sentiment?", ("negative", "positive")),
            task("svamp", "what operation?", operations, source=Operations(Dataset("svamp"))),
            task("ud", "what class?", (*CLASSES.values(),), source=words),
            task("msrp", "a paraphrase?", ("no", "yes"), *pair),
            task("qnli", "is it answered?", ("yes", "no"), "question", "sentence"),
            task("stsb", "alike?", ("no", "yes"), *pair, source=stsb),
            Portion(BaseForms(others), stop=most),
        ),
    )
    if not tables:
        return suite
    cells = AskedOfTables(TableTask(WebTables(), "answer", Window(2, 2, 12)), longest=42)
    return replace(suite, others=(*suite.others, cells))


@dataclass(frozen=True)
class AskedOfTexts(Derived):
    """SQuAD in the fields of TFDS: questions whose answer is a span of the context.

    Reference: Rajpurkar et al. 2016, https://arxiv.org/abs/1606.05250.
    """

    def __getitem__(self, index: int) -> Record:
        record = self.source[index]
        (answer, *_) = (_text(own) for own in record["answers"]["text"])
        return {name: _text(record[name]) for name in ("question", "context")} | {"answer": answer}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "as questions")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else value


def published_questions() -> Suite:
    """Targets of Mueller et al. 2023 that TFDS has: TREC, QNLI and MRPC; and a million records of other tasks.

    Reference: https://arxiv.org/abs/2307.00119. The paper's own mixture is that of UnifiedQA and CrossFit.

    >>> [task.task.name for task in published_questions().targets]
    ['trec', 'glue/qnli', 'glue/mrpc']
    """

    def task(name: str, question: str, names: tuple[str, ...], *texts: str, **fields: Any) -> Asked:
        test = fields.pop("test", "validation" if name.startswith("glue/") else "test")
        own = TextTask(name, TFDS(name, test=test), len(names), *texts, **fields)
        return Asked(own, question, names, longest=1200)

    pair = ("sentence1", "sentence2")
    return Suite(
        (
            task("trec", "what kind?", trec_in_tfds(_TREC), label="label-coarse"),
            task("glue/qnli", "is it answered?", ("yes", "no"), "question", "sentence"),
            task("glue/mrpc", "a paraphrase?", ("no", "yes"), *pair),
        ),
        (
            AskedOfTexts(TFDS("squad", test="validation")),
            task("snli", "does it follow?", ("yes", "maybe", "no"), "premise", "hypothesis"),
            task("glue/sst2", "what sentiment?", ("negative", "positive"), "sentence"),
            task("imdb_reviews", "what sentiment?", ("negative", "positive")),
            task("ag_news_subset", "what topic?", _NEWS, "description"),
            task("scicite", "what is it cited for?", ("method", "background", "result"), "string"),
        ),
    )


def drawn_questions(size: int) -> Suite:
    """Generated sentences: who does what, held out in turn; whether two say the same, and questions for cells."""
    who, does, same, _ = synonym_tasks(size)
    people, verbs = ("boy", "woman", "dog", "robber", "doctor"), ("see", "take", "paint", "sell", "lift")
    tables = AskedOfTables(TableTask(DrawnTables(size), "answer", Window(3, 3), each=1))
    return Suite(
        (Asked(who, "who?", people), Asked(does, "does what?", verbs)), (Asked(same, "alike?", ("no", "yes")), tables)
    )


def part_of(task: Source, start: int | float, stop: int | float | None = None) -> Source:
    """A part of a task's records in an order drawn once; a task with options is one still."""
    if isinstance(task, Asked):
        return replace(task, task=replace(task.task, source=Portion(task.task.source, start, stop)))
    return Portion(task, start, stop)
