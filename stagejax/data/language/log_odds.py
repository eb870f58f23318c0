"""Which words a corpus has far more often than another, and what in texts without spaces may be a word at all."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping


def log_odds(
    own: Mapping[str, int], other: Mapping[str, int], words: Iterable[str], prior: float = 500.0
) -> dict[str, float]:
    """How far the log-odds of words differ between two corpora, in standard deviations:

        δ(w) = log (y + α) / (n + a - y - α) - the same of the other corpus        α = a · share of w in both together
        z(w) = δ(w) / √(1 / (y + α) + 1 / (y' + α))                                a = `prior`

    y and y' are the counts of w, n the count of all words of a corpus. The prior draws rare words, whose odds are
    noise, to what both have together.

    Args:
      own, other: how often each corpus has each word.
      words: whose z to tell; each is in one of the corpora.
      prior: how many words the prior weighs.

    Raises:
      ValueError: a corpus is empty, the prior is not positive, or a word is in neither.

    Reference: Monroe, Colaresi and Quinn, Fightin' words, Political Analysis 16, 2008, section 3.3.

    >>> z = log_odds({"film": 30, "the": 70}, {"park": 30, "the": 70}, ("film", "park", "the"), prior=10.0)
    >>> z["film"] > 3, z["park"] < -3, abs(z["the"]) < 1e-9
    (True, True, True)
    """
    n, n_other, found = sum(own.values()), sum(other.values()), {}
    if not min(n, n_other) or not prior > 0:
        raise ValueError(f"corpora of {n} and {n_other} words, prior={prior}: neither is empty, and prior > 0")
    for word in words:
        y, y_other = own.get(word, 0), other.get(word, 0)
        if not y + y_other:
            raise ValueError(f"{word!r} is in neither corpus")
        alpha = prior * (y + y_other) / (n + n_other)
        odds = (y + alpha) / (n + prior - y - alpha)
        odds_other = (y_other + alpha) / (n_other + prior - y_other - alpha)
        error = math.sqrt(1 / (y + alpha) + 1 / (y_other + alpha))
        found[word] = (math.log(odds) - math.log(odds_other)) / error
    return found


def letter_strings(text: str, longest: int, shortest: int = 2) -> Iterable[tuple[int, int]]:
    """Begin and end of all strings of `shortest` to `longest` letters in a text.

    >>> list(letter_strings("好吗，电影1", longest=2))
    [(0, 2), (3, 5)]
    """
    for start in range(len(text)):
        for end in range(start + 1, min(start + longest, len(text)) + 1):
            if not text[end - 1].isalpha():
                break
            if end - start >= shortest:
                yield start, end


def words_by_variety(texts: Iterable[str], longest: int, variety: int) -> Counter[str]:
    """Strings of two to `longest` letters that may be words of texts without spaces, with their counts.

    A string that is part of a word nearly always has the same neighbour; a word has many. The accessor variety of a
    string is the lesser of how many different letters stand before it and behind it; the ends of a text, and all that
    is no letter, are a different one each time.

    Args:
      texts: of any script.
      longest: letters of a word at most.
      variety: of a word at least.

    Reference: Feng et al., Accessor variety criteria for Chinese word extraction, Computational Linguistics 30, 2004.

    >>> words_by_variety(["看电影吗", "好电影，", "电影很好"], longest=3, variety=3)
    Counter({'电影': 3})
    """
    counts: Counter[str] = Counter()
    before: dict[str, set[object]] = defaultdict(set)
    behind: dict[str, set[object]] = defaultdict(set)
    for number, text in enumerate(texts):
        for start, end in letter_strings(text, longest):
            own = text[start:end]
            counts[own] += 1
            before[own].add(text[start - 1] if start and text[start - 1].isalpha() else (number, start))
            behind[own].add(text[end] if end < len(text) and text[end].isalpha() else (number, end))
    kept = (own for own in counts if min(len(before[own]), len(behind[own])) >= variety)
    return Counter({own: counts[own] for own in kept})
