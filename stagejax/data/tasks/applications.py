"""Applications that pre-trained models are adapted to: labelled texts, tagged sentences, captions to translate."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from stagejax.data.language.field_text import FieldText
from stagejax.data.language.parallel import DrawnTranslations, Short
from stagejax.data.language.seq2seq import OneSequence, TextToText
from stagejax.data.named import Dataset
from stagejax.data.portion import Portion
from stagejax.data.sources import Source
from stagejax.data.tasks.tagged import DrawnSentences
from stagejax.data.tasks.tagged_rows import UPOS
from stagejax.data.tasks.text_tasks import SynonymRows
from stagejax.data.tasks.word_or_text import WordOrText
from stagejax.data.together import Together

#: How a pair is read: by an encoder and a decoder, or as one row of a decoder, its first part both ways or not.
Reading = Literal["pairs", "prefix", "causal"]


@dataclass(frozen=True)
class Application:
    """Labelled texts or tagged sentences: what is trained on, what chooses rates, what is tested.

    Args:
      fields: of a record: the text or the words, the label or the tags.
      tags: their names; none: labels are numbers.
      seeds: with which it is repeated.
      held: rows of `dev` and `test` together, at least.
    """

    name: str
    train: Source
    dev: Source
    test: Source
    fields: tuple[str, str] = ("text", "label")
    tags: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2)
    held: int = 768

    def batches(
        self, labelled: int | float, seed: int, *, batch: int, tested: int = 64, **how: Any
    ) -> tuple[WordOrText, WordOrText]:
        """Some labelled rows, others for every seed; and all development and test rows, as its first and second source.

        Args:
          labelled: how many rows, or which share of all.
          batch, tested: rows in a batch of each.
          how: fields of `WordOrText`, such as the tokenizer.
        """
        fields = {"fields": self.fields, "names": self.tags} | how
        train = Portion(self.train, stop=labelled, seed=seed)
        held = WordOrText(sources=(self.dev, self.test), batch=tested, once=True, **fields)
        return WordOrText(sources=(train,), batch=batch, seed=seed, **fields), held


@dataclass(frozen=True)
class Translation:
    """Pairs to translate, and how that is learned and tested.

    Args:
      fields: of a record: what is translated, and its translation.
      inputs, outputs: tokens.
      rows: in a batch.
      steps, rates: of fine-tuning.
      tested: pairs of development, and as many of the test.
    """

    train: Source
    dev: Source
    test: Source
    fields: tuple[str, str] = ("en", "de")
    inputs: int = 28
    outputs: int = 36
    rows: int = 8
    steps: int = 80
    rates: tuple[float, ...] = (2e-3, 5e-3)
    tested: int = 96
    seeds: tuple[int, ...] = (0,)

    def batches(self, source: Source, form: Reading, **more: Any) -> TextToText | OneSequence:
        """Pairs of a source for an encoder and a decoder, or for a decoder alone, which sees all of what it translates
        both ways unless it is a causal model; `more` are fields of `TextToText`, such as the tokenizer."""
        how = {"batch": self.rows, "inputs": self.inputs, "outputs": self.outputs, "fields": self.fields}
        data = TextToText(source=source, **how | more)
        return data if form == "pairs" else OneSequence(data=data, causal=form == "causal")


def understanding(dev: int = 256, test: int = 512) -> tuple[Application, ...]:
    """Sentiment (`sst2`), parts of speech (`ud`), kinds of questions (`trec`), with so many rows to choose by and to
    test on.

    Development rows of `trec` are some of its training split that are not trained on.

    >>> [task.name for task in understanding()]
    ['sst2', 'ud', 'trec']
    """
    sst2, ud = partial(Dataset, "sst2"), partial(Dataset, "ud", part="en_ewt")
    questions = Portion(Dataset("trec"), start=dev, seed=1), Portion(Dataset("trec"), stop=dev, seed=1)
    tagged, held = (Portion(ud("dev"), stop=dev), Portion(ud("test"), stop=test)), dev + test
    return (
        Application("sst2", sst2(), Portion(sst2("dev"), stop=dev), Portion(sst2("test"), stop=test), held=held),
        Application("ud", ud(), *tagged, ("form", "upos"), UPOS, held=held),
        Application("trec", *questions, Dataset("trec", "test"), seeds=(0,), held=dev + 500),
    )


def captions(words: int = 10) -> Translation:
    """Image captions of at most so many words, English to German; those to train on are a fifth of all."""
    train, dev, test = (Short(Dataset("multi30k", split), ("en", "de"), words) for split in ("train", "val", "test"))
    return Translation(Portion(train, start=0.8), dev, test)


def unlabelled() -> Source:
    """Articles, what the three applications have to train on, without its labels, and captions in both languages.

    The German and the English captions are of different images, so that no pair is read. Some are one side of a pair
    that `captions` trains on, none of what is held out.
    """
    pairs = Dataset("multi30k")
    german, english = (FieldText(Portion(pairs, a, b), name) for a, b, name in ((0.0, 0.4, "de"), (0.4, 0.8, "en")))
    labelled = understanding()
    words = FieldText(labelled[1].train, "form")
    return Together((Dataset("wikitext2"), labelled[0].train, words, labelled[2].train, english, german))


def made_up(seeds: tuple[int, ...] = (0, 1)) -> tuple[tuple[Application, ...], Translation, Source]:
    """Made-up ones for tests: who a sentence is about, tags, translations; and their text.

    >>> applications, translation, text = made_up()
    >>> [len(task.train) for task in applications], text[0]["text"]
    ([160, 120], 'the lady colours a ship rapidly')
    """
    rows, pairs = SynonymRows(size=200), DrawnTranslations(80)
    drawn = [DrawnSentences(count, seed=seed) for seed, count in enumerate((120, 20, 30))]
    tags = tuple(f"T{tag}" for tag in range(8))
    who = Portion(rows, start=40), Portion(rows, stop=40), SynonymRows("test", 60)
    made = (
        Application("who", *who, ("s1", "who"), seeds=seeds, held=100),
        Application("tags", *drawn, ("form", "upos"), tags, seeds, 50),
    )
    held = [DrawnTranslations(20, seed=seed) for seed in (1, 2)]
    translation = Translation(Portion(pairs, start=0.5), *held, inputs=12, outputs=12, rows=4, steps=4, tested=16)
    text = Together((FieldText(rows, "s1"), FieldText(drawn[0], "form"), FieldText(pairs, "de")))
    return made, translation, text
