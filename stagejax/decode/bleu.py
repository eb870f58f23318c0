"""How near translations are to wanted ones, over a whole corpus: BLEU by words, chrF by characters.

Written out here because `sacrebleu` brings a table printer, an XML parser and a file lock with it; the numbers are
those of its defaults, BLEU with `tok:13a|smooth:exp` and chrF2.
"""

from __future__ import annotations

import html
import math
import re
from collections import Counter
from collections.abc import Sequence

from stagejax.decode.overlap import grams

ORDER = 4  # of BLEU: the longest runs of words
CHARACTERS = 6  # of chrF: the longest runs of characters
BETA = 2.0  # of chrF: how many times as much as precision recall counts

#: Symbols, points and commas beside no digit, and hyphens behind digits are tokens of their own.
_APART = (
    (re.compile(r"([{-~\[-` -&(-+:-@/])"), r" \1 "),
    (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),
    (re.compile(r"([.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)


def tokens_13a(text: str) -> list[str]:
    """The words and symbols of a text, as the evaluation script of NIST (mteval-v13a) parts them. Case stays.

    >>> tokens_13a("A 1,5-mile run, he said.")
    ['A', '1,5', '-', 'mile', 'run', ',', 'he', 'said', '.']
    """
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    text = f" {html.unescape(text) if '&' in text else text} "
    for pattern, apart in _APART:
        text = pattern.sub(apart, text)
    return text.split()


def bleu(said: Sequence[str], wanted: Sequence[str]) -> float:
    """BLEU of a corpus with one wanted text each, from 0 to 100:

        100 · min(1, exp(1 - r / c)) · (p_1 p_2 p_3 p_4)^(1/4)

    p_n: the share of the n-grams said that the wanted text of the same line has as well, none more often than it is
    there, counted over all lines. c and r: words said and wanted. Where no n-gram of a length is matched, p_n is
    1 / (2^k N) with N the n-grams said and k = 1, 2, ... for the first, second, ... such length. 0 where no word is
    matched, or nothing said has four words.

    Raises:
      ValueError: no texts, or not as many of the one as of the other.

    Reference: Papineni et al., BLEU, ACL 2002; the smoothing: Chen and Cherry, WMT 2014, section 3.3; its standard
    form: Post, A call for clarity in reporting BLEU scores, WMT 2018.

    >>> bleu(["the cat sat on the mat"], ["the cat sat on the mat"])
    100.0
    >>> round(bleu(["the cat sat on a mat"], ["the cat sat on the mat"]), 2)  # (5/6 · 3/5 · 2/4 · 1/3)^(1/4)
    53.73
    """
    _paired(said, wanted)
    own, other = ([tokens_13a(text) for text in texts] for texts in (said, wanted))
    c, r = (sum(map(len, texts)) for texts in (own, other))
    logs, unmatched = 0.0, 0
    for n in range(1, ORDER + 1):
        common, all_said, _ = _matches(own, other, n)
        if not all_said or (n == 1 and not common):
            return 0.0
        unmatched += not common
        logs += math.log((common or 0.5**unmatched) / all_said)
    return 100 * min(1.0, math.exp(1 - r / c)) * math.exp(logs / ORDER)


def chrf(said: Sequence[str], wanted: Sequence[str]) -> float:
    """chrF2 of a corpus with one wanted text each, from 0 to 100:

        100 · (1 + β²) P R / (β² P + R)        β = 2

    P and R: the shares of the runs of n characters, spaces left out, said and wanted, that the other text of the line
    has as well, counted over all lines; means over n = 1, ..., 6, as far as both have such runs.

    Raises:
      ValueError: no texts, or not as many of the one as of the other.

    Reference: Popović, chrF: character n-gram F-score for automatic MT evaluation, WMT 2015.

    >>> chrf(["ein Hund"], ["ein Hund"]), chrf(["abc"], ["xyz"])
    (100.0, 0.0)
    """
    _paired(said, wanted)
    own, other = (["".join(text.split()) for text in texts] for texts in (said, wanted))
    counts = [_matches(own, other, n) for n in range(1, CHARACTERS + 1)]
    shares = [(common / a, common / b) for common, a, b in counts if a and b]
    precision, recall = (sum(side) / len(shares) for side in zip(*shares, strict=True)) if shares else (0.0, 0.0)
    if precision + recall == 0:
        return 0.0
    return 100 * (1 + BETA**2) * precision * recall / (BETA**2 * precision + recall)


def _matches(own: Sequence[Sequence[str]], other: Sequence[Sequence[str]], n: int) -> tuple[int, int, int]:
    """Over all lines: n-grams of both, of the one, and of the other."""
    pairs = [(grams(a, n), grams(b, n)) for a, b in zip(own, other, strict=True)]
    common: list[Counter[tuple[str, ...]]] = [a & b for a, b in pairs]
    return sum(c.total() for c in common), sum(a.total() for a, _ in pairs), sum(b.total() for _, b in pairs)


def _paired(said: Sequence[str], wanted: Sequence[str]) -> None:
    if not said or len(said) != len(wanted):
        raise ValueError(f"{len(said)} texts for {len(wanted)} wanted: give one of each, and at least one")
