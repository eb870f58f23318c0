"""Counts of a tagger: how often words have tags and tags follow each other, and the probabilities made of them.

Counts of a text are sums over its tokens, so those of a longer prefix are had by adding.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int32, Int64

_LEAST = 1e-12  # probability of what cannot be


class Counts(NamedTuple):
    """Of tags with words, and of three tags in a row."""

    words_VK: Float64[np.ndarray, "V K"]
    triples_KKK: Float64[np.ndarray, "K K K"]

    @classmethod
    def none(cls, words: int, tags: int) -> Counts:
        return cls(np.zeros((words, tags)), np.zeros((tags, tags, tags)))

    def with_tokens(
        self, words: Int32[np.ndarray, " n"], tags: Int32[np.ndarray, " n"], start: int, stop: int
    ) -> Counts:
        """With the tokens from `start` to `stop` of a stream; triples look back at the two tags before each.

        >>> words, tags = np.array([0, 0, 1, 2], np.int32), np.array([0, 0, 1, 1], np.int32)
        >>> counts = Counts.none(3, 2).with_tokens(words, tags, 2, 4)
        >>> counts.words_VK.tolist(), counts.triples_KKK[0].tolist()
        ([[0.0, 0.0], [0.0, 1.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]])
        """
        own = np.arange(max(start, 2), stop)
        words_VK, triples_KKK = self.words_VK.copy(), self.triples_KKK.copy()
        np.add.at(words_VK, (words[own], tags[own]), 1)
        np.add.at(triples_KKK, (tags[own - 2], tags[own - 1], tags[own]), 1)
        return Counts(words_VK, triples_KKK)


def transitions(triples_KKK: Float64[np.ndarray, "K K K"]) -> Float64[np.ndarray, "K K K"]:
    """P(k | i, j) = w1 P(k) + w2 P(k | j) + w3 P(k | i, j), weighed by deleted interpolation.

    Each triple that was counted gives its count to the order that predicts it best once one of its kind is left out.

    Reference: Brants, TnT: a statistical part-of-speech tagger, ANLP 2000.
    """
    pairs_KK, singles_K = triples_KKK.sum(0), triples_KKK.sum((0, 1))
    contexts_KK, context_K, total = triples_KKK.sum(2), pairs_KK.sum(1), max(singles_K.sum(), 1.0)

    def left_out(counts: np.ndarray, contexts: np.ndarray) -> np.ndarray:
        return np.where(contexts > 1, (counts - 1) / np.maximum(contexts - 1, 1), 0)

    orders = np.stack(
        [
            np.broadcast_to(left_out(singles_K, np.asarray(total)), triples_KKK.shape),
            np.broadcast_to(left_out(pairs_KK, context_K[:, None]), triples_KKK.shape),
            left_out(triples_KKK, contexts_KK[..., None]),
        ]
    )
    best = orders.argmax(0)
    weights = np.array([triples_KKK[best == order].sum() for order in range(3)])
    weights = weights / max(weights.sum(), 1.0)
    return (
        weights[0] * singles_K / total
        + weights[1] * pairs_KK / np.maximum(context_K, 1)[:, None]
        + weights[2] * triples_KKK / np.maximum(contexts_KK, 1)[..., None]
    )


def tags_by_suffix(
    words_VK: Float64[np.ndarray, "V K"], suffixes_VL: Int64[np.ndarray, "V L"], rare: int = 10
) -> Float64[np.ndarray, "V K"]:
    """P(tag | ending) of every word, learned from the words counted at most `rare` times.

    P_n = (shares of the tags under the ending of n letters + theta P_(n-1)) / (1 + theta), where theta is the standard
    deviation of the tags' shares; endings never seen leave P_(n-1) as it is. P_0 is that of capitalised or other words,
    above the shares of all.

    Args:
      suffixes_VL: number of every word's ending of 0, 1, ... letters, unique over lengths.

    Reference: Brants 2000, section 2.3.
    """
    seen = words_VK.sum(-1)
    counted_VK = np.where((seen <= rare)[:, None], words_VK, 0)
    shares_K = words_VK.sum(0) / max(seen.sum(), 1.0)
    theta = max(float(shares_K[1:].std(ddof=1)), 1e-6)
    found_VK = np.broadcast_to(shares_K, words_VK.shape)
    for suffix_V in suffixes_VL.T:
        under = np.zeros((int(suffixes_VL.max()) + 1, words_VK.shape[1]))
        np.add.at(under, suffix_V, counted_VK)
        own_VK = under[suffix_V]
        sizes_V1 = own_VK.sum(-1, keepdims=True)
        mixed_VK = (own_VK / np.maximum(sizes_V1, 1) + theta * found_VK) / (1 + theta)
        found_VK = np.where(sizes_V1 > 0, mixed_VK, found_VK)
    return found_VK


def log_emissions(
    words_VK: Float64[np.ndarray, "V K"], by_suffix_VK: Float64[np.ndarray, "V K"]
) -> Float64[np.ndarray, "V K"]:
    """log P(word | tag), up to a number for each word: by counts, or by Bayes' rule from endings of words never seen.

    Word 0, the border, has tag 0, and no other word has.
    """
    tags_K = words_VK.sum(0)
    shares_K = tags_K / max(tags_K.sum(), 1.0)
    known = words_VK / np.maximum(tags_K, 1)
    unknown = np.where(shares_K > 0, by_suffix_VK / np.maximum(shares_K, _LEAST), 0)
    found = np.where(words_VK.sum(-1, keepdims=True) > 0, known, unknown)
    found[:, 0], found[0] = 0, 0
    found[0, 0] = 1
    return np.log(np.maximum(found, _LEAST))
