"""How much of what is said is not said again and again."""

from __future__ import annotations

from collections.abc import Sequence

from stagejax.decode.overlap import grams


def distinct(texts: Sequence[Sequence[str]], n: int) -> float:
    """Distinct-n: different runs of n words over all texts, by the number of all such runs; 0 where there is none.

    Args:
      texts: lists of words, or strings, whose words are then their characters.

    Raises:
      ValueError: n is below 1.

    Reference: Li et al., A diversity-promoting objective function for neural conversation models, NAACL 2016.

    >>> distinct(["abab", "ab"], 2), distinct(["a"], 2)  # ab, ba, ab; ab
    (0.5, 0.0)
    """
    if n < 1:
        raise ValueError(f"n={n}: runs have at least one word")
    found = sum((grams(text, n) for text in texts), start=grams("", n))
    return len(found) / found.total() if found else 0.0
