"""CIDEr-D against numbers worked out by hand."""

import math

import pytest

from stagejax.decode.cider import cider, ciders


def test_the_own_caption_has_ten_and_one_without_common_words_none() -> None:
    texts = ["take the red boot now", "turn a blue bag over", "box some green seven here"]
    assert ciders(texts, [[text] for text in texts]) == pytest.approx([10.0] * 3)
    assert ciders(texts, [[text] for text in texts[1:] + texts[:1]]) == pytest.approx([0.0] * 3)


def test_one_common_word_of_two_by_hand() -> None:
    # Of N = 2 items one has "a", "b" or "c": all weigh ln 2. (a b) with (a c): 1/2 of n = 1, 0 of n = 2.
    found = ciders(["a b"], [["a c"]], order=1)
    assert found == [0.0]  # a single item: every word is in all items
    found = ciders(["a b", "d"], [["a c"], ["d"]], order=2)
    assert found[0] == pytest.approx(10 / 2 * 0.5)


def test_words_of_all_items_are_worth_nothing() -> None:
    assert ciders(["the", "the"], [["the boot"], ["the bag"]], order=1) == [0.0, 0.0]


def test_repeated_words_are_clipped() -> None:
    wanted = [["boot"], ["bag"]]
    once, often = (ciders([text, "bag"], wanted, sigma=1e9, order=1)[0] for text in ("boot", "boot boot boot boot"))
    assert once == pytest.approx(10.0)
    assert often == pytest.approx(10 / 4)  # min(4 w, w) w / (4 w w)


def test_lengths_that_differ_are_punished() -> None:
    wanted = [["boot"], ["bag"]]
    far, near = (ciders(["boot x y", "bag"], wanted, sigma=sigma, order=1)[0] for sigma in (1.0, 1e9))
    assert far == pytest.approx(near * math.exp(-(2**2) / 2))


def test_several_wanted_captions_are_averaged() -> None:
    found = ciders(["boot", "bag"], [["boot", "shoe"], ["bag"]], order=1)
    assert found == pytest.approx([5.0, 10.0])
    assert cider(["boot", "bag"], [["boot", "shoe"], ["bag"]], order=1) == pytest.approx(7.5)


def test_missing_texts_are_refused() -> None:
    for said, wanted in (([], []), (["a"], []), (["a"], [[]])):
        with pytest.raises(ValueError, match="captions for"):
            ciders(said, wanted)
