"""Texts in a prompt: a template with a place for a label word, to be answered there or filled and masked.

"{0} It was {label} ." makes of "a fine film" and the word "great" the prompt "a fine film It was great ."
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Int32, Int64

from stagejax.data.pipeline import Around, Batch, Data, joint_digest
from stagejax.data.records import OfRecords
from stagejax.data.sources import Source
from stagejax.data.tasks.text_tasks import TextTask, fitting
from stagejax.data.text import corrupt
from stagejax.data.tokenizers import CLS, MASK, PAD, SEP, codec
from stagejax.data.vocabulary.whole_words import WholeWords

TEXTS, LABEL = ("{0}", "{1}"), "{label}"


@dataclass(frozen=True)
class Template:
    """A prompt and its verbaliser: words parted by spaces, among them {0}, {1} and {label}.

    Args:
      text: {0} and, of a pair, {1} stand for the texts, {label} for the label word, all else for itself.
      words: the label word of every class; none where the template has no {label}.

    Raises:
      ValueError: the template has no {0}, has something twice, or words do not go with {label}.

    >>> Template("{0} It was {label} .", ("terrible", "great")).pieces
    (' It', ' was', ' terrible', ' great', ' .')
    >>> Template("{label} : {0}", ("Human", "Number")).pieces
    ('Human', 'Number', ' :')
    """

    text: str
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        places = [item for item in self.items if item in (*TEXTS, LABEL)]
        if TEXTS[0] not in places or len(set(places)) != len(places):
            raise ValueError(f"template {self.text!r}: it needs {{0}}, and {{0}}, {{1}} and {{label}} once at most")
        if (LABEL in places) != (len(self.words) > 1) or len(set(self.words)) != len(self.words):
            raise ValueError(f"template {self.text!r} with the words {self.words}: two different words or more, if and "
                             "only if it has {label}")  # fmt: skip

    @property
    def items(self) -> list[str]:
        """What spaces part."""
        return self.text.split(" ")

    @property
    def labels(self) -> tuple[str, ...]:
        """The label words as they stand in the prompt: behind a space, unless they begin it."""
        return tuple(_spaced(self.items.index(LABEL), word) for word in self.words)

    @property
    def pieces(self) -> tuple[str, ...]:
        """All words of the template, label words among them: what has to be single pieces of a tokenizer."""
        found: list[str] = []
        for at, item in enumerate(self.items):
            if item not in TEXTS:
                found += self.labels if item == LABEL else [_spaced(at, item)]
        return tuple(dict.fromkeys(found))

    def without_label(self) -> Template:
        """The same prompt without its label word."""
        return Template(" ".join(item for item in self.items if item != LABEL))

    def bare(self) -> Template:
        """The texts alone, joined by a space."""
        return Template(" ".join(item for item in self.items if item in TEXTS))


def _spaced(at: int, item: str) -> str:
    return f" {item}" if at else item


class Prompts(NamedTuple):
    """Rows of tokens, where they belong to the template, and the place of the label."""

    tokens: Int32[np.ndarray, "n length"]
    template: Bool[np.ndarray, "n length"]
    place: Int32[np.ndarray, " n"]


def prompted(
    template: Template, tokenizer: WholeWords, learned_from: Source, texts: Sequence[tuple[str, ...]], length: int
) -> Prompts:
    """[CLS, prompt, SEP] with `MASK` at the label's place, padded; only texts are cut, the longer one first.

    Without a label the place is 0, that of `CLS`.

    Raises:
      ValueError: the template leaves no token for each text.

    >>> from stagejax.data import Bytes, Stdlib
    >>> template = Template("{0} was {label} .", ("bad", "good"))
    >>> tokenizer = WholeWords(Bytes(), template.pieces)
    >>> found = prompted(template, tokenizer, Stdlib(limit=100_000), [("abcdef",), ("a",)], 8)
    >>> found.tokens.tolist(), found.place.tolist()
    ([[1, 101, 102, 103, 260, 3, 263, 2], [1, 101, 260, 3, 263, 2, 0, 0]], [5, 3])
    """
    items, code = template.items, codec(tokenizer, learned_from)
    places = [at for at, item in enumerate(items) if item in TEXTS]
    columns = [code.encode([_spaced(at, row[TEXTS.index(items[at])]) for row in texts]) for at in places]
    room = length - 2 - (len(items) - len(places))
    if room < len(places):
        raise ValueError(f"length={length} leaves {room} tokens for the texts of {template.text!r}: raise `length`")
    tokens, of_template = np.full((len(texts), length), PAD, np.int32), np.zeros((len(texts), length), bool)
    place = np.zeros(len(texts), np.int32)
    fixed = [MASK if item == LABEL else None if item in TEXTS else tokenizer.id(_spaced(at, item))
             for at, item in enumerate(items)]  # fmt: skip
    for n, own in enumerate(zip(*columns, strict=True)):
        cut = iter([ids[:kept] for ids, kept in zip(own, fitting([len(ids) for ids in own], room), strict=True)])
        row = [CLS]
        for id in fixed:
            if id is None:
                row += next(cut).tolist()
            else:
                place[n] = len(row) if id == MASK else place[n]
                of_template[n, len(row)] = True
                row.append(id)
        tokens[n, : len(row) + 1] = [*row, SEP]
    return Prompts(tokens, of_template, place)


@dataclass(frozen=True, kw_only=True)
class PromptedTask(OfRecords):
    """Prompts of the records of a task, to be answered at the place of the label.

    A batch is {"tokens": int32 (batch, length), "mask": bool (batch, length), "template": float32 (batch, length),
    "label": int32 (batch,)}: which tokens are no padding, which are the template's; and, where the template has a
    label, "place": int32 (batch,) of its `MASK` and "words": int32 (batch, classes), the ids of the label words.

    Args:
      task: where texts and labels are.
      template: the prompt, whose pieces the tokenizer has as whole words.
      tokenizer, learned_from: which tokens, trained on the texts of which source.
      batch: texts in a global batch.
      length: tokens in a row.
      soft: whether the words of the template are ids of their own, apart from the same words in texts: each id behind
        the vocabulary, by as many as there are whole words.
      seed: of the order.
      count: number of batches; None: endless.

    >>> from stagejax.data import Bytes, Stdlib
    >>> from stagejax.data.tasks.text_tasks import synonym_tasks
    >>> template = Template("{0} {label} , {1}", ("No", "Yes"))
    >>> text = {"tokenizer": WholeWords(Bytes(), template.pieces), "learned_from": Stdlib(limit=100_000)}
    >>> data = PromptedTask(task=synonym_tasks()[2], template=template, **text, batch=4, length=32)
    >>> data.take(np.arange(2))["words"].tolist(), data.spec()["tokens"].shape
    ([[260, 261], [260, 261]], (4, 32))
    """

    task: TextTask
    template: Template
    tokenizer: WholeWords
    learned_from: Source
    batch: int
    length: int
    soft: bool = False
    seed: int = 0
    count: int | None = None

    @property
    def source(self) -> Source:  # type: ignore[override]
        """The task's records."""
        return self.task.source

    @property
    def words(self) -> np.ndarray:
        """The ids of the label words."""
        return np.array([self.tokenizer.id(word) for word in self.template.labels], np.int32) + self._apart

    @property
    def _apart(self) -> int:
        return len(self.tokenizer.words) if self.soft else 0

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        def of(dtype: Any, *shape: int) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(shape, dtype)

        row = {"tokens": of(np.int32, self.length), "mask": of(bool, self.length)}
        row |= {"template": of(np.float32, self.length), "label": of(np.int32)}
        asked = {"place": of(np.int32), "words": of(np.int32, len(self.template.words))}
        return row | asked if self.template.words else row

    def size(self) -> int:
        return len(self.source)

    def take_records(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        rows = numbers.tolist()
        texts = [self.task.texts(row) for row in rows]
        made = prompted(self.template, self.tokenizer, self.learned_from, texts, self.length)
        own = made.template & (made.tokens != MASK)
        batch = {
            "tokens": np.where(own, made.tokens + self._apart, made.tokens).astype(np.int32),
            "mask": made.tokens != PAD,
            "template": made.template.astype(np.float32),
            "label": np.array([self.source[row][self.task.label] for row in rows], np.int32),
        }
        asked = {"place": made.place, "words": np.tile(self.words, (len(rows), 1))}
        return batch | asked if self.template.words else batch

    def held_out(self, batches: int, split: str = "test") -> Data:
        return replace(self, task=self.task.of_split(split), count=batches)

    def digest(self) -> str:
        return joint_digest(self.source.digest(), codec(self.tokenizer, self.learned_from).digest())


@dataclass(frozen=True, kw_only=True)
class MaskedPrompts(Around):
    """Prompts with the word of their label filled in, for masked language modelling, one a row.

    A batch is that of `MaskedText` with "mask" and "template" of `PromptedTask`. The label word and the template are
    masked as any other token. Where the template has no label nothing is filled in.

    Args:
      data: `PromptedTask`, filled by true labels, or the same under `relabel`, by those that were found.
      vocab: random tokens are drawn below it.
      rate: share of the tokens to choose.
      seed: of the masks.

    Reference: Shi and Lipani, NeurIPS 2023, https://arxiv.org/abs/2305.01711, section 3.

    >>> from stagejax.data import Bytes, Stdlib
    >>> from stagejax.data.tasks.text_tasks import synonym_tasks
    >>> template = Template("{0} {label} , {1}", ("No", "Yes"))
    >>> text = {"tokenizer": WholeWords(Bytes(), template.pieces), "learned_from": Stdlib(limit=100_000)}
    >>> data = PromptedTask(task=synonym_tasks()[2], template=template, **text, batch=4, length=32)
    >>> batch = MaskedPrompts(data=data, vocab=text["tokenizer"].vocab).take(np.arange(4))
    >>> bool((np.isin(batch["targets"], [260, 261]).sum(1) == 1).all()), batch["weights"].sum(1).tolist()
    (True, [4.0, 4.0, 4.0, 4.0])
    """

    data: Data
    vocab: int
    rate: float = 0.15
    seed: int = 0

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        own = self.data.sample_spec()
        row, weights = own["tokens"], jax.ShapeDtypeStruct(own["tokens"].shape, np.float32)
        return {"tokens": row, "targets": row, "weights": weights, "mask": own["mask"], "template": own["template"]}

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        own = self.data.take(numbers)
        targets = own["tokens"].copy()
        if "words" in own:
            rows = np.arange(len(numbers))
            targets[rows, own["place"]] = own["words"][rows, own["label"]]
        tokens, weights = corrupt(targets, numbers, seed=self.seed, rate=self.rate, vocab=self.vocab)
        return {
            "tokens": tokens,
            "targets": targets,
            "weights": weights,
            "mask": own["mask"],
            "template": own["template"],
        }

    def digest(self) -> str:
        return self.data.digest()
