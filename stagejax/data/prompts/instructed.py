"""Text tasks as instructions, in suites to learn one after the other: small ones, published ones, generated ones."""

from __future__ import annotations

from dataclasses import dataclass

from stagejax.data.named import TFDS, Dataset
from stagejax.data.pipeline import joint_digest
from stagejax.data.portion import Portion
from stagejax.data.prompts.question_tasks import CLASSES, Operations, WordsInText
from stagejax.data.prompts.questions import Marked, TaskQuestions
from stagejax.data.published import trec_in_tfds
from stagejax.data.selection.apart import Apart
from stagejax.data.sources import Derived, Record, Source
from stagejax.data.tasks.text_tasks import TextTask, synonym_tasks
from stagejax.data.together import Splits

KINDS = ("description", "entity", "abbreviation", "human", "location", "number")
PARTS = ("train", "valid", "test")
TOPICS = ("world", "sports", "business", "science")


@dataclass(frozen=True)
class Instructed:
    """A text task that is asked for in words, before the text, and answered by the name of a class.

    Args:
      task: where texts and labels are.
      asked: what is asked.
      names: of the classes, which should be a token each.
      ending: where it is not 0, so many characters of the end of a text are kept, instead of those of its beginning.

    >>> drawn_instructions(40)[1].questions("train", longest=30)[7]["question"]
    'does what ? the boy lifts a shop quickly =>'
    """

    task: TextTask
    asked: str
    names: tuple[str, ...]
    ending: int = 0

    @property
    def name(self) -> str:
        """The task's."""
        return self.task.name

    def questions(self, part: str, longest: int) -> Source:
        """Records {"question", "solution"} of "train", of "valid" (a tenth of the training records), or of "test".

        No question of "train" is one of the others, none of "valid" is one of "test", in whatever case: what stands
        in several sets of records, or is the same once it is cut, is left out of the former ones.

        Args:
          longest: most characters of the texts of a record.
        """
        how = self.asked, self.names, self.ending or longest, bool(self.ending)
        names = PARTS[PARTS.index(part) :]
        own, *later = (Marked(TaskQuestions(self.task.part(name, 0.1), *how)) for name in names)
        return Apart(own, tuple(later), "question", cased=False) if later else own


def names_of(tasks: tuple[Instructed, ...]) -> tuple[str, ...]:
    """All names and words of questions, each once, and the mark before answers: whole words of a tokenizer.

    >>> names_of(drawn_instructions(40)[2:])
    ('no', 'yes', 'alike', '?', '=>')
    """
    return (*dict.fromkeys(word for task in tasks for word in (*task.names, *task.asked.split())), "=>")


@dataclass(frozen=True)
class SpokenIn(Derived):
    """Records {"text", "label"}: every text of a parallel corpus in one of its languages, by turns, and which it is.

    Args:
      languages: fields of the source's records; the label is the place in this list.
    """

    languages: tuple[str, ...]

    def __getitem__(self, index: int) -> Record:
        label = index % len(self.languages)
        return {"text": self.source[index][self.languages[label]], "label": label}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"spoken in {self.languages}")


def small_instructions(most: int) -> tuple[Instructed, ...]:
    """Kinds of questions, classes of words, operations of word problems, topics, languages.

    From `$STAGEJAX_DATA`, so many training records of each, but the 1,660 of word problems: a fifth of their training
    records is for tests, as SVAMP's own are of another form. Of a word problem the end is kept, with the sentence that
    asks. Languages are those of captions that are none of the first 5000.
    """
    problems, words = Operations(Dataset("svamp")), WordsInText(Dataset("ud", part="en_ewt"))
    held = Splits(Portion(problems, stop=0.8), Portion(problems, start=0.8))
    spoken = SpokenIn(Portion(Dataset("multi30k"), 5000, 5000 + most), ("en", "de", "fr", "cs"))

    def task(
        name: str, asked: str, names: tuple[str, ...], source: Source, text: str = "text", ending: int = 0
    ) -> Instructed:
        return Instructed(TextTask(name, source, len(names), text), asked, names, ending)

    def few(source: Source) -> Portion:
        return Portion(source, stop=most)

    return (
        task("trec", "what kind ?", KINDS, few(Dataset("trec"))),
        task("ud", "what class ?", tuple(CLASSES.values()), few(words)),
        task("svamp", "what operation ?", ("add", "subtract", "multiply", "divide"), held, ending=60),
        task("agnews", "what topic ?", TOPICS, few(Dataset("agnews")), "title"),
        task("multi30k", "what language ?", ("english", "german", "french", "czech"), spoken),
    )


def published_instructions() -> tuple[Instructed, ...]:
    """Six tasks from TFDS: kinds of questions, entailment, citations, topics, sentiment, paraphrases.

    >>> [task.name for task in published_instructions()]
    ['trec', 'esnli', 'scicite', 'ag_news_subset', 'glue/sst2', 'glue/mrpc']
    >>> published_instructions()[0].names[3:]
    ('human', 'number', 'location')
    """

    def task(name: str, asked: str, names: tuple[str, ...], *texts: str, test: str = "test", **how: str) -> Instructed:
        return Instructed(TextTask(name, TFDS(name, test=test), len(names), *texts, **how), asked, names)

    pair = ("sentence1", "sentence2")
    return (
        task("trec", "what kind ?", trec_in_tfds(KINDS), label="label-coarse"),
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
