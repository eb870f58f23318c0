"""BLEU and chrF against their definitions by hand."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.decode import bleu, chrf

sentences = st.lists(st.sampled_from("abc"), min_size=4, max_size=9).map(" ".join)


def test_bleu_by_hand() -> None:
    # Words 5/6, pairs 3/5, triples 2/4, fours 1/3.
    by_hand = 100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25
    assert bleu(["the cat sat on a mat"], ["the cat sat on the mat"]) == pytest.approx(by_hand)
    # All matched, four words of six: the penalty alone.
    assert bleu(["a b c d"], ["a b c d e f"]) == pytest.approx(100 * math.exp(1 - 6 / 4))
    # No four matched: 1 / (2 · 1); triples 1/2.
    smoothed = 100 * (3 / 4 * 2 / 3 * 1 / 2 * 1 / 2) ** 0.25
    assert bleu(["a b c x"], ["a b c y"]) == pytest.approx(smoothed)
    # No triple and no four matched: 1 / (2 · 2) and 1 / (4 · 1).
    assert bleu(["a b x y"], ["a b z w"]) == pytest.approx(100 * (2 / 4 * 1 / 3 * 1 / 4 * 1 / 4) ** 0.25)
    # Words alone, and words and pairs.
    assert bleu(["the cat sat on a mat"], ["the cat sat on the mat"], 1) == pytest.approx(100 * 5 / 6)
    assert bleu(["the cat sat on a mat"], ["the cat sat on the mat"], 2) == pytest.approx(100 * (5 / 6 * 3 / 5) ** 0.5)


def test_counts_are_of_the_corpus_and_not_means_over_lines() -> None:
    said, wanted = ["a b c d", "x x x x x x x x"], ["a b c d", "y y y y y y y y"]
    assert bleu(said, wanted) == pytest.approx(100 * (4 / 12 * 3 / 10 * 2 / 8 * 1 / 6) ** 0.25)


def test_chrf_by_hand() -> None:
    # Said "abc" for "abcd": P = 1, 1, 1; R = 3/4, 2/3, 1/2. Fours are said by none, so three lengths count.
    precision, recall = 1.0, (3 / 4 + 2 / 3 + 1 / 2) / 3
    assert chrf(["a bc"], ["ab cd"]) == pytest.approx(100 * 5 * precision * recall / (4 * precision + recall))


@settings(max_examples=60, deadline=None)
@given(st.lists(sentences, min_size=1, max_size=4), st.lists(sentences, min_size=1, max_size=4))
def test_the_best_is_the_same_text_and_order_of_lines_means_nothing(one: list[str], other: list[str]) -> None:
    pairs = list(zip(one, other, strict=False))
    said, wanted = ([pair[side] for pair in pairs] for side in (0, 1))
    assert bleu(said, said) == pytest.approx(100)
    assert chrf(said, said) == pytest.approx(100)
    for score in (bleu, chrf):
        assert 0 <= score(said, wanted) <= 100 + 1e-9
        assert score(said[::-1], wanted[::-1]) == pytest.approx(score(said, wanted))


def test_refusals() -> None:
    for score in (bleu, chrf):
        with pytest.raises(ValueError, match="1 texts for 2 wanted"):
            score(["a"], ["a", "b"])
        with pytest.raises(ValueError, match="0 texts"):
            score([], [])
