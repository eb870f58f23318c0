"""What was said about a whole talk, cut so that each of its sentences gets its own part."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from stagejax.decode.edits import edit_table


def realigned(said: Sequence[str], wanted: Sequence[Sequence[str]]) -> list[list[str]]:
    """The words said, one part for each wanted sentence: the parts whose edit distances add up to the least.

    Where several cuts are as good, a word that agrees with none stays with the earlier sentence.

    Reference: Matusov et al. 2005 (mwerSegmenter), Evaluating machine translation output with automatic sentence
    segmentation, IWSLT.

    >>> realigned("a x c d".split(), ["a b".split(), "c d".split()])
    [['a', 'x'], ['c', 'd']]
    >>> realigned([], [["a"], ["b"]])
    [[], []]
    """
    flat = [word for sentence in wanted for word in sentence]
    costs = edit_table(said, flat)
    at, bounds = len(said), [len(said)]
    ends = np.cumsum([len(sentence) for sentence in wanted])[:-1].tolist()
    j = len(flat)
    for end in reversed(ends):
        while j > end:
            if (at and said[at - 1] == flat[j - 1] and costs[at, j] == costs[at - 1, j - 1]) or (
                at and costs[at, j] == costs[at - 1, j - 1] + 1
            ):
                at, j = at - 1, j - 1
            elif costs[at, j] == costs[at, j - 1] + 1:
                j -= 1
            else:
                at -= 1
        bounds.append(at)
    bounds = [0, *reversed(bounds)]
    return [list(said[a:b]) for a, b in itertools.pairwise(bounds)]
