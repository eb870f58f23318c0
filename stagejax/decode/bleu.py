"""How near translations are to wanted ones, over a whole corpus: BLEU by words, chrF by characters.

Both are SacreBLEU's, with one wanted text a line.
"""

from __future__ import annotations

from collections.abc import Sequence

from sacrebleu import corpus_chrf
from sacrebleu.metrics import BLEU


def bleu(said: Sequence[str], wanted: Sequence[str], order: int = 4) -> float:
    """BLEU of a corpus, `nrefs:1|case:mixed|tok:13a|smooth:exp`, from 0 to 100:

        100 · min(1, exp(1 - r / c)) · (p_1 p_2 ... p_order)^(1/order)        order = 4 unless said otherwise

    p_n: the share of the n-grams said that the wanted text of the same line has as well, none more often than it is
    there, counted over all lines. c and r: words said and wanted. Where no n-gram of a length is matched, p_n is
    1 / (2^k N) with N the n-grams said and k = 1, 2, ... for the first, second, ... such length. 0 where no word is
    matched, or nothing said has `order` words.

    Raises:
      ValueError: no texts, or not as many of the one as of the other.

    Reference: Papineni et al., BLEU, ACL 2002; the smoothing: Chen and Cherry, WMT 2014, section 3.3; its standard
    form: Post, A call for clarity in reporting BLEU scores, WMT 2018.

    >>> round(bleu(["the cat sat on a mat"], ["the cat sat on the mat"]), 2)  # (5/6 · 3/5 · 2/4 · 1/3)^(1/4)
    53.73
    """
    _paired(said, wanted)
    judge = BLEU(max_ngram_order=order, force=True)  # force: no word on texts that look tokenized
    return float(judge.corpus_score(said, [wanted]).score)


def chrf(said: Sequence[str], wanted: Sequence[str]) -> float:
    """chrF2 of a corpus, `nrefs:1|case:mixed|nc:6|nw:0|space:no`, from 0 to 100:

        100 · (1 + β²) P R / (β² P + R)        β = 2

    P and R: the shares of the runs of n characters, spaces left out, said and wanted, that the other text of the line
    has as well, counted over all lines; means over n = 1, ..., 6, as far as both have such runs.

    Raises:
      ValueError: no texts, or not as many of the one as of the other.

    Reference: Popović, chrF: character n-gram F-score for automatic MT evaluation, WMT 2015.

    >>> round(chrf(["ein Hund"], ["ein Hund"])), round(chrf(["abc"], ["xyz"]))
    (100, 0)
    """
    _paired(said, wanted)
    return float(corpus_chrf(said, [wanted]).score)


def _paired(said: Sequence[str], wanted: Sequence[str]) -> None:
    if not said or len(said) != len(wanted):
        raise ValueError(f"{len(said)} texts for {len(wanted)} wanted: give one of each, and at least one")
