"""Several streams of codes as one sequence of tokens: pictures and clips in the vocabulary of a language model.

Letters: T frames, Q streams (books of a residual quantizer), K codes of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Int, Integer

Order = Literal["sequential", "alternating"]


def interleaved(codes: Integer[np.ndarray, "T Q"], size: int, order: Order) -> Int[np.ndarray, " TQ"]:
    """All streams as one; code k of stream q is q K + k.

    Sequential: a1 a2 .. b1 b2 .. (the first stream, then the second); alternating: a1 b1 a2 b2 ..

    Args:
      size: K.

    Raises:
      ValueError: a code that is not below K, or an unknown order.

    Reference: MIO 2024, https://arxiv.org/abs/2409.17692, section 2.1.

    >>> codes = np.array([[1, 2], [3, 0]])
    >>> interleaved(codes, 4, "sequential").tolist(), interleaved(codes, 4, "alternating").tolist()
    ([1, 3, 6, 4], [1, 6, 3, 4])
    """
    if order not in get_args(Order):
        raise ValueError(f"order={order!r} is unknown: choose one of {get_args(Order)}")
    if codes.size and not 0 <= codes.min() <= codes.max() < size:
        raise ValueError(f"codes from {codes.min()} to {codes.max()}, but a stream has size={size}")
    tokens = codes + size * np.arange(codes.shape[1])
    return (tokens.T if order == "sequential" else tokens).reshape(-1).astype(np.int32)


def deinterleaved(
    tokens: Integer[np.ndarray, " n"], streams: int, size: int, order: Order
) -> Int[np.ndarray, "T Q"] | None:
    """The codes again; None where the tokens are no clip: one of parts of equal length, in their order, and not empty.

    >>> deinterleaved(np.array([1, 3, 6, 4]), 2, 4, "sequential").tolist()
    [[1, 2], [3, 0]]
    >>> deinterleaved(np.array([1, 3, 6]), 2, 4, "sequential") is None
    True
    """
    if not len(tokens) or len(tokens) % streams:
        return None
    parts = np.asarray(tokens).reshape((streams, -1) if order == "sequential" else (-1, streams))
    codes = (parts.T if order == "sequential" else parts) - size * np.arange(streams)
    return codes.astype(np.int32) if codes.min() >= 0 and codes.max() < size else None


@dataclass(frozen=True)
class Vocabulary:
    """Ids of text, then of image codes, then of each stream of speech, then of the four borders of pictures and clips.

    >>> words = Vocabulary(text=300, image=128, streams=2, codes=64)
    >>> words.size, words.added, words.picture(np.array([0, 5])).tolist()
    (560, 260, [556, 300, 305, 557])
    """

    text: int
    image: int  # codes of the image tokenizer
    streams: int  # of speech
    codes: int  # of each stream

    @property
    def speech(self) -> int:
        """Where the ids of speech begin."""
        return self.text + self.image

    @property
    def borders(self) -> tuple[int, int, int, int]:
        """<image>, </image>, <spch>, </spch>."""
        first = self.speech + self.streams * self.codes
        return first, first + 1, first + 2, first + 3

    @property
    def size(self) -> int:
        """All ids."""
        return self.borders[-1] + 1

    @property
    def added(self) -> int:
        """Rows that a language model of text alone needs more."""
        return self.size - self.text

    def picture(self, codes: Integer[np.ndarray, " n"]) -> Int[np.ndarray, " n2"]:
        """<image> codes </image>."""
        begin, end, _, _ = self.borders
        return np.concatenate([[begin], self.text + codes, [end]]).astype(np.int32)

    def clip(self, codes: Integer[np.ndarray, "T Q"], order: Order) -> Int[np.ndarray, " n2"]:
        """<spch> codes in an order </spch>; of the first stream alone, where others are left out before."""
        _, _, begin, end = self.borders
        return np.concatenate([[begin], self.speech + interleaved(codes, self.codes, order), [end]]).astype(np.int32)

    def picture_codes(self, tokens: Integer[np.ndarray, " n"], count: int) -> Integer[np.ndarray, " codes"] | None:
        """The codes between the borders; None where this is no picture of `count` codes."""
        inner = np.asarray(tokens)
        if len(inner) != count + 2 or (inner[0], inner[-1]) != self.borders[:2]:
            return None
        codes = inner[1:-1] - self.text
        return codes if codes.min() >= 0 and codes.max() < self.image else None

    def clip_codes(self, tokens: Integer[np.ndarray, " n"], order: Order) -> Int[np.ndarray, "T Q"] | None:
        """The codes of a clip; None where it is not valid (see `deinterleaved`)."""
        inner = np.asarray(tokens)
        if len(inner) < 2 or (inner[0], inner[-1]) != self.borders[2:]:
            return None
        return deinterleaved(inner[1:-1] - self.speech, self.streams, self.codes, order)
