"""Prompts with answers, or whole texts, several to a row: the same batches for pre-training and for fine-tuning."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.language.packing import INTS, best_fit, documents, filled
from stagejax.data.order import shuffled
from stagejax.data.pipeline import Batch, Data, joint_digest
from stagejax.data.sources import EmptySource, Source
from stagejax.data.tokenizers import CLS, SEP, Tokenizer, codec


@dataclass(frozen=True, kw_only=True)
class PackedAnswers(Data):
    """Documents [CLS, prompt, answer, SEP], of which the answer and its SEP are learned; as many to a row as fit.

    A batch has "tokens", "targets", "segments" (1, 2, ... for the documents of a row, 0 for padding), "positions" (from
    0 in each), int32 (batch, length), and "weights", 0 on prompts and padding. Documents are put to rows by `best_fit`,
    and every epoch orders the rows anew. So stages that learn texts, and those that learn answers, share a program and
    are equal in tokens where they are equal in steps, but for the few of padding.

    Args:
      source: records with texts.
      fields: of prompt and answer in a record; one field alone: a text that is learned from its first token on.
      joined: the texts of a row are one document behind one CLS, that attention does not part; for one field alone.
      batch, length: rows, and tokens in each.

    Raises:
      ValueError: a prompt with its answer is longer than a row (a text is cut into pieces); joined answers.
      EmptySource: there is no text.

    >>> from stagejax.data import Bytes
    >>> from stagejax.data.language.parallel import DrawnTranslations, Instructed
    >>> pairs = Instructed(DrawnTranslations(9), ("de", "en"), ("{}\\n",))
    >>> data = PackedAnswers(source=pairs, tokenizer=Bytes(), batch=1, length=64)
    >>> row = data.take(np.arange(1))
    >>> data.size(), int(row["segments"].max()), Bytes().decode(row["targets"][row["weights"] > 0])
    (5, 1, 'e1 e2 e1 e5 .')
    """

    source: Source
    tokenizer: Tokenizer
    batch: int
    length: int
    fields: tuple[str, ...] = ("question", "solution")
    joined: bool = False
    seed: int = 0
    count: int | None = None

    def __post_init__(self) -> None:
        if self.joined and len(self.fields) > 1:
            raise ValueError(f"joined, with fields={self.fields}: only texts without prompts can be one document")

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        ints = {name: jax.ShapeDtypeStruct((self.length,), np.int32) for name in INTS}
        return ints | {"weights": jax.ShapeDtypeStruct((self.length,), np.float32)}

    def size(self) -> int:
        return len(self._rows()["tokens"])

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        rows = shuffled(self.seed, numbers, self.size())
        return {name: leaf[rows] for name, leaf in self._rows().items()}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), codec(self.tokenizer, self.source, self.fields[-1]).digest())

    def _rows(self) -> Batch:
        return _packed(self.source, self.tokenizer, self.fields, self.length, self.joined)


@functools.lru_cache(maxsize=64)
def _packed(source: Source, tokenizer: Tokenizer, fields: tuple[str, ...], length: int, joined: bool) -> Batch:
    code, records = codec(tokenizer, source, fields[-1]), [source[i] for i in range(len(source))]
    prompts, answers = ([record[field] for record in records] for field in (fields[0], fields[-1]))
    ids = code.encode(answers)
    if len(fields) > 1:
        made = [_document([p], [a]) for p, a in zip(code.encode(prompts), ids, strict=True)]
    elif joined:
        rows, _ = best_fit([len(own) for own in ids], length - 1)
        order = np.argsort(rows, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(rows[order])) + 1)
        made = [_document([], [ids[i] for i in part]) for part in parts if ids]
    else:
        cut = [own[at : at + length - 1] for own in ids for at in range(0, len(own), length - 1)]
        made = [_document([], [own]) for own in cut]
    if not made:
        raise EmptySource(f"{source} gives no text in {fields[-1]!r}. Give the source more text.")
    flat = documents(made)
    return filled(flat, np.arange(len(made)), best_fit((np.diff(flat["starts"]) - 1).tolist(), length), length)


def _document(prompt: list[np.ndarray], answer: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """[CLS, prompt, answer, SEP], and weights of its targets: 1 at the answer and SEP."""
    tokens = np.concatenate([np.int32([CLS]), *prompt, *answer, np.int32([SEP])])
    weights = np.ones(len(tokens) - 1, np.float32)
    weights[: sum(map(len, prompt))] = 0
    return tokens, weights
