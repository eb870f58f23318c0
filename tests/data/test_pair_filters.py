"""Filters of self-written pairs: forms, lengths, votes with their ties, labels, and classes of one size."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from stagejax.data.prompts.pair_filters import balanced, clean, known_label, most_frequent, of_usual_length


def test_a_text_with_a_marker_is_not_clean() -> None:
    assert clean("a b", ("=", "turn"))
    assert not clean("a turn b", ("=", "turn"))
    assert clean("turned", ("turn",))  # words, not parts of them
    assert not clean("  ", ())


def test_lengths_are_within_two_deviations() -> None:
    like = ["aa", "aaaa"]  # 3 and 1
    assert [of_usual_length("a" * n, like) for n in range(7)] == [False, True, True, True, True, True, False]
    assert [of_usual_length("a" * n, ["bb", "cc"]) for n in (1, 2, 3)] == [False, True, False]
    with pytest.raises(ValueError, match="give at least one"):
        of_usual_length("a", [])


def test_the_most_frequent_wins_and_of_equals_the_shortest() -> None:
    assert most_frequent(["long one", "b", "b", "long one", "c"]) == ("b", 0.4)
    assert most_frequent(["long one", "b", "long one"]) == ("long one", 2 / 3)
    assert most_frequent(["", "", "", "a"]) == ("a", 0.25)  # dropped outputs count for the whole
    assert most_frequent([]) == ("", 0.0)


def test_the_first_known_label_of_a_text_is_taken() -> None:
    assert known_label("so blue , red", ("red", "blue")) == "blue"
    assert known_label("blues", ("blue",)) is None


def test_classes_are_cut_to_the_rarest() -> None:
    pairs = [(str(i), "abc"[(i > 3) + (i > 8)]) for i in range(12)]  # 4, 5 and 3
    kept = balanced(pairs, np.random.default_rng(0))
    assert Counter(label for _, label in kept) == {"a": 3, "b": 3, "c": 3}
    assert [pair for pair in pairs if pair in kept] == kept  # in their order
    assert balanced(pairs, np.random.default_rng(1)) != kept
    assert balanced([], np.random.default_rng(0)) == []
