"""METEOR by equal words against numbers worked out by hand."""

import pytest

from stagejax.decode.meteor import common_runs, meteor


def test_the_same_text_has_one_chunk() -> None:
    for text in ("boot", "take the red boot"):
        m = len(text.split())
        assert meteor(text, text) == pytest.approx(1 - 0.5 / m**3)


def test_precision_and_recall_by_hand() -> None:
    # 2 of 3 words said, 2 of 4 wanted, in two chunks.
    precision, recall = 2 / 3, 2 / 4
    f = 10 * precision * recall / (recall + 9 * precision)
    assert meteor("a x b", "a y z b") == pytest.approx(f * (1 - 0.5 * (2 / 2) ** 3))
    assert meteor("", "a") == meteor("a", "") == meteor("a", "b") == 0


def test_recall_weighs_nine_times_as_much() -> None:
    assert meteor("a b c x y z", "a b c") > meteor("a b c", "a b c x y z")


def test_words_are_paired_once_and_longest_runs_first() -> None:
    assert common_runs(["the", "boot", "the", "bag"], ["the", "bag"]) == [(2, 0, 2)]
    assert common_runs(["a", "a", "a"], ["a"]) == [(0, 0, 1)]
    found = common_runs(["p", "q", "a", "b", "c"], ["a", "b", "c", "p", "q"])
    assert found == [(2, 0, 3), (0, 3, 2)]
