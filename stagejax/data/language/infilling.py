"""Text infilling: spans of a text become one mask each, and a decoder says the whole text."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Int32, Int64

from stagejax.data.language.seq2seq import encoder_decoder_spec, fill
from stagejax.data.pipeline import Batch, joint_digest
from stagejax.data.records import OfRecords
from stagejax.data.sources import Source
from stagejax.data.tokenizers import CLS, MASK, SEP, Tokenizer, codec, encoder


@dataclass(frozen=True)
class Infilling:
    """Spans of Poisson(`span`) tokens, each in place of one mask, until `rate` of the tokens are gone.

    A span of no token puts in a mask where nothing is missing, so a model has to tell how much is.

    Reference: Lewis et al. 2020 (BART), https://arxiv.org/abs/1910.13461, section 2.2.

    >>> Infilling(rate=0.0)(np.arange(4, 9, dtype=np.int32), np.random.default_rng(0)).tolist()
    [4, 5, 6, 7, 8]
    """

    rate: float = 0.3
    span: float = 3.0

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1 or self.span <= 0:
            raise ValueError(f"rate={self.rate}, span={self.span}: a share below 1, and a mean length above 0")

    def __call__(self, ids: Int32[np.ndarray, " n"], random: np.random.Generator) -> Int32[np.ndarray, " _"]:
        left, spans = round(self.rate * len(ids)), list[int]()
        while left > 0:
            spans.append(min(int(random.poisson(self.span)), left))
            left -= spans[-1]
        whole = len(ids) - sum(spans) + len(spans)  # tokens that stay, and spans
        at = set(random.permutation(whole)[: len(spans)].tolist())
        made, read, sizes = [], 0, iter(spans)
        for place in range(whole):
            made.append(MASK if place in at else int(ids[read]))
            read += next(sizes) if place in at else 1
        return np.array(made, np.int32)


@dataclass(frozen=True, kw_only=True)
class InfilledText(OfRecords):
    """Texts under `Infilling` for an encoder, and the same texts whole for a decoder.

    A batch is as that of `TextToText`: the input is [CLS, text with masks], the target [text, SEP]. Of a long text the
    first `length` tokens are read.

    Args:
      source: records with a text.
      tokenizer, learned_from: which tokens, trained on the texts of which source.
      length: tokens of a text; inputs and targets have one more, at which an input with many masks is cut.

    >>> from stagejax.data import Bytes, Stdlib
    >>> source = Stdlib(limit=50_000)
    >>> data = InfilledText(source=source, tokenizer=Bytes(), learned_from=source, batch=2, length=20)
    >>> batch = data.take(np.arange(2))
    >>> [int(row.sum()) for row in batch["weights"]], bool((batch["inputs"] == MASK).any(1).all())
    ([21, 21], True)
    """

    source: Source
    tokenizer: Tokenizer
    learned_from: Source
    batch: int
    length: int
    infilling: Infilling = Infilling()
    field: str = "text"
    seed: int = 0
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return encoder_decoder_spec(self.length + 1, self.length + 1)

    @property
    def tokens(self) -> int:
        """Of inputs and targets together, padding counted."""
        return 2 * self.batch * (self.length + 1)

    def size(self) -> int:
        return len(self.source)

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        return self.take_as(numbers, self.records(numbers))

    def take_as(self, numbers: Int64[np.ndarray, " n"], records: Int64[np.ndarray, " n"]) -> Batch:
        made = {name: np.zeros((len(numbers), *x.shape), x.dtype) for name, x in self.sample_spec().items()}
        texts = encoder(self.source, self.field, codec(self.tokenizer, self.learned_from))
        for at, (number, record) in enumerate(zip(numbers.tolist(), records.tolist(), strict=True)):
            ids = texts(record)[: self.length]
            masked = self.infilling(ids, np.random.default_rng([self.seed, number]))
            fill(made, at, np.append(CLS, masked[: self.length]), np.append(ids, SEP))
        return made

    def digest(self) -> str:
        return joint_digest(self.source.digest(), codec(self.tokenizer, self.learned_from).digest())
