"""Questions behind demonstrations: labelled examples of a bank, found for each question, in one template with it.

The template is `question: Q \\n answer: A \\n context: C`. In what is asked a mask stands for the answer, and a decoder
says `question: Q \\n answer: A`: it repeats the question and fills in, as a denoising model restores a text.

Letters: B batch, K demonstrations, S tokens that the encoder reads, T tokens that the decoder says.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.pipeline import Batch, Data, joint_digest
from stagejax.data.records import OfRecords
from stagejax.data.sources import Derived, Record, Source
from stagejax.data.together import Together
from stagejax.data.tokenizers import CLS, MASK, SEP, Codec, Tokenizer, codec


class Pieces(NamedTuple):
    """The tokens of a record in the template."""

    question: np.ndarray  # up to "answer:"
    answer: np.ndarray
    context: np.ndarray  # from "context:" on

    def asked(self) -> list[int]:
        """With a mask for the answer."""
        return [*self.question.tolist(), MASK, *self.context.tolist()]

    def shown(self) -> list[int]:
        """With the answer."""
        return [*self.question.tolist(), *self.answer.tolist(), *self.context.tolist()]

    def said(self) -> list[int]:
        """What a decoder is to say."""
        return [*self.question.tolist(), *self.answer.tolist(), SEP]


def pieces(code: Codec, records: Sequence[Record]) -> list[Pieces]:
    """Records {"question", "context", "answer"} in the template, each piece encoded by itself."""
    texts = ("question: {question}\nanswer:", " {answer}", "\ncontext: {context}")
    columns = [code.encode([text.format(**record) for record in records]) for text in texts]
    return [Pieces(*own) for own in zip(*columns, strict=True)]


def pieces_of(source: Source, tokenizer: Tokenizer, learned_from: Source) -> list[Pieces]:
    """`pieces` of all records of a source, made once in a process."""
    if isinstance(source, Together):
        return [own for part in source.parts for own in pieces_of(part, tokenizer, learned_from)]
    return _pieces(source, tokenizer, learned_from)


@functools.lru_cache(maxsize=128)
def _pieces(source: Source, tokenizer: Tokenizer, learned_from: Source) -> list[Pieces]:
    return pieces(codec(tokenizer, learned_from), [source[i] for i in range(len(source))])


@functools.lru_cache(maxsize=128)
def reader(source: Source, tokenizer: Tokenizer, learned_from: Source) -> Callable[[int], Pieces]:
    """`pieces` of one record, made when it is first read: a batch reads no others."""
    code = codec(tokenizer, learned_from)

    @functools.lru_cache(maxsize=1 << 16)
    def read(record: int) -> Pieces:
        return pieces(code, [source[record]])[0]

    return read


@dataclass(frozen=True)
class InTemplate(Derived):
    """Records {"text"}: those of questions, as demonstrations. What a tokenizer may be learned from."""

    def __getitem__(self, index: int) -> Record:
        return {"text": "question: {question}\nanswer: {answer}\ncontext: {context}".format(**self.source[index])}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "in the template")


@functools.lru_cache(maxsize=128)
def inputs_of(source: Source) -> Int64[np.ndarray, " N"]:
    """A number for what each record asks, its answer apart: equal where question and context are, but for spaces.

    >>> from stagejax.data.prompts.question_tasks import Asked
    >>> from stagejax.data.tasks.text_tasks import synonym_tasks
    >>> inputs_of(Asked(synonym_tasks(50)[2], "alike?", ("no", "yes"))).shape
    (50,)
    """
    records = (source[i] for i in range(len(source)))
    texts = (" ".join(f"{record['question']} | {record['context']}".lower().split()) for record in records)
    return np.array(
        [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1 for text in texts], np.int64
    )


@dataclass(frozen=True, kw_only=True)
class Demonstrated(OfRecords):
    """Questions, each behind K demonstrations in turn: K rows for an encoder, and one answer for a decoder.

    A batch is {"inputs": int32 (B, K, S), "mask": bool (B, K, S), "scores": float32 (B, K), "tokens", "targets": int32
    (B, T), "weights", "answers": float32 (B, T)}. Row k is [CLS, demonstration k, SEP, question]: demonstrations are
    not read together, `marginal_seq2seq` mixes what is said behind each. The decoder says question and answer, of which
    `answers` are the latter. Where there is no bank, K is 1 and the row is [CLS, question].

    Demonstrations are found beforehand, by an artifact with one row for every record of `source`; a demonstration that
    asks what the record asks is refused. Make it by `behind`.

    Args:
      source: questions.
      bank: where demonstrations are from, records alike; None: there are none.
      tokenizer, learned_from: which tokens, trained on the texts of which source.
      shown, asked, said: most tokens of a demonstration, of what is asked, of what is said; contexts are cut at their
        ends.
      demonstrations: K.
      of: fingerprint of the artifact.

    Raises:
      ValueError: a question and its answer do not fit, or the artifact has not K places and scores of each record.
    """

    source: Source
    tokenizer: Tokenizer
    learned_from: Source
    batch: int
    shown: int
    asked: int
    said: int
    bank: Source | None = None
    demonstrations: int = 1
    of: str = ""
    found: Mapping[str, np.ndarray] | None = field(
        default=None, repr=False, compare=False, metadata={"declared": False}
    )  # "places" and "scores" (records, K); None while planning
    seed: int = 0
    count: int | None = None

    @property
    def inputs(self) -> int:
        """S."""
        return 1 + self.asked + (0 if self.bank is None else self.shown + 1)

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        K, S, T = self.demonstrations, self.inputs, self.said
        sizes = {"inputs": ((K, S), "int32"), "mask": ((K, S), "bool"), "scores": ((K,), "float32")}
        sizes |= {"tokens": ((T,), "int32"), "targets": ((T,), "int32")}
        sizes |= {"weights": ((T,), "float32"), "answers": ((T,), "float32")}
        return {name: jax.ShapeDtypeStruct(shape, np.dtype(kind)) for name, (shape, kind) in sizes.items()}

    @property
    def tokens(self) -> int:
        """Of encoder and decoder together, padding counted."""
        return self.batch * self.demonstrations * (self.inputs + self.said)

    def size(self) -> int:
        return len(self.source)

    def take_records(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        made = {name: np.zeros((len(numbers), *x.shape), x.dtype) for name, x in self.sample_spec().items()}
        if self.bank is not None:
            places, made["scores"] = (array[numbers] for array in self._found(self.bank))
            shown = reader(self.bank, self.tokenizer, self.learned_from)
        own = reader(self.source, self.tokenizer, self.learned_from)
        for at, record in enumerate(numbers.tolist()):
            question, answer, _ = own(record)
            asked, said = own(record).asked()[: self.asked], own(record).said()
            if len(said) > self.said or len(question) + 1 > self.asked:
                raise ValueError(
                    f"record {record} of {self.source} asks in {len(question)} tokens and is answered in "
                    f"{len(answer)}: raise `said`={self.said} or `asked`={self.asked}, or leave it out"
                )
            for k in range(self.demonstrations):
                row = [CLS, *asked]
                if self.bank is not None:
                    row = [CLS, *shown(int(places[at, k])).shown()[: self.shown], SEP, *asked]
                made["inputs"][at, k, : len(row)], made["mask"][at, k, : len(row)] = row, True
            there = slice(0, len(said))
            made["targets"][at, there], made["tokens"][at, there] = said, [CLS, *said[:-1]]
            made["weights"][at, there], made["answers"][at, len(question) : len(said)] = 1, 1
        return made

    def _found(self, bank: Source) -> tuple[np.ndarray, np.ndarray]:
        """Places in the bank and scores of all records."""
        found, shape = self.found or {}, (len(self.source), self.demonstrations)
        if {name: array.shape for name, array in found.items()} != {"places": shape, "scores": shape}:
            told = ", ".join(f"{name} {list(array.shape)}" for name, array in found.items()) or "nothing"
            raise ValueError(
                f"the artifact {self.of!r} holds {told} as places and scores, but {list(shape)} are needed"
            )
        if (inputs_of(bank)[found["places"]] == inputs_of(self.source)[:, None]).any():
            raise ValueError(f"the artifact {self.of!r} shows a record of {self.source} itself, or a copy of it")
        return found["places"], found["scores"]

    def held_out(self, batches: int, split: str = "test") -> Data:
        raise TypeError(
            "demonstrations are found for each source: declare held-out questions with an artifact of theirs"
        )

    def digest(self) -> str:
        parts = [part.digest() for part in (self.source, self.bank) if part is not None]
        return joint_digest(*parts, codec(self.tokenizer, self.learned_from).digest(), self.of)


def behind(questions: Demonstrated, bank: Source, made: Any, demonstrations: int) -> Demonstrated:
    """The questions behind what `run.make` found for them in a bank: anything with a `fingerprint` and a `value`.

    >>> from types import SimpleNamespace
    >>> from stagejax.data import Bytes, Stdlib
    >>> from stagejax.data.prompts.question_tasks import Asked
    >>> from stagejax.data.tasks.text_tasks import synonym_tasks
    >>> tasks = [Asked(task, "?", ("no", "yes"), 20) for task in (synonym_tasks(4)[2], synonym_tasks(9)[2])]
    >>> sizes = {"shown": 60, "asked": 50, "said": 40}
    >>> plain = Demonstrated(source=tasks[0], tokenizer=Bytes(), learned_from=Stdlib(), batch=4, **sizes)
    >>> found = {"places": np.full((4, 2), [5, 6]), "scores": np.zeros((4, 2), np.float32)}
    >>> data = behind(plain, tasks[1], SimpleNamespace(fingerprint="a1", value=found), 2)
    >>> Bytes().decode(data.take_records(np.array([0]))["inputs"][0, 1]).splitlines()[:2]
    ['question: ?', 'answer: yes']
    """
    return replace(questions, bank=bank, of=made.fingerprint, found=made.value, demonstrations=demonstrations)
