"""Randomness and order by arithmetic: the k-th word, the k-th sample, without the k - 1 before it.

A batch must be a pure function of its number, on any number of processes and with any version of NumPy. So nothing here
keeps a generator's state: random words are SplitMix64 of a counter, and shuffling is a keyed permutation of the
indices (a Feistel network with cycle walking) that needs no table, whatever the size.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64, UInt64

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_ROUNDS = 4


def _mix(words: UInt64[np.ndarray, " ..."]) -> UInt64[np.ndarray, " ..."]:
    """The finalizer of SplitMix64: a bijection of 64-bit words in which every bit depends on every bit."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def random_words(seed: int, numbers: Int64[np.ndarray, " n"], count: int) -> UInt64[np.ndarray, "n count"]:
    """`count` random 64-bit words for each sample number: word[n, j] = mix(mix(mix(seed) ^ n) + gamma (j + 1)).

    Args:
      seed: any integer; its lowest 64 bits count.
      numbers: sample numbers; the words of a number do not depend on the other numbers asked for.
      count: words for each.

    Reference: Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.

    >>> words = random_words(0, np.arange(3), 2)
    >>> words.shape, bool((random_words(0, np.array([2]), 2) == words[2]).all())
    ((3, 2), True)
    """
    key = _mix(np.array([seed & 0xFFFFFFFFFFFFFFFF], np.uint64) + _GAMMA)
    start_N1 = _mix(key ^ numbers.astype(np.uint64))[:, None]
    return _mix(start_N1 + _GAMMA * np.arange(1, count + 1, dtype=np.uint64))


def uniforms(words: UInt64[np.ndarray, " ..."]) -> Float64[np.ndarray, " ..."]:
    """Random words as numbers in [0, 1): the highest 53 bits of each.

    >>> uniforms(np.array([0, 1 << 63, (1 << 64) - 1], np.uint64)).tolist()
    [0.0, 0.5, 0.9999999999999999]
    """
    return (words >> np.uint64(11)).astype(np.float64) / 2.0**53


def shuffled(seed: int, numbers: Int64[np.ndarray, " n"], size: int) -> Int64[np.ndarray, " n"]:
    """Which of `size` items the given places of an endless, reshuffled stream hold.

    Place n belongs to epoch n // size; within an epoch every item comes exactly once, in an order drawn from
    (seed, epoch). Time and memory do not depend on `size`.

    Args:
      seed: any integer.
      numbers: places in the stream, from 0.
      size: number of items, at least 1.

    >>> shuffled(0, np.arange(6), 3).tolist()
    [1, 0, 2, 1, 2, 0]
    """
    epochs, items = np.divmod(numbers, size)
    bits = (size - 1).bit_length()
    if bits == 0:
        return items
    keys_NR = random_words(~seed, epochs, 2 * _ROUNDS)
    low_bits = np.uint64(bits - bits // 2)
    low_mask = np.uint64((1 << (bits - bits // 2)) - 1)
    high_mask = np.uint64((1 << (bits // 2)) - 1)

    def permute(items: np.ndarray, keys_NR: np.ndarray) -> np.ndarray:
        high, low = items >> low_bits, items & low_mask
        for turn in range(0, 2 * _ROUNDS, 2):
            high = high ^ (_mix(low + keys_NR[:, turn]) & high_mask)
            low = low ^ (_mix(high + keys_NR[:, turn + 1]) & low_mask)
        return (high << low_bits) | low

    items = permute(items.astype(np.uint64), keys_NR)
    while len(outside := np.flatnonzero(items >= np.uint64(size))):  # walk the cycle until it is back inside
        items[outside] = permute(items[outside], keys_NR[outside])
    return items.astype(np.int64)
