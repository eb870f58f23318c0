"""METEOR by equal words alone: without stems, synonyms and paraphrases, for languages whose words are known."""

from __future__ import annotations

from collections.abc import Sequence

from stagejax.decode.overlap import words_of


def meteor(said: str, wanted: str) -> float:
    """10 P R / (R + 9 P) · (1 - ½ (chunks / m)³), from 0 to 1:

    m words of both texts are paired one to one, as many as can be; P and R are m over the words said and wanted; chunks
    are runs of paired words that follow each other in both texts. The longest runs are paired first, which may leave
    more chunks than there could be.

    Reference: Banerjee and Lavie, METEOR, ACL workshop 2005, section 2.2 (its module of exact matches).

    >>> meteor("take the boot", "take the boot"), meteor("boot", "bag")
    (0.9814814814814815, 0.0)
    """
    own, other = words_of(said), words_of(wanted)
    runs = common_runs(own, other)
    m = sum(size for _, _, size in runs)
    if not m:
        return 0.0
    precision, recall = m / len(own), m / len(other)
    return 10 * precision * recall / (recall + 9 * precision) * (1 - 0.5 * (len(runs) / m) ** 3)


def common_runs(own: Sequence[str], other: Sequence[str]) -> list[tuple[int, int, int]]:
    """Runs of words of both, longest first, no word in two: (where it begins in each, how long it is).

    >>> common_runs("a b c d".split(), "c d a b".split())
    [(0, 2, 2), (2, 0, 2)]
    """
    free = [True] * len(own), [True] * len(other)
    found: list[tuple[int, int, int]] = []
    while best := _longest(own, other, *free):
        size, at, there = best
        for k in range(size):
            free[0][at + k] = free[1][there + k] = False
        found.append((at, there, size))
    return found


def _longest(
    own: Sequence[str], other: Sequence[str], free: Sequence[bool], there_free: Sequence[bool]
) -> tuple[int, int, int] | None:
    """Size and beginnings of the longest run of free words, the first of several."""
    best: tuple[int, int, int] | None = None
    ends = [0] * (len(other) + 1)  # of the runs that end at the word before
    for at, word in enumerate(own):
        row = [0] * (len(other) + 1)
        for there, each in enumerate(other):
            if word == each and free[at] and there_free[there]:
                row[there + 1] = size = ends[there] + 1
                if best is None or size > best[0]:
                    best = size, at - size + 1, there - size + 1
        ends = row
    return best
