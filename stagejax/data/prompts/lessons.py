"""Questions with a label and a rationale as rows: two tasks told apart by their first token, or one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from stagejax.data.abreast import Abreast, part
from stagejax.data.joined import Row
from stagejax.data.language.seq2seq import TextToText, encoder_decoder_spec, fill
from stagejax.data.pipeline import Batch, Data
from stagejax.data.prompts.answers import MadeRows, answer_row
from stagejax.data.sources import Source
from stagejax.data.tokenizers import CLS, SEP, Codec, Tokenizer, codec

Ids = tuple[int, ...]


class Lesson(NamedTuple):
    """Token ids of a question and of what is to be said of it; without a rationale there is only the label's task."""

    question: Ids
    label: Ids
    rationale: Ids | None


@dataclass(frozen=True)
class Format:
    """How lessons are written. Three marks follow the ids of the words: `predict`, `explain`, `so`.

    Rows of two tasks are [predict, question] -> [label, SEP] and [explain, question] -> [rationale, SEP]; rows of one
    task are [predict, question] -> [rationale, so, label, SEP]; those of a decoder alone [CLS, question, explain,
    rationale, so, label, SEP].

    Args:
      tokenizer: one that knows its words, or has learned them from one source (`LearnedFrom`).
      marks: id of the first mark.
      inputs, label, rationale: lengths, with the mark and with `SEP`. What is longer is cut.

    Reference: Hsieh et al. 2023, https://arxiv.org/abs/2305.02301, section 3.2.
    """

    tokenizer: Tokenizer
    marks: int
    inputs: int
    label: int
    rationale: int

    @property
    def predict(self) -> int:
        return self.marks

    @property
    def explain(self) -> int:
        return self.marks + 1

    @property
    def so(self) -> int:
        return self.marks + 2

    @property
    def vocab(self) -> int:
        """Ids with the marks."""
        return self.marks + 3

    @property
    def answer(self) -> int:
        """Length of a rationale with its label behind it."""
        return self.rationale + self.label

    def code(self, source: Source) -> Codec:
        return codec(self.tokenizer, source, "question")

    def read(self, source: Source) -> list[Lesson]:
        """The lessons of a source whose records hold the texts "question", "label" and "rationale"."""
        records, code = [source[i] for i in range(len(source))], self.code(source)
        sizes = {"question": self.inputs - 1, "label": self.label - 1, "rationale": self.rationale - 1}
        columns = [
            [tuple(ids[:size].tolist()) for ids in code.encode([record[field] for record in records])]
            for field, size in sizes.items()
        ]
        return [Lesson(*parts) for parts in zip(*columns, strict=True)]


def two_tasks(form: Format, lessons: Sequence[Lesson]) -> Batch:
    """Rows `label/...` and `rationale/...` of the same questions; without a rationale its weights are 0.

    >>> from stagejax.data.vocabulary.words import Words
    >>> form = Format(Words(("a", "b", "c")), marks=7, inputs=3, label=2, rationale=3)
    >>> rows = two_tasks(form, [Lesson((4, 5), (6,), (4, 6)), Lesson((5,), (6,), None)])
    >>> [rows[f"{task}/{name}"].tolist() for task in ("label", "rationale") for name in ("inputs", "targets")]
    [[[7, 4, 5], [7, 5, 0]], [[6, 2], [6, 2]], [[8, 4, 5], [8, 5, 0]], [[4, 6, 2], [0, 0, 0]]]
    """
    made = _zeros(form, len(lessons), {"label": form.label, "rationale": form.rationale})
    for at, lesson in enumerate(lessons):
        fill(part(made, "label"), at, np.array([form.predict, *lesson.question]), np.array([*lesson.label, SEP]))
        target = () if lesson.rationale is None else (*lesson.rationale, SEP)
        _explained(part(made, "rationale"), at, np.array([form.explain, *lesson.question]), target)
    return made


def one_task(form: Format, lessons: Sequence[Lesson]) -> Batch:
    """Rows `label/...` whose targets are the rationale and, behind `so`, the label.

    >>> from stagejax.data.vocabulary.words import Words
    >>> form = Format(Words(("a", "b", "c")), marks=7, inputs=3, label=2, rationale=3)
    >>> one_task(form, [Lesson((4, 5), (6,), (4, 6))])["label/targets"].tolist()
    [[4, 6, 9, 6, 2]]
    """
    made = _zeros(form, len(lessons), {"label": form.answer})
    for at, lesson in enumerate(lessons):
        target = np.array([*(lesson.rationale or ()), form.so, *lesson.label, SEP])
        fill(part(made, "label"), at, np.array([form.predict, *lesson.question]), target)
    return made


def worked_examples(form: Format, source: Source) -> Batch:
    """Rows {"tokens", "targets", "weights"} of a source for a decoder, in which rationale and label are learned.

    >>> from stagejax.data.reasoning.chains import Chains
    >>> form = Format(Chains().tokenizer(), marks=40, inputs=33, label=2, rationale=18)
    >>> rows = worked_examples(form, Chains(size=3, clauses=(2,)))
    >>> rows["weights"].sum(1).tolist()  # five words of a rationale, `so`, the label, SEP
    [8.0, 8.0, 8.0]
    """
    length, rows = form.inputs + form.answer, []
    for question, label, reasons in form.read(source):
        asked, said = [CLS, *question, form.explain], [*(reasons or ()), form.so, *label, SEP]
        rows.append(answer_row(np.array(asked, np.int32), np.array(said, np.int32), length))
    tokens, weights = (np.stack(part) for part in zip(*rows, strict=True))
    return {"tokens": tokens[:, :-1], "targets": tokens[:, 1:], "weights": weights}


def worked_rows(made: Any, form: Format, batch: int) -> MadeRows:
    """The batches of an artifact that `worked_examples` filled."""
    shape, kinds = (form.inputs + form.answer,), {"tokens": "int32", "targets": "int32", "weights": "float32"}
    rows = tuple(Row(name, shape, kind) for name, kind in kinds.items())
    return MadeRows(rows=rows, of=made.fingerprint, arrays=made.value, batch=batch)


def rows_of(made: Any, form: Format, tasks: dict[str, int], batch: int, seed: int) -> MadeRows:
    """The batches of an artifact that `two_tasks` or `one_task` filled; `tasks` are the lengths of their targets."""
    rows = tuple(
        Row(f"{task}/{name}", leaf.shape, str(leaf.dtype))
        for task, outputs in tasks.items()
        for name, leaf in encoder_decoder_spec(form.inputs, outputs).items()
    )
    return MadeRows(rows=rows, of=made.fingerprint, arrays=made.value, batch=batch, seed=seed)


def labels_of(form: Format, source: Source, batch: int) -> Data:
    """The label's task alone, of records with gold labels: what models of two tasks are evaluated on."""
    told = TextToText(
        source=source, tokenizer=form.tokenizer, learned_from=source, batch=batch, inputs=form.inputs,
        outputs=form.label, first=form.predict, fields=("question", "label"),
    )  # fmt: skip
    return Abreast(members=(("label", told),))


def _zeros(form: Format, size: int, tasks: dict[str, int]) -> Batch:
    return {
        f"{task}/{name}": np.zeros((size, *leaf.shape), leaf.dtype)
        for task, outputs in tasks.items()
        for name, leaf in encoder_decoder_spec(form.inputs, outputs).items()
    }


def _explained(rows: Batch, at: int, inputs: np.ndarray, target: Ids) -> None:
    if target:
        fill(rows, at, inputs, np.array(target))
    else:
        rows["inputs"][at, : len(inputs)], rows["mask"][at, : len(inputs)] = inputs, True
