"""Sequences as bags of their k-mers: pieces, which of them are known, and a judge of families that is no network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def kmers(sequence: str, k: int) -> list[str]:
    """All pieces of `k` letters, from left to right.

    >>> kmers("MKVL", 3), kmers("MK", 3)
    (['MKV', 'KVL'], [])
    """
    return [sequence[i : i + k] for i in range(len(sequence) - k + 1)]


def copied(sequences: Iterable[str], known: Iterable[str], k: int = 10) -> float:
    """The share of the sequences' k-mers that a known sequence has; 0 where there are none.

    >>> copied(["MKVLA", "M"], ["AMKV"], k=3)
    0.3333333333333333
    """
    there = {piece for sequence in known for piece in kmers(sequence, k)}
    found = [piece in there for sequence in sequences for piece in kmers(sequence, k)]
    return sum(found) / max(1, len(found))


def kmer_judge(sequences: Sequence[str], families: Sequence[str], k: int = 3) -> Any:
    """A logistic regression on counts of k-mers, every family weighed alike; a scikit-learn classifier of sequences.

    What it says of generated sequences does not depend on the model that generated them.

    >>> judge = kmer_judge(["MKVMKV", "MKVKV", "GGAGGA", "GGAA"], ["a", "a", "b", "b"])
    >>> judge.predict(["MKVA", "AGGA"]).tolist()
    ['a', 'b']
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    counted = CountVectorizer(analyzer="char", ngram_range=(k, k), lowercase=False)
    return make_pipeline(counted, LogisticRegression(max_iter=2000, class_weight="balanced")).fit(sequences, families)
