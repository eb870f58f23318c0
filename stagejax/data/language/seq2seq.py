"""Texts and their answers for an encoder and a decoder; and such batches for a decoder alone.

A batch of theirs is {"inputs": int32 (batch, inputs), "mask": bool (batch, inputs), "tokens", "targets": int32 (batch,
outputs), "weights": float32 (batch, outputs)}: what the encoder reads and where there is something, what the decoder
reads and has to say.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.order import shuffled
from stagejax.data.pipeline import Around, Batch, Data, joint_digest
from stagejax.data.records import OfRecords
from stagejax.data.sources import Source
from stagejax.data.tokenizers import CLS, SEP, Tokenizer, codec


@dataclass(frozen=True, kw_only=True)
class TextToText(OfRecords):
    """Any task as text: the input is [first, a text], cut at its length, the target [its answer, SEP].

    Args:
      source: records with a text and an answer.
      tokenizer, learned_from: which tokens, trained on the texts of which source.
      inputs, outputs: lengths.
      first: the first input token, such as the mode of a denoiser.
      fields: of text and answer in a record.
      words: what answers that are integers are called; None: answers are texts.

    Reference: Raffel et al. 2020 (T5), https://arxiv.org/abs/1910.10683, section 2.4.

    >>> from stagejax.data import Bytes, Stdlib
    >>> data = TextToText(source=Stdlib(limit=50_000), tokenizer=Bytes(), learned_from=Stdlib(limit=50_000), batch=2,
    ...                   inputs=9, outputs=24, fields=("text", "name"))
    >>> {name: leaf.shape for name, leaf in data.take(np.arange(2)).items()}
    {'inputs': (2, 9), 'mask': (2, 9), 'tokens': (2, 24), 'targets': (2, 24), 'weights': (2, 24)}
    """

    source: Source
    tokenizer: Tokenizer
    learned_from: Source
    batch: int
    inputs: int
    outputs: int
    first: int = CLS
    fields: tuple[str, str] = ("text", "label")
    words: tuple[str, ...] | None = None
    seed: int = 0
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return encoder_decoder_spec(self.inputs, self.outputs)

    @property
    def tokens(self) -> int:
        """Of inputs and targets together, padding counted."""
        return self.batch * (self.inputs + self.outputs)

    def size(self) -> int:
        return len(self.source)

    def sizes(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, "n 2"]:
        """Tokens of input and target of these samples."""
        texts, answers = _encoded(self.source, self.tokenizer, self.learned_from, self.fields, self.words)
        every = np.array([[len(x) + 1, len(y) + 1] for x, y in zip(texts, answers, strict=True)], np.int64)
        return np.minimum(every, (self.inputs, self.outputs))[shuffled(self.seed, numbers, self.size())]

    def take_records(self, rows: Int64[np.ndarray, " n"]) -> Batch:
        """The samples of these records of the source."""
        texts, answers = _encoded(self.source, self.tokenizer, self.learned_from, self.fields, self.words)
        made = {name: np.zeros((len(rows), *x.shape), x.dtype) for name, x in self.sample_spec().items()}
        for at, record in enumerate(rows.tolist()):
            text = np.array([self.first, *texts[record][: self.inputs - 1]])
            answer = np.array([*answers[record][: self.outputs - 1], SEP])
            fill(made, at, text, answer)
        return made

    def digest(self) -> str:
        return joint_digest(self.source.digest(), codec(self.tokenizer, self.learned_from).digest())


def encoder_decoder_spec(inputs: int, outputs: int) -> dict[str, jax.ShapeDtypeStruct]:
    """What a sample holds."""
    sizes = {"inputs": (inputs, "int32"), "mask": (inputs, "bool"), "tokens": (outputs, "int32")}
    sizes |= {"targets": (outputs, "int32"), "weights": (outputs, "float32")}
    return {name: jax.ShapeDtypeStruct((size,), np.dtype(kind)) for name, (size, kind) in sizes.items()}


def fill(batch: Batch, at: int, inputs: np.ndarray, target: np.ndarray) -> None:
    """Write one sample into a row of zeros; the decoder begins with CLS."""
    batch["inputs"][at, : len(inputs)], batch["mask"][at, : len(inputs)] = inputs, True
    batch["targets"][at, : len(target)], batch["weights"][at, : len(target)] = target, 1
    batch["tokens"][at, : len(target)] = [CLS, *target[:-1]]


@functools.lru_cache(maxsize=16)
def _encoded(
    source: Source, tokenizer: Tokenizer, learned_from: Source, fields: tuple[str, str], words: tuple[str, ...] | None
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    code, records = codec(tokenizer, learned_from), [source[i] for i in range(len(source))]
    answers = [record[fields[1]] if words is None else words[record[fields[1]]] for record in records]
    return code.encode([record[fields[0]] for record in records]), code.encode(answers)


@dataclass(frozen=True, kw_only=True)
class OneSequence(Around):
    """The batches of an encoder-decoder for a decoder alone: inputs and targets as one row, inputs + outputs long.

    A batch is {"tokens", "targets": int32, "weights": float32, "prefix": bool}, each (batch, inputs + outputs), and
    whatever else `data` gives of a sample. Targets alone have a weight; padding comes last, so no token sees it.

    Args:
      data: such as `Denoising` or `TextToText`.
      causal: inputs see what came before them alone, so `prefix` is False everywhere.

    >>> from stagejax.data import Bytes, Stdlib
    >>> source = Stdlib(limit=50_000)
    >>> both = TextToText(source=source, tokenizer=Bytes(), learned_from=source, batch=2, inputs=9, outputs=24,
    ...                   fields=("text", "name"))
    >>> batch = OneSequence(data=both).take(np.arange(2))
    >>> batch["prefix"].sum(1).tolist(), float(batch["weights"][:, :9].max()), batch["tokens"].shape
    ([9, 9], 0.0, (2, 33))
    """

    data: Data
    causal: bool = False

    @property
    def tokens(self) -> int:
        return self.data.tokens

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        own = dict(self.data.sample_spec())
        length = own.pop("inputs").shape[0] + own.pop("tokens").shape[0]
        kinds = {"tokens": "int32", "targets": "int32", "weights": "float32", "prefix": "bool"}
        rows = {name: jax.ShapeDtypeStruct((length,), np.dtype(kind)) for name, kind in kinds.items()}
        return rows | {name: own[name] for name in own if name not in (*kinds, "mask")}

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        both, spec = self.data.take(numbers), self.sample_spec()
        made = {name: np.zeros((len(numbers), *leaf.shape), leaf.dtype) for name, leaf in spec.items()}
        outputs = both["tokens"].shape[1]
        for at, length in enumerate(both["mask"].sum(1)):
            made["tokens"][at, :length] = both["inputs"][at, :length]
            made["prefix"][at, :length] = not self.causal
            for name in ("tokens", "targets", "weights"):
                made[name][at, length : length + outputs] = both[name][at]
        return made | {name: both[name] for name in spec if name not in ("tokens", "targets", "weights", "prefix")}

    def held_out(self, batches: int, split: str = "test") -> Data:
        return replace(self, data=self.data.held_out(batches, split))

    def digest(self) -> str:
        return self.data.digest()
