import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data import random_words, shuffled


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), st.integers(-5, 2**40), st.integers(0, 7))
def test_each_epoch_is_a_permutation(size, seed, epoch):
    numbers = np.arange(epoch * size, (epoch + 1) * size)
    found = shuffled(seed, numbers, size)
    assert sorted(found.tolist()) == list(range(size))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 10**12), st.lists(st.integers(0, 10**15), min_size=1, max_size=20))
def test_order_is_a_function_of_the_number_alone(size, numbers):
    together = shuffled(3, np.array(numbers), size)
    alone = [int(shuffled(3, np.array([number]), size)[0]) for number in numbers]
    assert together.tolist() == alone
    assert all(0 <= item < size for item in alone)


def test_epochs_and_seeds_have_orders_of_their_own():
    first, second = shuffled(0, np.arange(1000), 1000), shuffled(0, np.arange(1000, 2000), 1000)
    other = shuffled(1, np.arange(1000), 1000)
    for a, b in ((first, second), (first, other), (first, np.arange(1000))):
        assert (a == b).mean() < 0.02  # one equal place is expected
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.15


@pytest.mark.parametrize("size", [5, 64, 100])
def test_every_item_is_equally_likely_at_a_place(size):
    draws = 200 * size
    at_second_place = shuffled(7, np.arange(draws) * size + 1, size)
    counts = np.bincount(at_second_place, minlength=size)
    chi2 = ((counts - 200) ** 2 / 200).sum()
    assert chi2 < size - 1 + 5 * np.sqrt(2 * (size - 1))


def test_words_are_uniform_and_independent_of_their_neighbours():
    words = random_words(0, np.arange(2000), 32)
    assert (words[1000:] == random_words(0, np.arange(1000, 2000), 32)).all()
    for bit in range(64):
        ones = ((words >> np.uint64(bit)) & np.uint64(1)).mean()
        assert abs(ones - 0.5) < 5 * 0.5 / np.sqrt(words.size)
    values = words.astype(np.float64) / 2**64
    assert abs(np.corrcoef(values[:, 0], values[:, 1])[0, 1]) < 0.12
    assert abs(np.corrcoef(values[:-1, 0], values[1:, 0])[0, 1]) < 0.12


def test_words_stay_what_they_are():
    """Checkpoints address batches by number: these values must never change."""
    assert random_words(0, np.array([0, 1]), 2).tolist() == [
        [6235967106033911276, 4964577235801436555],
        [9639420846141804449, 5283499334869912440],
    ]
    assert shuffled(0, np.arange(10), 10).tolist() == [9, 5, 7, 2, 8, 6, 3, 1, 4, 0]
