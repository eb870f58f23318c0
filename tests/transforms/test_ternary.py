"""Ternary weights with and without feedback, and the code for them."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.transforms.compensation import layer_error
from stagejax.transforms.sparsegpt import sparsegpt
from stagejax.transforms.ternary import Ternary, symbol_rows, ternary
from stagejax.transforms.ternary_code import PAIRS, TernaryCode, entropy

DRAW = np.random.default_rng(0)


def test_three_values_a_row_and_the_nearest_of_them_without_feedback() -> None:
    weight = jnp.array(DRAW.normal(size=(6, 40)))
    made = np.asarray(ternary(weight))
    for row, own in zip(np.asarray(weight), made, strict=True):
        values = np.array([row.min(), 0, row.max()])
        np.testing.assert_allclose(own, values[np.abs(row[:, None] - values).argmin(1)])
    np.testing.assert_allclose(sparsegpt(weight, jnp.eye(40), Ternary(), 0.1), made, rtol=1e-6)


def test_feedback_leaves_less_error() -> None:
    errors = []
    for _ in range(4):
        read = DRAW.normal(size=(400, 40)) @ DRAW.normal(size=(40, 40))
        weight, H = jnp.array(DRAW.normal(size=(6, 40))), jnp.array(2 / 400 * read.T @ read)
        made = sparsegpt(weight, H, Ternary(), 0.1)
        assert all(len(np.unique(row)) <= 3 for row in np.asarray(made))
        errors.append([float(layer_error(weight, own, H)) for own in (made, ternary(weight))])
    solved, plain = np.mean(errors, 0)
    assert solved < 0.7 * plain


def test_symbols_are_rows_of_outputs() -> None:
    kernel = np.zeros((2, 3, 4))
    kernel[1, 2, 0], kernel[1, 0, 0] = 5, -1
    rows = symbol_rows(kernel)
    assert rows.shape == (8, 3)
    assert rows[4].tolist() == [1, 0, 2]


@pytest.mark.parametrize("bits", [4, 8, 11])
def test_what_is_encoded_is_decoded_for_rows_of_any_kind(bits: int) -> None:
    code = TernaryCode(bits)
    for size, zeros in itertools.product((1, 2, 7, 64, 301), (0.0, 0.5, 0.885, 1.0)):
        row = np.where(DRAW.random(size) < zeros, 0, DRAW.integers(1, 3, size))
        words = code.encoded(row)
        assert words.max() < 2**bits
        np.testing.assert_array_equal(code.decoded(words, size), row)
    assert len(code.encoded(np.zeros(0, int))) == 0


def test_the_dictionary_is_of_the_likeliest_sequences_and_their_beginnings() -> None:
    code = TernaryCode(bits=11)
    sequences = set(code.sequences)
    assert len(sequences) == 2**11
    assert all(sequence[:-1] in sequences for sequence in sequences if len(sequence) > 1)
    share = {0: 0.885, 1: 0.0575, 2: 0.0575}

    def chance(sequence: tuple[int, ...]) -> float:
        return float(np.prod([share[s] for pair in sequence for s in PAIRS[pair]]))

    least = min(chance(sequence) for sequence in sequences if len(sequence) > 1)
    longer = {(*s, pair) for s in sequences if len(s) < 14 for pair in range(9)} - sequences
    assert max(map(chance, longer)) <= least * (1 + 1e-9)


def test_mostly_zeros_take_less_than_a_bit_and_not_less_than_their_entropy() -> None:
    rows = np.where(DRAW.random((20, 512)) < 0.89, 0, DRAW.integers(1, 3, (20, 512)))
    taken = TernaryCode(bits=12).bits_a_weight([rows[:10], rows[10:]])
    assert entropy(rows) < taken["bits"] < 1
    assert taken["entropy"] == pytest.approx(entropy(rows))
    assert taken["stored"] == pytest.approx(taken["bits"] + 64 / 512)


def test_a_code_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="bits=17"):
        TernaryCode(bits=17)
