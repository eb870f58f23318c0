"""An entropy code for ternary weights that are mostly 0: words of fixed size for sequences of any length.

A dictionary holds the likeliest sequences under independent symbols; a row is cut into the longest sequences that the
dictionary has, and stored as their numbers. It is fixed: no part of it belongs to a model. On the host.

Reference: Frantar and Alistarh 2023 (QMoE), https://arxiv.org/abs/2310.16795, section 4.3 and algorithm 1.
"""

from __future__ import annotations

import functools
import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt16

#: Pairs of symbols: what sequences are made of, so that two are decoded at a time.
PAIRS = tuple(itertools.product(range(3), repeat=2))


@dataclass(frozen=True)
class TernaryCode:
    """The dictionary of 2^bits sequences of 1 to `longest` pairs, the likeliest where a symbol is 0 with `zeros`.

    Raises:
      ValueError: so few words that a pair has none, or more than 16 bits can count; no chance, or no sequence.

    >>> code = TernaryCode(bits=8)
    >>> words = code.encoded(np.array([0] * 30 + [2, 1]))
    >>> len(words), code.decoded(words, 32)[-3:].tolist()
    (3, [0, 2, 1])
    """

    bits: int = 16
    zeros: float = 0.885
    longest: int = 14  # pairs

    def __post_init__(self) -> None:
        if not 4 <= self.bits <= 16 or not 0 < self.zeros < 1 or self.longest < 1:
            raise ValueError(
                f"bits={self.bits}, zeros={self.zeros}, longest={self.longest}: need 4 <= bits <= 16, 0 < zeros < 1, "
                "longest >= 1"
            )

    @property
    def sequences(self) -> tuple[tuple[int, ...], ...]:
        """The words, as numbers of `PAIRS`: first each pair alone, so that all can be said, then by probability."""
        return _sequences(self.bits, self.zeros, self.longest)

    def encoded(self, row_I: Int[np.ndarray, " I"]) -> UInt16[np.ndarray, " words"]:
        """The numbers of the words of one row, each the longest that fits; an odd row is filled up with a 0."""
        steps = _trie(self.bits, self.zeros, self.longest)
        padded = np.append(row_I, 0) if len(row_I) % 2 else row_I
        pairs = (3 * padded[0::2].astype(int) + padded[1::2]).tolist()
        words, node = [], -1
        for pair in pairs:
            longer = steps[node].get(pair)
            if longer is None:
                words.append(node)
                longer = steps[-1][pair]
            node = longer
        return np.array([*words, node] if pairs else [], np.uint16)

    def decoded(self, words: Sequence[int] | np.ndarray, size: int) -> Int[np.ndarray, " I"]:
        """The row of `size` symbols that the words stand for."""
        sequences = self.sequences
        pairs = [PAIRS[pair] for word in words for pair in sequences[int(word)]]
        return np.array(list(itertools.chain.from_iterable(pairs)), int)[:size]

    def bits_for(self, rows_RI: Int[np.ndarray, "R I"]) -> int:
        """Bits of the words of all rows, each row in words of its own."""
        return self.bits * sum(len(self.encoded(row)) for row in np.asarray(rows_RI))

    def bits_a_weight(self, parts: Sequence[Int[np.ndarray, "_ _"]]) -> dict[str, np.ndarray]:
        """What matrices of symbols take a weight, as part of an artifact: "bits" of their words; "stored" with two
        numbers of 16 bits and an offset of 32 for each row; "entropy", the least for independent symbols.
        """
        weights, rows = sum(part.size for part in parts), sum(map(len, parts))
        words = sum(map(self.bits_for, parts))
        whole = entropy(np.concatenate([part.ravel() for part in parts]))
        found = {"bits": words / weights, "stored": (words + 64 * rows) / weights, "entropy": whole}
        return {name: np.array(value) for name, value in found.items()}


@functools.cache
def _sequences(bits: int, zeros: float, longest: int) -> tuple[tuple[int, ...], ...]:
    symbol = (zeros, (1 - zeros) / 2, (1 - zeros) / 2)
    chances = [symbol[a] * symbol[b] for a, b in PAIRS]
    found = [(pair,) for pair in range(9)]
    waiting = [(-chances[pair], (pair,)) for pair in range(9)]
    heapq.heapify(waiting)
    while len(found) < 2**bits and waiting:
        chance, sequence = heapq.heappop(waiting)
        if len(sequence) > 1:
            found.append(sequence)
        if len(sequence) < longest:
            for pair in range(9):
                heapq.heappush(waiting, (chance * chances[pair], (*sequence, pair)))
    return tuple(found)


@functools.cache
def _trie(bits: int, zeros: float, longest: int) -> dict[int, dict[int, int]]:
    """From each word, and from none (-1), the word that is longer by a pair; a word's beginnings are words too."""
    numbers = {sequence: number for number, sequence in enumerate(_sequences(bits, zeros, longest))}
    steps: dict[int, dict[int, int]] = {number: {} for number in (-1, *numbers.values())}
    for sequence, number in numbers.items():
        steps[numbers.get(sequence[:-1], -1)][sequence[-1]] = number
    return steps


def entropy(rows: Int[np.ndarray, "*shape"]) -> float:
    """Bits a symbol of the best code for independent symbols with these shares: -Σ p log2 p.

    >>> entropy(np.array([0, 0, 1, 2]))
    1.5
    """
    from scipy import stats

    return float(stats.entropy(np.bincount(np.ravel(rows)), base=2))
