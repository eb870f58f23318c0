"""What is kept of inputs and outputs that a model wrote itself: rules that look at form and agreement, at no label.

Reference: Zhao et al. 2024 (SELF-GUIDE), https://arxiv.org/abs/2407.12874, and its published code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np


def clean(text: str, marks: Iterable[str]) -> bool:
    """Whether a text says something and holds none of the words of a list, such as markers of its prompt.

    >>> clean("a b c", ("=",)), clean("a = b", ("=",)), clean(" ", ())
    (True, False, False)
    """
    words = text.split()
    return bool(words) and not set(words) & set(marks)


def of_usual_length(text: str, like: Sequence[str], deviations: float = 2.0) -> bool:
    """Whether a text has as many characters as others, but for some standard deviations: |n - mean| <= d sd.

    Args:
      like: the others, such as demonstrations; where all have one length, no other one will do.

    Raises:
      ValueError: there are none.

    >>> of_usual_length("abcd", ["abc", "abcde"]), of_usual_length("abcdefgh", ["abc", "abcde"])
    (True, False)
    """
    if not like:
        raise ValueError("no texts to compare the length with: give at least one")
    sizes = [len(own) for own in like]
    return bool(abs(len(text) - np.mean(sizes)) <= deviations * np.std(sizes) + 1e-9)


def most_frequent(said: Sequence[str]) -> tuple[str, float]:
    """The output that was drawn most often for one input, of equals the shortest, and its share of all: 0 of none.

    Empty ones count for the whole, and never win.

    >>> most_frequent(["a b", "b", "a b", ""]), most_frequent(["a b", "b"]), most_frequent([""])
    (('a b', 0.5), ('b', 0.5), ('', 0.0))
    """
    counts = {text: said.count(text) for text in dict.fromkeys(said) if text}
    if not counts:
        return "", 0.0
    best = min(counts, key=lambda text: (-counts[text], len(text)))
    return best, counts[best] / len(said)


def known_label(text: str, labels: Iterable[str]) -> str | None:
    """The label that comes first in a text; None without one.

    >>> known_label("it is red , not blue", ("blue", "red")), known_label("a", ("blue",))
    ('red', None)
    """
    places = {label: text.split().index(label) for label in labels if label in text.split()}
    return min(places, key=lambda label: places[label], default=None)


def balanced(pairs: Sequence[tuple[str, str]], draws: np.random.Generator) -> list[tuple[str, str]]:
    """Pairs with as many of each output as of the rarest: the others are drawn, in their order.

    >>> balanced([("1", "a"), ("2", "b"), ("3", "a")], np.random.default_rng(0))
    [('1', 'a'), ('2', 'b')]
    """
    places: dict[str, list[int]] = {}
    for place, (_, output) in enumerate(pairs):
        places.setdefault(output, []).append(place)
    least = min(map(len, places.values()), default=0)
    kept = [place for own in places.values() for place in draws.permutation(own)[:least].tolist()]
    return [pairs[place] for place in sorted(kept)]
