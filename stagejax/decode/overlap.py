"""How much of a wanted text a text has: ROUGE, by words, by pairs of words, and by the longest common subsequence.

Written out here because no package that computes it is kept up (`rouge-score` is of 2022); the numbers are those of it
without its stemmer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence


def words_of(text: str) -> list[str]:
    """Lower-case runs of letters a-z and digits; all else parts words.

    >>> words_of("Return the (sorted) list_of 2 items.")
    ['return', 'the', 'sorted', 'list', 'of', '2', 'items']
    """
    return re.findall(r"[a-z0-9]+", text.lower())


def rouge_n(said: str, wanted: str, n: int) -> float:
    """ROUGE-N: F1 = 2 p r / (p + r), with p and r the shares of the two texts' n-grams that the other has as well.

    Reference: Lin 2004, ROUGE: a package for automatic evaluation of summaries, section 2 (there r alone).

    >>> rouge_n("the cat sat", "the cat lay down", 1), rouge_n("a", "b", 1)
    (0.5714285714285714, 0.0)
    """
    own, other = (grams(words_of(text), n) for text in (said, wanted))
    return _f1((own & other).total(), own.total(), other.total())


def rouge_l(said: str, wanted: str) -> float:
    """ROUGE-L: the same with the longest common subsequence of words in place of common n-grams.

    Reference: Lin 2004, section 3.1, with β = 1.

    >>> rouge_l("police kill the gunman", "police killed the gunman")
    0.75
    """
    own, other = words_of(said), words_of(wanted)
    return _f1(common_subsequence(own, other), len(own), len(other))


def rouge(said: Sequence[str], wanted: Sequence[str]) -> dict[str, float]:
    """The means of ROUGE-1, ROUGE-2 and ROUGE-L over texts and the one wanted of each.

    Raises:
      ValueError: no texts, or not as many of the one as of the other.

    >>> rouge(["the cat", "dog"], ["the cat", "cat"])
    {'rouge1': 0.5, 'rouge2': 0.5, 'rougeL': 0.5}
    """
    if not said or len(said) != len(wanted):
        raise ValueError(f"{len(said)} texts for {len(wanted)} wanted: give one of each, and at least one")
    pairs = list(zip(said, wanted, strict=True))
    scores = {"rouge1": [rouge_n(*pair, 1) for pair in pairs], "rouge2": [rouge_n(*pair, 2) for pair in pairs]}
    scores["rougeL"] = [rouge_l(*pair) for pair in pairs]
    return {name: sum(values) / len(pairs) for name, values in scores.items()}


def common_subsequence(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest sequence that both have, in order and not necessarily in one piece.

    >>> common_subsequence("a b c d".split(), "b x d a".split())
    2
    """
    row = [0] * (len(other) + 1)
    for word in one:
        before = 0  # of both texts one word shorter
        for at, each in enumerate(other, 1):
            before, row[at] = row[at], before + 1 if word == each else max(row[at], row[at - 1])
    return row[-1]


def grams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    """How often each run of `n` words, or letters, is there.

    >>> grams("abab", 2)
    Counter({('a', 'b'): 2, ('b', 'a'): 1})
    """
    return Counter(zip(*(words[start:] for start in range(n)), strict=False))


def shared_grams(one: Iterable[str], other: Iterable[str], n: int, without: str = "") -> float:
    """|U ∩ V| / |U|, with U and V the different runs of `n` characters in the texts of two corpora; 0 where U is empty.

    Args:
      without: characters that no run may have, such as placeholders.

    >>> shared_grams(["abc"], ["ab", "d"], 1), shared_grams(["ab", "d"], ["abc"], 2)
    (0.6666666666666666, 1.0)
    """
    own, others = (
        {run for text in texts for run in grams(text, n) if not set(run) & set(without)} for texts in (one, other)
    )
    return len(own & others) / len(own) if own else 0.0


def _f1(common: int, own: int, other: int) -> float:
    return 2 * common / (own + other) if common else 0.0
