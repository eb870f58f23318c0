"""Text tasks as instructions, in suites to learn one after the other: small ones, published ones, generated ones."""

from __future__ import annotations

from dataclasses import dataclass

from stagejax.data.named import TFDS, Dataset
from stagejax.data.portion import Portion
from stagejax.data.question_tasks import CLASSES, Operations, WordsInText
from stagejax.data.questions import Marked, TaskQuestions
from stagejax.data.sources import Source
from stagejax.data.text_tasks import TextTask, synonym_tasks
from stagejax.data.together import Splits

KINDS = ("description", "entity", "abbreviation", "human", "location", "number")
TOPICS = ("world", "sports", "business", "science")


@dataclass(frozen=True)
class Instructed:
    """A text task that is asked for in words, before the text, and answered by the name of a class.

    Args:
      task: where texts and labels are.
      asked: what is asked.
      names: of the classes, which should be a token each.

    >>> drawn_instructions(40)[1].questions("train", longest=30)[7]["question"]
    'does what ? a robber paints quickly =>'
    """

    task: TextTask
    asked: str
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        """The task's."""
        return self.task.name

    def questions(self, part: str, longest: int) -> Source:
        """Records {"question", "solution"} of "train", of "valid" (a tenth of the training records), or of "test".

        Args:
          longest: most characters of the texts of a record.
        """
        return Marked(TaskQuestions(self.task.part(part, 0.1), self.asked, self.names, longest))


def names_of(tasks: tuple[Instructed, ...]) -> tuple[str, ...]:
    """All names and words of questions, each once, and the mark before answers: whole words of a tokenizer.

    >>> names_of(drawn_instructions(40)[2:])
    ('no', 'yes', 'alike', '?', '=>')
    """
    return (*dict.fromkeys(word for task in tasks for word in (*task.names, *task.asked.split())), "=>")


def small_instructions() -> tuple[Instructed, ...]:
    """Kinds of questions, classes of words, operations of word problems, topics, sentiment, paraphrases.

    From `$STAGEJAX_DATA`. The test rows of word problems are a fifth of the training records, as SVAMP's own are of
    another form.
    """
    problems = Operations(Dataset("svamp"))
    held = Splits(Portion(problems, stop=0.8), Portion(problems, start=0.8))
    words = WordsInText(Dataset("ud", part="en_ewt"))
    return (
        Instructed(TextTask("trec", Dataset("trec"), 6), "what kind ?", KINDS),
        Instructed(TextTask("ud", words, 6), "what class ?", tuple(CLASSES.values())),
        Instructed(TextTask("svamp", held, 4), "what operation ?", ("add", "subtract", "multiply", "divide")),
        Instructed(TextTask("agnews", Dataset("agnews"), 4, "title"), "what topic ?", TOPICS),
        Instructed(TextTask("sst2", Dataset("sst2"), 2), "what sentiment ?", ("negative", "positive")),
        Instructed(TextTask("msrp", Dataset("msrp"), 2, "s1", "s2"), "a paraphrase ?", ("no", "yes")),
    )


def published_instructions() -> tuple[Instructed, ...]:
    """The same kinds of tasks from TFDS: e-SNLI and citations in place of word classes and operations.

    >>> [task.name for task in published_instructions()]
    ['trec', 'esnli', 'scicite', 'ag_news_subset', 'glue/sst2', 'glue/mrpc']
    """

    def task(name: str, asked: str, names: tuple[str, ...], *texts: str, test: str = "test", **how: str) -> Instructed:
        return Instructed(TextTask(name, TFDS(name, test=test), len(names), *texts, **how), asked, names)

    pair = ("sentence1", "sentence2")
    return (
        task("trec", "what kind ?", KINDS, label="label-coarse"),
        task("esnli", "does it follow ?", ("entailed", "open", "contrary"), "premise", "hypothesis"),
        task("scicite", "what is it cited for ?", ("method", "background", "result"), "string"),
        task("ag_news_subset", "what topic ?", TOPICS, "description"),
        task("glue/sst2", "what sentiment ?", ("negative", "positive"), "sentence", test="validation"),
        task("glue/mrpc", "a paraphrase ?", ("no", "yes"), *pair, test="validation"),
    )


def drawn_instructions(size: int) -> tuple[Instructed, ...]:
    """Generated sentences: who does what, and whether two say the same."""
    who, does, same, _ = synonym_tasks(size)
    return (
        Instructed(who, "who ?", ("boy", "woman", "dog", "robber", "doctor")),
        Instructed(does, "does what ?", ("see", "take", "paint", "sell", "lift")),
        Instructed(same, "alike ?", ("no", "yes")),
    )
