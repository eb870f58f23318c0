"""Prompts with answers: rows to learn answers from, prompts to be answered, and pairs of answers that were made."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jaxtyping import Float32, Int32, Int64

from stagejax.data.joined import Row
from stagejax.data.order import shuffled
from stagejax.data.pipeline import Batch, Data, joint_digest
from stagejax.data.sources import Source
from stagejax.data.tokenizers import CLS, SEP, Codec, Tokenizer, codec


def answer_row(
    prompt: Int32[np.ndarray, " p"], answer: Int32[np.ndarray, " a"], length: int
) -> tuple[Int32[np.ndarray, " T1"], Float32[np.ndarray, " T"]]:
    """[prompt, answer, padding] of length + 1 tokens, and weights of its targets: 1 at the answer's.

    Raises:
      ValueError: they are longer than the row.

    >>> tokens, weights = answer_row(np.array([1, 7], np.int32), np.array([8, 2], np.int32), 4)
    >>> tokens.tolist(), weights.tolist()
    ([1, 7, 8, 2, 0], [0.0, 1.0, 1.0, 0.0])
    """
    end = len(prompt) + len(answer)
    if end > length + 1:
        raise ValueError(
            f"a prompt of {len(prompt)} tokens and an answer of {len(answer)} do not fit into a row of {length + 1}: "
            "raise `length`"
        )
    tokens, weights = np.zeros(length + 1, np.int32), np.zeros(length, np.float32)
    tokens[:end] = np.concatenate([prompt, answer])
    weights[len(prompt) - 1 : end - 1] = 1
    return tokens, weights


@dataclass(frozen=True, kw_only=True)
class Answers(Data):
    """Supervised fine-tuning: rows [CLS, prompt, answer, SEP], in which the answer and its SEP are learned.

    A batch is {"tokens", "targets": int32 (batch, length), "weights": float32 (batch, length)}, for `causal_lm`.
    That divides the loss summed over a whole batch by its number of learned tokens, so a long answer weighs more than a
    short one, and padding and accumulation change nothing.

    Args:
      source: records with texts.
      tokenizer: of the texts.
      batch: rows in a global batch.
      length: tokens in a row; the longest prompt and answer, with CLS, must fit.
      prompts: learn the prompt as well, as in pretraining.
      fields: of prompt and answer in a record.

    >>> from stagejax.data.reasoning.problems import Problems
    >>> problems = Problems(size=8, steps=(2,))
    >>> data = Answers(source=problems, tokenizer=problems.tokenizer(), batch=4, length=48)
    >>> weights = data.take(np.arange(4))["weights"]
    >>> weights.sum(1).tolist()  # two steps of six tokens with their ";", the answer's two, and SEP
    [15.0, 15.0, 15.0, 15.0]
    """

    source: Source
    tokenizer: Tokenizer
    batch: int
    length: int
    prompts: bool = False
    seed: int = 0
    count: int | None = None
    fields: tuple[str, str] = ("question", "solution")

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        ints, floats = (jax.ShapeDtypeStruct((self.length,), np.dtype(kind)) for kind in ("int32", "float32"))
        return {"tokens": ints, "targets": ints, "weights": floats}

    def size(self) -> int:
        return len(self.source)

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        return shuffled(self.seed, numbers, self.size())

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        rows_RT, weights_RT = _rows(self.source, self.tokenizer, self.fields, self.length, self.prompts)
        records = self.records(numbers)
        tokens = rows_RT[records]
        return {
            "tokens": np.ascontiguousarray(tokens[:, :-1]),
            "targets": np.ascontiguousarray(tokens[:, 1:]),
            "weights": weights_RT[records],
        }

    def digest(self) -> str:
        return joint_digest(self.source.digest(), codec(self.tokenizer, self.source, self.fields[0]).digest())


@functools.lru_cache(maxsize=16)
def _rows(
    source: Source, tokenizer: Tokenizer, fields: tuple[str, str], length: int, prompts: bool
) -> tuple[Int32[np.ndarray, "R T1"], Float32[np.ndarray, "R T"]]:
    code = codec(tokenizer, source, fields[0])
    made = [answer_row(*encoded(code, *(source[i][name] for name in fields)), length) for i in range(len(source))]
    if not made:
        raise ValueError(f"{source} has no records to answer: choose another split of it, or another source")
    tokens_RT, weights_RT = (np.stack(part) for part in zip(*made, strict=True))
    return tokens_RT, (tokens_RT[:, 1:] > 0).astype(np.float32) if prompts else weights_RT


def encoded(code: Codec, prompt: str, answer: str) -> tuple[Int32[np.ndarray, " p"], Int32[np.ndarray, " a"]]:
    """[CLS, prompt] and [answer, SEP]."""
    first, second = code.encode([prompt, answer])
    return np.concatenate([np.int32([CLS]), first]), np.concatenate([second, np.int32([SEP])])


@dataclass(frozen=True, kw_only=True)
class PromptedText(Data):
    """Prompts to be answered: {"tokens": int32 (batch, length), "lengths": int32 (batch,)} and integers beside them.

    Args:
      source: records with a text, and integers that a verifier reads.
      length: [CLS, prompt] is padded to it on the right.
      repeat: batch k is batch k // repeat of the stream: one batch of prompts for several steps.
      field: the prompt in a record.
      beside: fields of a record with an integer each.

    >>> from stagejax.data.reasoning.problems import Problems
    >>> problems = Problems(size=8, steps=(2,))
    >>> data = PromptedText(source=problems, tokenizer=problems.tokenizer(), batch=2, length=40, repeat=2)
    >>> first, second, third = (data.take(np.arange(2 * k, 2 * k + 2))["answer"].tolist() for k in range(3))
    >>> first == second, first == third
    (True, False)
    """

    source: Source
    tokenizer: Tokenizer
    batch: int
    length: int
    repeat: int = 1
    seed: int = 0
    count: int | None = None
    field: str = "question"
    beside: tuple[str, ...] = ("answer",)

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        one = jax.ShapeDtypeStruct((), np.dtype("int32"))
        tokens = jax.ShapeDtypeStruct((self.length,), np.dtype("int32"))
        return {"tokens": tokens, "lengths": one} | dict.fromkeys(self.beside, one)

    def size(self) -> int:
        return len(self.source) * self.repeat

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        batches, places = np.divmod(numbers, self.batch)
        return shuffled(self.seed, batches // self.repeat * self.batch + places, len(self.source))

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        columns = token_rows(self.source, self.tokenizer, self.field, self.length, self.beside)
        records = self.records(numbers)
        return {name: column[records] for name, column in columns.items()}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), codec(self.tokenizer, self.source, self.field).digest())


@functools.lru_cache(maxsize=16)
def token_rows(source: Source, tokenizer: Tokenizer, name: str, length: int, beside: tuple[str, ...]) -> Batch:
    """Of every record [CLS, text] as `tokens` (records, length), its `lengths`, and integers; made once in a process.

    Raises:
      ValueError: a text is too long.
    """
    code, records = codec(tokenizer, source, name), [source[i] for i in range(len(source))]
    tokens = np.zeros((len(records), length), np.int32)
    lengths = np.zeros(len(records), np.int32)
    for row, ids in enumerate(code.encode([record[name] for record in records])):
        if len(ids) >= length:
            raise ValueError(f"prompt {row} of {source} has {len(ids)} tokens and CLS: raise length={length}")
        tokens[row, : len(ids) + 1], lengths[row] = [CLS, *ids], len(ids) + 1
    others = {field: np.array([record[field] for record in records], np.int32) for field in beside}
    return {"tokens": tokens, "lengths": lengths, **others}


@dataclass(frozen=True, kw_only=True)
class MadeRows(Data):
    """The rows of an artifact, such as pairs of sampled answers, in an order of its own for each epoch.

    >>> rows, arrays = (Row("chosen", (3,), "int32"),), {"chosen": np.eye(3, dtype=np.int32)}
    >>> data = MadeRows(rows=rows, of="a1", arrays=arrays, batch=3)
    >>> data.take(np.arange(3))["chosen"].sum(0).tolist()
    [1, 1, 1]
    """

    rows: tuple[Row, ...]
    of: str  # fingerprint of the artifact
    arrays: Mapping[str, np.ndarray] | None = field(
        default=None, repr=False, compare=False, metadata={"declared": False}
    )  # (rows, *shape) by name; None while planning
    batch: int
    seed: int = 0
    count: int | None = None

    @classmethod
    def made(cls, artifact: Any, rows: Sequence[Row], batch: int, seed: int = 0, count: int | None = None) -> MadeRows:
        """Those of what `run.make` has made."""
        held = {"of": artifact.fingerprint, "arrays": artifact.value}
        return cls(rows=tuple(rows), batch=batch, seed=seed, count=count, **held)

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return {row.name: jax.ShapeDtypeStruct(row.shape, np.dtype(row.dtype)) for row in self.rows}

    @property
    def tokens(self) -> int:
        """Integers in a batch: tokens of both sides of pairs."""
        return self.batch * sum(int(np.prod(row.shape)) for row in self.rows if row.dtype == "int32")

    def size(self) -> int:
        return 0 if self.arrays is None else len(self.arrays[self.rows[0].name])

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        return shuffled(self.seed, numbers, self.size())

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        """Rows of the artifact.

        Raises:
          ValueError: it holds none, or rows of another shape or dtype.
        """
        found = {row.name: (self.arrays or {}).get(row.name) for row in self.rows}
        for row in self.rows:
            array = found[row.name]
            if array is None or not len(array) or array.shape[1:] != row.shape or str(array.dtype) != row.dtype:
                held = "nothing" if array is None else f"{array.dtype}{list(array.shape)}"
                raise ValueError(
                    f"the artifact {self.of} holds {held} as {row.name!r}, but {row.dtype}{['n', *row.shape]} with at "
                    "least one row is needed"
                )
        chosen = self.records(numbers)
        return {name: array[chosen] for name, array in found.items()}  # type: ignore[index]

    def digest(self) -> str:
        return self.of
