"""CIDEr-D: how much of what is special about the wanted captions a caption has, by weighed n-grams."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from stagejax.decode.overlap import grams, words_of

Grams = Counter[tuple[str, ...]]


def cider(said: Sequence[str], wanted: Sequence[Sequence[str]], sigma: float = 6.0, order: int = 4) -> float:
    """The mean CIDEr-D of captions, from 0 to 10; see `ciders`.

    >>> round(cider(["a red boot", "a blue bag"], [["a red boot"], ["a blue bag"]], order=3), 6)
    10.0
    """
    found = ciders(said, wanted, sigma, order)
    return sum(found) / len(found)


def ciders(said: Sequence[str], wanted: Sequence[Sequence[str]], sigma: float = 6.0, order: int = 4) -> list[float]:
    """CIDEr-D of each caption c with those wanted of its item, s_1 ... s_m, from 0 to 10:

        10 / (order m) Σ_n Σ_j exp(-(l(c) - l(s_j))² / 2 σ²) min(g_n(c), g_n(s_j)) · g_n(s_j) / (|g_n(c)| |g_n(s_j)|)

    g_n: for each n-gram how often it is there, times ln(N / max(1, d)), with N items and d of them in whose wanted
    captions it is; l: words. n-grams of which every item has some are worth nothing; so is all where there is one item.
    Texts are compared without stemming.

    Args:
      wanted: of each item one caption or several.
      sigma: σ, in words.
      order: n = 1 ... order; texts shorter than n words have nothing of that n.

    Raises:
      ValueError: no captions, not as many of the one as of the other, or an item with nothing wanted.

    Reference: Vedantam et al. 2015, https://arxiv.org/abs/1411.5726, equations 1 to 3, and CIDEr-D in appendix A.

    >>> wanted = [["take the boot"], ["take the bag"], ["turn the bag"]]
    >>> [round(score, 3) for score in ciders(["take the boot", "take the boot", "bag bag bag"], wanted, order=1)]
    [10.0, 2.448, 1.154]
    """
    if not said or len(said) != len(wanted) or not all(wanted):
        raise ValueError(f"{len(said)} captions for {len(wanted)} items: give one of each, and wanted ones for all")
    texts = [[_counted(text, order) for text in own] for own in wanted]
    seen: Grams = Counter()
    for own in texts:
        seen.update({gram for counts, _ in own for per in counts for gram in per})
    whole = math.log(len(wanted))

    def weighed(per: Grams) -> dict[tuple[str, ...], float]:
        return {gram: count * (whole - math.log(max(1, seen[gram]))) for gram, count in per.items()}

    scores = []
    for caption, own in zip(said, texts, strict=True):
        counts, length = _counted(caption, order)
        total = 0.0
        for other, other_length in own:
            near = math.exp(-((length - other_length) ** 2) / (2 * sigma**2))
            total += near * sum(_cosine(weighed(a), weighed(b)) for a, b in zip(counts, other, strict=True))
        scores.append(10 * total / (order * len(own)))
    return scores


def _counted(text: str, order: int) -> tuple[list[Grams], int]:
    words = words_of(text)
    return [grams(words, n) for n in range(1, order + 1)], len(words)


def _cosine(own: dict[tuple[str, ...], float], other: dict[tuple[str, ...], float]) -> float:
    """The clipped product over both lengths."""
    product = sum(min(value, other[gram]) * other[gram] for gram, value in own.items() if gram in other)
    lengths = [math.sqrt(sum(value**2 for value in each.values())) for each in (own, other)]
    return product / (lengths[0] * lengths[1]) if product else 0.0
