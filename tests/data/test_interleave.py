"""Streams become one sequence and come back, whatever they are; what is no clip is said to be none."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays

from stagejax.data.multimodal.interleave import Vocabulary, deinterleaved, interleaved

ORDERS = ("sequential", "alternating")
WORDS = Vocabulary(text=20, image=8, streams=3, codes=5)
CODES = st.tuples(st.integers(1, 6), st.integers(1, 4)).flatmap(
    lambda shape: arrays.arrays(np.int32, shape, elements=st.integers(0, 4))
)


@settings(max_examples=50, deadline=None)
@given(CODES, st.sampled_from(ORDERS))
def test_streams_come_back(codes: np.ndarray, order: str) -> None:
    tokens = interleaved(codes, 5, order)
    np.testing.assert_array_equal(deinterleaved(tokens, codes.shape[1], 5, order), codes)
    assert sorted(tokens) == sorted((codes + 5 * np.arange(codes.shape[1])).reshape(-1))
    books = tokens // 5
    wanted = np.arange(codes.shape[1])
    shape = np.repeat if order == "sequential" else np.tile
    np.testing.assert_array_equal(books, shape(wanted, len(codes)))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=8), st.sampled_from(ORDERS))
def test_only_equal_parts_in_order_are_a_clip(tokens: list[int], order: str) -> None:
    half = len(tokens) // 2
    parts = (tokens[:half], tokens[half:]) if order == "sequential" else (tokens[::2], tokens[1::2])
    valid = len(parts[0]) == len(parts[1]) > 0 and max(parts[0]) < 5 <= min(parts[1])
    found = deinterleaved(np.array(tokens, int), 2, 5, order)
    assert (found is not None) == valid
    if found is not None:
        np.testing.assert_array_equal(interleaved(found, 5, order), tokens)


def test_the_two_orders_differ_and_the_first_stream_alone_is_the_same() -> None:
    codes = np.arange(6).reshape(2, 3) % 5
    assert interleaved(codes, 5, "sequential").tolist() != interleaved(codes, 5, "alternating").tolist()
    first = codes[:, :1]
    np.testing.assert_array_equal(WORDS.clip(first, "sequential"), WORDS.clip(first, "alternating"))


def test_modalities_share_no_id() -> None:
    picture, clip = WORDS.picture(np.arange(8)), WORDS.clip(np.array([[0, 0, 0], [4, 4, 4]]), "sequential")
    assert picture.tolist() == [43, *range(20, 28), 44]
    assert clip.tolist() == [45, 28, 32, 33, 37, 38, 42, 46]
    assert WORDS.size == 47 == WORDS.text + WORDS.added
    np.testing.assert_array_equal(WORDS.picture_codes(picture, 8), np.arange(8))
    assert WORDS.picture_codes(picture[:-1], 8) is None is WORDS.picture_codes(clip, 6)
    np.testing.assert_array_equal(WORDS.clip_codes(clip, "sequential"), [[0, 0, 0], [4, 4, 4]])
    assert WORDS.clip_codes(clip, "alternating") is None is WORDS.clip_codes(clip[:-1], "sequential")


def test_what_is_no_code_is_refused() -> None:
    with pytest.raises(ValueError, match="a stream has size=3"):
        interleaved(np.array([[3]]), 3, "sequential")
