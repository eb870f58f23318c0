"""Edit distance: how many words were inserted, left out or mistaken."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def edit_distance(said: Sequence[str], wanted: Sequence[str]) -> int:
    """The least number of insertions, deletions and substitutions from one sequence to the other.

    Reference: Levenshtein 1966; Wagner and Fischer 1974.

    >>> edit_distance("one two two".split(), "one three two".split()), edit_distance([], ["one"])
    (1, 1)
    """
    return int(edit_table(said, wanted)[-1, -1])


def edit_table(said: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    """Edit distances between all beginnings, (len(said) + 1, len(wanted) + 1).

    >>> edit_table(["a"], ["b", "a"]).tolist()
    [[0, 1, 2], [1, 1, 1]]
    """
    every, other = np.arange(len(wanted) + 1), np.array(wanted, object)
    table = np.zeros((len(said) + 1, len(wanted) + 1), np.int64)
    table[0] = every
    for i, word in enumerate(said, 1):
        row = table[i - 1] + 1
        row[1:] = np.minimum(row[1:], table[i - 1, :-1] + (other != word))
        table[i] = np.minimum.accumulate(row - every) + every
    return table


def word_accuracy(said: str, wanted: str) -> float:
    """1 - edits / words wanted, at least 0: 1 - the word error rate, of one answer.

    >>> word_accuracy("one two two", "one three two four"), word_accuracy("one one one", "two")
    (0.5, 0.0)
    """
    return max(0.0, 1 - edit_distance(said.split(), wanted.split()) / max(1, len(wanted.split())))


def same(said: Sequence[str], wanted: Sequence[str]) -> float:
    """The share of answers that are the very ones.

    >>> same(["one two", "one"], ["one three", "one"])
    0.5
    """
    return sum(one == other for one, other in zip(said, wanted, strict=True)) / len(said)


def word_accuracies(said: Sequence[str], wanted: Sequence[str]) -> list[float]:
    """Of each answer.

    >>> word_accuracies(["one two", "one"], ["one three", "one"])
    [0.5, 1.0]
    """
    return [word_accuracy(*pair) for pair in zip(said, wanted, strict=True)]
