"""Denoising of text: spans are taken out of a row and asked for, in several mixtures of length and rate.

The input has one sentinel in place of each span; the target is each sentinel and its span, in order, and `SEP`. A
sequential denoiser takes out the end of the row, without a sentinel. Letters: L tokens of text, m of them corrupted, in
k spans.

References: Raffel et al. 2020 (T5), https://arxiv.org/abs/1910.10683, section 3.1.4; Tay et al. 2022 (UL2),
https://arxiv.org/abs/2205.05131, section 3.1 and table 1.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.corpus import Corpus, read_corpus
from stagejax.data.language.seq2seq import encoder_decoder_spec, fill
from stagejax.data.order import random_words, shuffled
from stagejax.data.pipeline import Batch, Data
from stagejax.data.sources import EmptySource, Source
from stagejax.data.tokenizers import CLS, PAD, SEP, Tokenizer

Mode = Literal["R", "S", "X"]
MODES: tuple[Mode, ...] = ("R", "S", "X")  # regular, sequential, extreme


@dataclass(frozen=True)
class Denoiser:
    """Spans of mean length `span` that cover `rate` of a row; in mode "S", one span of that share, at the end.

    With `uniform`, the share of mode "S" is drawn: 1 to 2m - 1 tokens, each as likely, m in the mean.

    >>> Denoiser("R", 3.0, 0.15).spans(100), Denoiser("X", 64.0, 0.5).spans(100), Denoiser("S", 0.0, 0.25).spans(100)
    ((15, 5), (50, 1), (25, 1))
    """

    mode: Mode
    span: float
    rate: float
    uniform: bool = False

    def spans(self, length: int) -> tuple[int, int]:
        """m = round(rate · L), between 1 and L - 1, and k = round(m / span), at least 1 and few enough to be apart."""
        corrupted = min(max(round(self.rate * length), 1), length - 1)
        if self.mode == "S":
            return corrupted, 1
        return corrupted, max(1, min(round(corrupted / self.span), length - corrupted))

    def sizes(self, length: int) -> tuple[int, int]:
        """Tokens of input and target of a row of `length`: L - m + k + 1, with the mode; m + k + 1, with `SEP`.

        Where the share is drawn, the most that each may have.
        """
        corrupted, spans = self.spans(length)
        if self.mode == "S":
            low, high = (1, self.most(length)) if self.uniform else (corrupted, corrupted)
            return length - low + 1, high + 1
        return length - corrupted + spans + 1, corrupted + spans + 1

    def filled(self, length: int) -> int:
        """Tokens of input and target together."""
        return length + 2 * (0 if self.mode == "S" else self.spans(length)[1]) + 2

    def most(self, length: int) -> int:
        """The longest end of a row that is drawn: 2m - 1, but no whole row."""
        return min(2 * self.spans(length)[0] - 1, length - 1)


#: The seven of UL2, each as often.
UL2 = (
    Denoiser("R", 3.0, 0.15),
    Denoiser("R", 8.0, 0.15),
    Denoiser("S", 0.0, 0.25),
    Denoiser("X", 3.0, 0.5),
    Denoiser("X", 8.0, 0.5),
    Denoiser("X", 64.0, 0.15),
    Denoiser("X", 64.0, 0.5),
)
T5 = (Denoiser("R", 3.0, 0.15),)
PREFIX = (Denoiser("S", 0.0, 0.5, uniform=True),)  # a prefix language model: cut anywhere
CAUSAL = (Denoiser("S", 0.0, 1.0),)  # a causal one: all but the first token is asked for


def composition(total: int, parts: int, words: np.ndarray) -> Int64[np.ndarray, " parts"]:
    """A random composition of `total` into positive parts, each as likely: total - 1 gaps, parts - 1 of them cut.

    Args:
      words: total - 1 random words.

    >>> composition(5, 3, np.array([9, 1, 8, 2], np.uint64)).tolist()
    [2, 2, 1]
    """
    cuts = np.sort(np.argsort(words[: total - 1], kind="stable")[: parts - 1]) + 1
    return np.diff(np.concatenate([[0], cuts, [total]])).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class Denoising(Data):
    """Rows of running text under a mixture of denoisers, for an encoder and a decoder of fixed lengths.

    A batch is {"inputs": int32 (batch, inputs), "mask": bool (batch, inputs), "tokens", "targets": int32 (batch,
    outputs), "weights": float32 (batch, outputs), "denoiser": int32 (batch,)}: what the encoder reads and where there
    is something, what the decoder reads and has to say. Every denoiser takes as long a row as fits into both.

    Sentinels are the ids from `tokenizer.vocab` on, the three modes follow them: give a model `vocab` of this.

    Args:
      denoisers, shares: what is done to a row, and how often; shares=None: each as often.
      inputs, outputs: lengths.
      length: of a row of text at most; None: as much as fits.
      mode_tokens: whether the mode is the first input token; else `CLS` is, for every row.
      seed: of order, choices and spans: row n is the same in every run, wherever it starts.

    Raises:
      ValueError: lengths that are too short for a denoiser.

    >>> from stagejax.data import Bytes, Stdlib
    >>> data = Denoising(source=Stdlib(limit=50_000), tokenizer=Bytes(), batch=4, inputs=64, outputs=40)
    >>> batch = data.take(np.arange(4))
    >>> batch["inputs"].shape, batch["targets"].shape, data.vocab
    ((4, 64), (4, 40), 302)
    """

    source: Source
    tokenizer: Tokenizer
    batch: int
    inputs: int
    outputs: int
    denoisers: tuple[Denoiser, ...] = UL2
    shares: tuple[float, ...] | None = None
    length: int | None = None
    mode_tokens: bool = True
    seed: int = 0
    count: int | None = None
    field: str = "text"

    def __post_init__(self) -> None:
        if self.shares is not None and len(self.shares) != len(self.denoisers):
            raise ValueError(f"{len(self.shares)} shares of {len(self.denoisers)} denoisers: give one for each")
        for denoiser in self.denoisers:
            if self.length_of(denoiser) < 2:
                raise ValueError(
                    f"inputs={self.inputs}, outputs={self.outputs} are too short for {denoiser}: make both longer"
                )

    @property
    def sentinels(self) -> int:
        """As many as a target has room for."""
        return self.outputs - 1

    @property
    def vocab(self) -> int:
        """Ids with sentinels and modes."""
        return self.tokenizer.vocab + self.sentinels + len(MODES)

    @property
    def tokens(self) -> int:
        """Of inputs and targets together, without padding: the mean over denoisers."""
        filled = [denoiser.filled(self.length_of(denoiser)) for denoiser in self.denoisers]
        return round(self.batch * float(np.average(filled, weights=self.shares)))

    def first(self, mode: Mode) -> int:
        """The id of a mode's token."""
        return self.tokenizer.vocab + self.sentinels + MODES.index(mode)

    def length_of(self, denoiser: Denoiser) -> int:
        """The longest row of text that fits: both sizes grow with it."""
        longest = _longest(denoiser, self.inputs, self.outputs)
        return longest if self.length is None else min(self.length, longest)

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return encoder_decoder_spec(self.inputs, self.outputs) | {
            "denoiser": jax.ShapeDtypeStruct((), np.dtype("int32"))
        }

    def _corpus(self) -> Corpus:
        return read_corpus(self.source, self.tokenizer, self.field)

    def digest(self) -> str:
        return self._corpus().digest()

    def size(self) -> int:
        row = max(map(self.length_of, self.denoisers))
        rows = len(self._corpus().ids) // row
        if rows < 1:
            raise EmptySource(f"{self.source} has less than one row of {row} tokens. Give it more text.")
        return rows

    def which(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """The denoiser of each of these rows."""
        shares = np.cumsum(self.shares or (1.0,) * len(self.denoisers))
        words = random_words(self.seed, numbers, 1)[:, 0] >> np.uint64(11)
        return np.searchsorted(shares / shares[-1], words / 2.0**53, side="right")

    def sizes(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, "n 2"]:
        """Tokens of input and target of these rows; reads no text."""
        lengths = [self.length_of(denoiser) for denoiser in self.denoisers]
        known = [denoiser.sizes(length) for denoiser, length in zip(self.denoisers, lengths, strict=True)]
        which = self.which(numbers)
        found = np.array(known, np.int64)[which]
        for at, (denoiser, length) in enumerate(zip(self.denoisers, lengths, strict=True)):
            if denoiser.uniform:
                own = which == at
                drawn = self.drawn_ends(denoiser, length, numbers[own])
                found[own] = np.stack([length - drawn + 1, drawn + 1], axis=1)
        return found

    def drawn_ends(self, denoiser: Denoiser, length: int, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """How much of each row is asked for by a denoiser whose share is drawn."""
        words = random_words(self.seed + 1, numbers, 1)[:, 0] >> np.uint64(11)
        return 1 + words.astype(np.int64) % denoiser.most(length)

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        spec = self.sample_spec()
        made = {name: np.zeros((len(numbers), *leaf.shape), leaf.dtype) for name, leaf in spec.items()}
        made["denoiser"][:] = self.which(numbers)
        row = max(map(self.length_of, self.denoisers))
        for at, (number, place) in enumerate(zip(numbers, shuffled(self.seed, numbers, self.size()), strict=True)):
            denoiser = self.denoisers[made["denoiser"][at]]
            ids = self._corpus().ids[place * row : place * row + self.length_of(denoiser)].astype(np.int32)
            fill(made, at, *self.denoised(ids, denoiser, int(number)))
        return made

    def denoised(self, ids: np.ndarray, denoiser: Denoiser, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Input and target of one row of text."""
        corrupted, count = denoiser.spans(len(ids))
        if denoiser.uniform:
            corrupted = int(self.drawn_ends(denoiser, len(ids), np.array([number]))[0])
        first, kept = [self.first(denoiser.mode) if self.mode_tokens else CLS], len(ids) - corrupted
        if denoiser.mode == "S":
            return np.concatenate([first, ids[:kept]]), np.concatenate([ids[kept:], [SEP]])
        words = random_words(self.seed + 1, np.array([number]), 2 * len(ids))[0]
        clean, spans = composition(kept, count, words[: len(ids)]), composition(corrupted, count, words[len(ids) :])
        pieces = np.split(ids, np.cumsum(np.stack([clean, spans], axis=1).ravel())[:-1])
        marks = self.tokenizer.vocab + np.arange(count)
        inputs = [part for piece, mark in zip(pieces[::2], marks, strict=True) for part in (piece, [mark])]
        target = [part for mark, piece in zip(marks, pieces[1::2], strict=True) for part in ([mark], piece)]
        return np.concatenate([first, *inputs]), np.concatenate([*target, [SEP]])


@functools.lru_cache(maxsize=256)
def _longest(denoiser: Denoiser, inputs: int, outputs: int) -> int:
    fits = [
        length
        for length in range(2, inputs + outputs)
        if denoiser.sizes(length)[0] <= inputs and denoiser.sizes(length)[1] <= outputs
    ]
    return max(fits, default=0)


assert PAD == 0  # what is not written is padding
