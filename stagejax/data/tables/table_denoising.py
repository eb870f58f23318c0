"""Denoising of tables with their context: spans of tokens, whole cells, names of columns and columns, context.

What a denoiser takes out is replaced by a sentinel each; the target is each sentinel and what it stands for, in order,
and `SEP`, as in `stagejax.data.language.denoising`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.language.denoising import T5, Denoiser, composition
from stagejax.data.language.seq2seq import encoder_decoder_spec, fill
from stagejax.data.order import shuffled
from stagejax.data.pipeline import Batch, Data, joint_digest
from stagejax.data.sources import Source
from stagejax.data.tables.table_text import CELL, CONTEXT, HEADER, Layout, Window, laid_out
from stagejax.data.tokenizers import CLS, SEP, Tokenizer, codec

Spans = list[tuple[int, int]]  # begin and end, apart and in order


@runtime_checkable
class TableDenoiser(Protocol):
    """What is taken out of a table and its context."""

    def spans(self, layout: Layout, random: np.random.Generator) -> Spans: ...


@dataclass(frozen=True)
class TokenSpans:
    """Spans of tokens wherever they fall, as T5 draws them.

    Reference: Raffel et al. 2020, https://arxiv.org/abs/1910.10683, section 3.1.4.
    """

    denoiser: Denoiser = T5[0]

    def spans(self, layout: Layout, random: np.random.Generator) -> Spans:
        length = len(layout.ids)
        corrupted, count = self.denoiser.spans(length)
        words = random.integers(1 << 62, size=2 * length).astype(np.uint64)
        clean = composition(length - corrupted, count, words[:length])
        sizes = composition(corrupted, count, words[length:])
        begins = np.cumsum(clean) + np.cumsum(sizes) - sizes
        return [(int(begin), int(begin + size)) for begin, size in zip(begins, sizes, strict=True)]


@dataclass(frozen=True)
class Cells:
    """Whole cells: max(1, round(rate · cells)) of them, a sentinel each."""

    rate: float = 0.15

    def spans(self, layout: Layout, random: np.random.Generator) -> Spans:
        every = _ends(layout, CELL)
        count = max(1, round(self.rate * len(every)))  # of none, none
        return [every[at] for at in sorted(random.permutation(len(every))[:count].tolist())]


@dataclass(frozen=True)
class Columns:
    """As often as not all names of columns, else all cells of one column under its name."""

    def spans(self, layout: Layout, random: np.random.Generator) -> Spans:
        names = layout.spans(HEADER)
        if random.integers(2):
            return [(begin, end) for begin, end, _ in names]
        column = int(random.choice([piece.column for _, _, piece in names]))
        return [(begin, end) for begin, end, piece in layout.spans(CELL) if piece.column == column]


@dataclass(frozen=True)
class Context:
    """One span of the context, max(1, round(rate · its tokens)) long, anywhere in it."""

    rate: float = 0.5

    def spans(self, layout: Layout, random: np.random.Generator) -> Spans:
        begin, end = _ends(layout, CONTEXT)[0]
        size = max(1, round(self.rate * (end - begin)))
        at = begin + int(random.integers(end - begin - size + 1))
        return [(at, at + size)]


#: The four of the mixture, each as often; and the first alone.
MIXED: tuple[TableDenoiser, ...] = (TokenSpans(), Cells(), Columns(), Context())
SPANS: tuple[TableDenoiser, ...] = (TokenSpans(),)


def _ends(layout: Layout, kind: int) -> Spans:
    return [(begin, end) for begin, end, _ in layout.spans(kind)]


def denoised(ids: np.ndarray, spans: Spans, sentinel: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Input and target where `spans` are taken out; those behind what the target has room for stay.

    Args:
      sentinel: id of the first one.
      outputs: longest target, which ends in `SEP`; the first span is cut if it alone does not fit.

    >>> inputs, target = denoised(np.arange(10, 18), [(1, 2), (4, 7)], 90, 8)
    >>> inputs.tolist(), target.tolist()
    ([1, 10, 90, 12, 13, 91, 17], [90, 11, 91, 14, 15, 16, 2])
    >>> denoised(np.arange(10, 18), [(1, 2), (4, 7)], 90, 6)[1].tolist()
    [90, 11, 2]
    """
    (first, last), room = spans[0], outputs - 1
    inputs, target, at = [CLS], [], 0
    for count, (begin, end) in enumerate([(first, min(last, first + room - 1)), *spans[1:]]):
        if len(target) + 1 + end - begin > room:
            break
        inputs += [*ids[at:begin].tolist(), sentinel + count]
        target += [sentinel + count, *ids[begin:end].tolist()]
        at = end
    return np.array([*inputs, *ids[at:].tolist()]), np.array([*target, SEP])


@dataclass(frozen=True, kw_only=True)
class TableDenoising(Data):
    """Parts of tables behind one question about each, under a mixture of denoisers, for an encoder and a decoder.

    Where a denoiser finds nothing to take out, as no cell had room, spans of tokens are.

    A batch is that of `TextToText`, and "denoiser": int32 (batch,). Sentinels are the ids from `tokenizer.vocab` on.
    Part, question, denoiser and spans of sample n are drawn from (seed, n).

    Args:
      source: tables as `WebTables` gives them.
      tokenizer: one that knows its words, or has learned them from one source (`LearnedFrom`).
      inputs, outputs: lengths. Rows that do not fit are left out, see `laid_out`.
      denoisers: each as often.

    >>> from stagejax.data import Bytes
    >>> from stagejax.data.tables.web_tables import DrawnTables
    >>> data = TableDenoising(source=DrawnTables(9), tokenizer=Bytes(), batch=4, inputs=160, outputs=40)
    >>> batch = data.take(np.arange(4))
    >>> batch["inputs"].shape, batch["targets"].shape, bool((batch["targets"][:, 0] == 260).all())
    ((4, 160), (4, 40), True)
    """

    source: Source
    tokenizer: Tokenizer
    batch: int
    inputs: int
    outputs: int
    window: Window = field(default_factory=lambda: Window(6, 5))
    denoisers: tuple[TableDenoiser, ...] = MIXED
    seed: int = 0
    count: int | None = None

    @property
    def vocab(self) -> int:
        """Ids with the sentinels, as many as a target has room for."""
        return self.tokenizer.vocab + self.outputs - 1

    @property
    def tokens(self) -> int:
        """Of inputs and targets together, padding counted."""
        return self.batch * (self.inputs + self.outputs)

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        own = {"denoiser": jax.ShapeDtypeStruct((), np.dtype("int32"))}
        return encoder_decoder_spec(self.inputs, self.outputs) | own

    def size(self) -> int:
        return len(self.source)

    def layout(self, number: int) -> tuple[Layout, int, np.random.Generator]:
        """The tokens of a sample before anything is taken out, which denoiser it has, and what draws the spans."""
        random = np.random.default_rng([self.seed, number])
        record = self.source[int(shuffled(self.seed, np.array([number]), self.size())[0])]
        which = int(random.integers(len(self.denoisers)))
        part = self.window.part(record["grid"], random)
        asked = record["questions"][int(random.integers(len(record["questions"])))]
        code = codec(self.tokenizer, self.source)
        return laid_out(code, asked, part, self.inputs - 1), which, random

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        made = {name: np.zeros((len(numbers), *x.shape), x.dtype) for name, x in self.sample_spec().items()}
        for at, number in enumerate(numbers.tolist()):
            layout, which, random = self.layout(number)
            spans = self.denoisers[which].spans(layout, random) or TokenSpans().spans(layout, random)
            made["denoiser"][at] = which
            fill(made, at, *denoised(layout.ids, spans, self.tokenizer.vocab, self.outputs))
        return made

    def digest(self) -> str:
        return joint_digest(self.source.digest(), codec(self.tokenizer, self.source).digest())
