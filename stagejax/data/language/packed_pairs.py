"""Several texts and their answers in one row of an encoder-decoder: a budget of input tokens and one of target tokens.

What is short for one side or the other shares a row, and segments keep the samples apart: in the encoder, in the
decoder and between them. Row n has the samples from start(n) to start(n + 1), by next-fit through the endless stream.
Sizes of samples are known without their texts, so starts are arithmetic: they are found on the way, and found again by
whoever begins at a later row.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Protocol

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.language.seq2seq import encoder_decoder_spec
from stagejax.data.pipeline import Batch, Data

_CHUNK = 1 << 12  # samples whose sizes are asked for in one go
_LOOKED_AT = 256  # rows whose mean fill is the declared one


class Sized(Protocol):
    """Data of an encoder and a decoder that knows how many tokens its samples have."""

    def sizes(self, numbers: Int64[np.ndarray, " n"], /) -> Int64[np.ndarray, "n 2"]:
        """Tokens of input and target of samples by number."""
        ...


def fitting(sizes_N2: Int64[np.ndarray, "N 2"], budgets: tuple[int, int]) -> Int64[np.ndarray, " rows"]:
    """Where rows begin: each takes samples in order, as long as both their sums stay within the budgets.

    The last row may have room for samples that are still to come.

    Raises:
      ValueError: a sample that fits into no row.

    >>> fitting(np.array([[3, 1], [2, 1], [1, 4], [1, 1]]), (5, 4)).tolist()
    [0, 2, 3]
    """
    if (sizes_N2 > budgets).any():
        at = int((sizes_N2 > budgets).any(1).argmax())
        raise ValueError(
            f"sample {at} has {tuple(sizes_N2[at].tolist())} tokens of input and target, but a row holds {budgets}: "
            "raise the budgets"
        )
    sums = np.concatenate([np.zeros((1, 2), np.int64), np.cumsum(sizes_N2, axis=0)])
    starts, at = [], 0
    while at < len(sizes_N2):
        starts.append(at)
        ends = (np.searchsorted(sums[:, side], sums[at, side] + budgets[side], side="right") for side in (0, 1))
        at = int(min(ends)) - 1
    return np.array(starts, np.int64)


@dataclass(frozen=True, kw_only=True)
class PackedPairs(Data):
    """The samples of `Denoising` or `TextToText`, as many to a row as fit into both budgets.

    A batch is that of the samples, with "input_segments" and "segments", int32 (batch, inputs) and (batch, outputs): 1,
    2, ... for the samples of a row, 0 where there is nothing. What a batch says of a sample beside is left out.

    Args:
      data: the samples; their own batch and lengths mean nothing here, but that they fit.
      batch: rows.
      inputs, outputs: budgets of a row.

    Raises:
      ValueError: a sample is longer than a budget.

    Reference: Raffel et al. 2020 (T5), https://arxiv.org/abs/1910.10683, section 3.1.2 (packing).

    >>> from stagejax.data import Bytes, Stdlib
    >>> from stagejax.data.language.denoising import Denoising
    >>> short = Denoising(source=Stdlib(limit=50_000), tokenizer=Bytes(), batch=1, inputs=40, outputs=40, length=24)
    >>> row = PackedPairs(data=short, batch=1, inputs=64, outputs=64).take(np.arange(1))
    >>> int(row["input_segments"].max()), int(row["segments"].max())
    (3, 3)
    """

    data: Data
    batch: int
    inputs: int
    outputs: int
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        spec = encoder_decoder_spec(self.inputs, self.outputs)
        return spec | {"input_segments": spec["inputs"], "segments": spec["tokens"]}

    @property
    def tokens(self) -> int:
        """Of inputs and targets together, without padding: the mean of the first rows."""
        last = int(self.starts(np.array([_LOOKED_AT]))[0])
        return round(self.batch * int(self._sizes(0, last).sum()) / _LOOKED_AT)

    def size(self) -> int:
        """Rows whose samples are all of the first epoch."""
        samples = self.data.size()
        while self._starts.known <= samples:
            self._starts.longer(self)
        return int(np.searchsorted(self._starts.values, samples, side="right")) - 1

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        made = {name: np.zeros((len(numbers), *x.shape), x.dtype) for name, x in self.sample_spec().items()}
        for row, (begin, end) in enumerate(zip(self.starts(numbers), self.starts(numbers + 1), strict=True)):
            own = self.data.take(np.arange(begin, end))
            at_input, at_target = 0, 0
            for sample, (n, m) in enumerate(zip(own["mask"].sum(1), (own["weights"] > 0).sum(1), strict=True)):
                inputs, targets = np.s_[row, at_input : at_input + n], np.s_[row, at_target : at_target + m]
                for name in ("inputs", "mask"):
                    made[name][inputs] = own[name][sample, :n]
                for name in ("tokens", "targets", "weights"):
                    made[name][targets] = own[name][sample, :m]
                made["input_segments"][inputs], made["segments"][targets] = sample + 1, sample + 1
                at_input, at_target = at_input + n, at_target + m
        return made

    def starts(self, rows: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """The first sample of each of these rows."""
        while len(self._starts.values) <= rows.max(initial=0):
            self._starts.longer(self)
        return self._starts.values[rows]

    def held_out(self, batches: int, split: str = "test") -> Data:
        return replace(self, data=self.data.held_out(batches, split), count=batches)

    def digest(self) -> str:
        return self.data.digest()

    def _sizes(self, begin: int, end: int) -> Int64[np.ndarray, "n 2"]:
        return self.data.sizes(np.arange(begin, end))  # type: ignore[attr-defined]

    @functools.cached_property
    def _starts(self) -> _Starts:
        return _Starts()


class _Starts:
    """Where rows begin, as far as anybody asked: a function of the declaration, remembered.

    One assignment makes it longer, so that two threads may: what either of them leaves is true.
    """

    def __init__(self) -> None:
        self._found = np.zeros(1, np.int64), 0

    @property
    def values(self) -> Int64[np.ndarray, " rows"]:
        """The starts that are sure; where the last of these rows ends is not."""
        return self._found[0]

    @property
    def known(self) -> int:
        """So many samples were looked at."""
        return self._found[1]

    def longer(self, data: PackedPairs) -> None:
        """Some thousand samples more; the last row is filled anew."""
        values, known = self._found
        last, known = int(values[-1]), known + _CHUNK
        own = last + fitting(data._sizes(last, known), (data.inputs, data.outputs))
        self._found = np.concatenate([values[:-1], own]), known
