"""ROUGE against its definition, and against numbers of the package `rouge-score`."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from stagejax.decode import rouge, rouge_l, rouge_n
from stagejax.decode.overlap import common_subsequence, shared_grams, words_of

#: said, wanted, and ROUGE-1, ROUGE-2, ROUGE-L by rouge-score 0.1.2 without a stemmer.
REFERENCE = (
    ("Return the sorted list of items.", "Return a sorted list of the items in x.", 0.80000000, 0.30769231, 0.66666667),
    ("police kill the gunman", "the gunman kill police", 1.00000000, 0.33333333, 0.50000000),
    ("the the the cat", "the cat the", 0.85714286, 0.40000000, 0.57142857),
    ("Create a new_file", "remove it", 0.00000000, 0.00000000, 0.00000000),
    ("Write Café to 2 files", "write caf to 2 other files", 0.90909091, 0.66666667, 0.90909091),
)

words = st.lists(st.sampled_from("abcd"), max_size=7)


@pytest.mark.parametrize("row", REFERENCE, ids=lambda row: row[0][:12])
def test_the_numbers_are_those_of_the_reference(row) -> None:
    said, wanted, *expected = row
    assert list(rouge([said], [wanted]).values()) == pytest.approx(expected, abs=1e-6)


@settings(max_examples=100, deadline=None)
@given(words, words)
def test_the_common_subsequence_is_the_longest_of_all(one: list[str], other: list[str]) -> None:
    def subsequences(x: list[str]) -> set[tuple[str, ...]]:
        return {tuple(w for at, w in enumerate(x) if chosen >> at & 1) for chosen in range(2 ** len(x))}

    assert common_subsequence(one, other) == max(map(len, subsequences(one) & subsequences(other)))


@settings(max_examples=100, deadline=None)
@given(words, words, st.integers(1, 3))
def test_f1_by_the_definition(one: list[str], other: list[str], n: int) -> None:
    grams = [[tuple(x[at : at + n]) for at in range(len(x) - n + 1)] for x in (one, other)]
    common = sum(min(grams[0].count(gram), grams[1].count(gram)) for gram in set(grams[0]))
    p, r = (common / len(own) if own else 0.0 for own in grams)
    expected = 2 * p * r / (p + r) if common else 0.0
    assert rouge_n(" ".join(one), " ".join(other), n) == pytest.approx(expected)
    assert rouge_n(" ".join(other), " ".join(one), n) == pytest.approx(expected)
    assert rouge_l(" ".join(one), " ".join(one)) == (1.0 if one else 0.0)


def test_words_and_refusals() -> None:
    assert words_of("Café, über_x-2") == ["caf", "ber", "x", "2"]
    with pytest.raises(ValueError, match="1 texts for 2 wanted"):
        rouge(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="0 texts"):
        rouge([], [])


def test_shared_grams_are_of_different_runs_and_leave_out_what_is_no_text() -> None:
    assert shared_grams(["abab", "b"], ["ab"], 2) == 0.5  # ab, ba
    assert shared_grams(["ab"], ["abab", "b"], 2) == 1.0
    assert shared_grams(["a□b", "ab"], ["a□", "ab"], 1) == 1.0
    assert shared_grams(["a□b"], ["a□b"], 2, without="□") == 0.0  # none is left
    assert shared_grams(["xa□b"], ["xa"], 2, without="□") == 1.0
