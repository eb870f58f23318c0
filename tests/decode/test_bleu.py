"""BLEU and chrF against their definitions by hand, and against numbers of SacreBLEU."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.decode import bleu, chrf, tokens_13a

#: said, wanted, BLEU and chrF2 by sacrebleu 2.6.0 with its defaults.
REFERENCE = (
    (
        ["Ein Mann in einem roten Hemd.", "Zwei Hunde spielen im Schnee."],
        ["Ein Mann mit rotem Hemd.", "Zwei Hunde laufen durch den Schnee."],
        14.515963,
        45.787199,
    ),
    (
        ['A man, 25, runs 3.5 miles; he\'s "fast"!'],
        ["A man (25) runs 3.5 miles: he is fast!"],
        14.949752,
        49.576136,
    ),
    (["the the the the the the the"], ["The cat is on the mat"], 6.567275, 11.099108),
    (["a b"], ["a b c d"], 0.0, 47.169811),
    (["x y z w"], ["a b c d"], 0.0, 0.0),
    (
        ["Le chien \u2013 très grand \u2013 court à 10-12 km/h & saute."],
        ["Le chien, très grand, court à 10-12 km/h &amp; saute."],
        69.016702,
        68.211304,
    ),
    (
        ["short one here now", "and a longer sentence than it was wanted here"],
        ["short one there now", "and a shorter sentence"],
        11.359355,
        59.053389,
    ),
    ([""], ["a b c d"], 0.0, 0.0),
)

sentences = st.lists(st.sampled_from("abc"), min_size=4, max_size=9).map(" ".join)


@pytest.mark.parametrize("row", REFERENCE, ids=lambda row: row[0][0][:12])
def test_the_numbers_are_those_of_the_reference(row) -> None:
    said, wanted, *expected = row
    assert [bleu(said, wanted), chrf(said, wanted)] == pytest.approx(expected, abs=1e-6)


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


def test_tokens_and_refusals() -> None:
    assert " ".join(tokens_13a('Der Hund (3,5 kg) sagt: "Wuff!"')) == 'Der Hund ( 3,5 kg ) sagt : " Wuff ! "'
    assert tokens_13a("10-12 km/h, x-y") == ["10", "-", "12", "km", "/", "h", ",", "x-y"]
    assert tokens_13a("a &amp; b") == ["a", "&", "b"]
    for score in (bleu, chrf):
        with pytest.raises(ValueError, match="1 texts for 2 wanted"):
            score(["a"], ["a", "b"])
        with pytest.raises(ValueError, match="0 texts"):
            score([], [])
