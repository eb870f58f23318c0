"""Text tasks with the prompts by which a language model is asked about them: three small ones, and eleven of TFDS."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from stagejax.data.named import TFDS, Dataset
from stagejax.data.portion import Portion
from stagejax.data.published import trec_in_tfds
from stagejax.data.selection.few_shot import Binarised, FewShot
from stagejax.data.sources import Source
from stagejax.data.tasks.templates import Template
from stagejax.data.tasks.text_tasks import TextTask

SENTIMENT = Template("{0} It was {label} .", ("terrible", "great"))
KINDS = ("Description", "Entity", "Expression", "Human", "Location", "Number")
QUESTION, SAME = Template("{label} : {0}", KINDS), Template("{0} {label} , {1}", ("No", "Yes"))


@dataclass(frozen=True)
class PromptTask:
    """A text task and its prompt; of its training records a part is the pool, from which few labels are known.

    Args:
      text: the task.
      template: its prompt, with a word for each class.
      batches: how many test batches are scored.
      texts: training records; needed where the pool is a share of them.
      pool: records of the pool, the first ones in an order drawn once, or their share.
      stop: where the records behind the pool end that are held out; None: at the last.

    >>> task = small_prompts(pool=1500, stop=1700)[1]
    >>> task.text.name, task.pair, task.size, task.template.labels[3]
    ('trec', False, 1500, 'Human')
    """

    text: TextTask
    template: Template
    batches: int
    texts: int = 0
    pool: int | float = 1500
    stop: int | None = None

    @property
    def name(self) -> str:
        return self.text.name

    @property
    def pair(self) -> bool:
        """Whether it is about two texts."""
        return self.text.second is not None

    @property
    def size(self) -> int:
        """Records of the pool."""
        return self.pool if isinstance(self.pool, int) else round(self.pool * self.texts)

    def records(self, part: str) -> Source:
        """The records of the "pool", or the held-out ones behind it."""
        start, stop = (0, self.pool) if part == "pool" else (self.pool, self.stop)
        return Portion(self.text.source, start, stop)

    def few(self, shots: int, seed: int) -> FewShot:
        """The records of the pool whose labels are known: others for every seed."""
        return FewShot(self.records("pool"), shots, seed, self.text.label)


def small_prompts(pool: int, stop: int) -> tuple[PromptTask, ...]:
    """Sentiment, kind of question, and whether two sentences are alike, from `$STAGEJAX_DATA`.

    Alike are pairs of STS-B with a score of 4 and more, and not alike those of 1 and less; others are left out.
    """
    stsb = Binarised(Dataset("stsb", part="en"), "score", 4.0, 1.0)

    def task(text: TextTask, template: Template, batches: int) -> PromptTask:
        return PromptTask(text, template, batches, pool=pool, stop=stop)

    return (
        task(TextTask("sst2", Dataset("sst2"), 2), SENTIMENT, 4),
        task(TextTask("trec", Dataset("trec"), 6), QUESTION, 2),
        task(TextTask("stsb", stsb, 2, "s1", "s2"), SAME, 2),
    )


def published_prompts(pool: float) -> tuple[PromptTask, ...]:
    """Tasks of Shi and Lipani 2023 (https://arxiv.org/abs/2305.01711) that TFDS has, scored in batches of 256.

    GLUE is tested on its validation splits; STS-B, a regression there, asks here for a similarity of 3 and more.

    >>> [task.template.words[0] for task in published_prompts(0.9) if task.pair]
    ['No', 'No', 'Yes', 'Yes', 'Clearly', 'No']
    >>> published_prompts(0.9)[3].template.words[3:]
    ('Human', 'Number', 'Location')
    """

    def task(name: str, texts: int, batches: int, template: Template, *fields: str, **options: Any) -> PromptTask:
        source = TFDS(name, test=options.pop("test", "validation" if name.startswith("glue/") else "test"))
        text = TextTask(name.removeprefix("glue/"), source, len(template.words), *fields, **options)
        return PromptTask(text, template, batches, texts, pool)

    pair, asked = ("sentence1", "sentence2"), Template("{0} ? {label} , {1}", ("Yes", "No"))
    follows = replace(asked, words=("Yes", "Maybe", "No"))
    thought = Template("{0} . {label} , I think that {1}", ("Clearly", "Yet"))
    question = replace(QUESTION, words=trec_in_tfds(KINDS))
    news = Template("{label} : {0}", ("world", "sports", "business", "tech"))
    stsb = Binarised(TFDS("glue/stsb", test="validation"), "label", 3.0)
    return (
        task("glue/sst2", 67_349, 3, SENTIMENT, "sentence"),
        task("imdb_reviews", 25_000, 97, SENTIMENT, "text"),
        task("glue/cola", 8_551, 4, Template("{0} This is {label}", ("incorrect", "correct")), "sentence"),
        task("trec", 5_452, 1, question, "text", label="label-coarse"),
        task("ag_news_subset", 120_000, 29, news, "description"),
        task("glue/mrpc", 3_668, 1, SAME, *pair),
        task("glue/qqp", 363_846, 157, SAME, "question1", "question2"),
        task("glue/qnli", 104_743, 21, asked, "question", "sentence"),
        task("glue/mnli", 392_702, 38, follows, "premise", "hypothesis", test="validation_matched"),
        task("glue/rte", 2_490, 1, thought, *pair),
        PromptTask(TextTask("stsb", stsb, 2, *pair), SAME, 5, 5_749, pool),
    )
