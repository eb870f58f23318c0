"""Error feedback: the factor, the pass against GPTQ written out, and the optimum where it is known."""

import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.transforms.compensation import (
    compensated,
    dead_columns,
    hessian,
    inverse_factor,
    layer_error,
    second_moment,
)
from stagejax.transforms.quantize import Uniform
from stagejax.transforms.sparsegpt import Unstructured, sparsegpt

DRAW = np.random.default_rng(0)
INPUTS, OUTPUTS = 12, 5
READ = DRAW.normal(size=(200, INPUTS)) @ DRAW.normal(size=(INPUTS, INPUTS))
H = 2 / len(READ) * READ.T @ READ
W = DRAW.normal(size=(OUTPUTS, INPUTS))


def damped(share: float) -> np.ndarray:
    return H + share * np.diag(H).mean() * np.eye(INPUTS)


def gptq_written_out(weight: np.ndarray, inverse_of: np.ndarray, rounding: float) -> np.ndarray:
    """Optimal brain quantisation in the order of columns: after each, the rest moves by the inverse of its own part."""
    weight, found = weight.copy(), weight.copy()
    for i in range(weight.shape[1]):
        own = np.linalg.inv(inverse_of[i:, i:])  # of the columns that are still free
        found[:, i] = np.round(weight[:, i] / rounding) * rounding
        error = (weight[:, i] - found[:, i]) / own[0, 0]
        weight[:, i:] -= error[:, None] * own[0]
    return found


def test_the_factor_is_of_the_inverse_and_its_diagonal_that_of_the_free_part() -> None:
    factor = np.asarray(inverse_factor(jnp.array(H), 0.01))
    np.testing.assert_allclose(factor.T @ factor, np.linalg.inv(damped(0.01)), rtol=2e-3, atol=1e-5)
    assert np.abs(np.tril(factor, -1)).max() == 0
    free = [np.linalg.inv(damped(0.01)[i:, i:])[0, 0] for i in range(INPUTS)]
    np.testing.assert_allclose(np.diag(factor) ** 2, free, rtol=2e-3)


@pytest.mark.parametrize("block", [4, 128])
def test_rounding_with_feedback_is_gptq_written_out_in_blocks_of_any_size(block: int) -> None:
    grid = Uniform(4)
    scale = np.abs(W).max(1) / grid.levels
    factor = inverse_factor(jnp.array(H), 0.01)
    found = np.asarray(compensated(jnp.array(W), factor, grid, block=block))
    for row in range(OUTPUTS):
        expected = gptq_written_out(W[row : row + 1], damped(0.01), scale[row])
        expected = np.clip(expected, -grid.levels * scale[row], grid.levels * scale[row])
        assert np.isclose(found[row], expected[0], atol=1e-4).mean() > 0.9  # a tie may fall the other way
        np.testing.assert_allclose(found[row] / scale[row], np.round(found[row] / scale[row]), atol=1e-4)


def test_zeros_in_front_leave_the_least_squares_optimum_behind_them() -> None:
    """With the first columns at 0, the others are those of least error: w_R + H_RR^-1 H_RM w_M."""
    weight = np.abs(W[:1]) + 1
    weight[:, : INPUTS // 2] *= 1e-3  # the smallest scores
    found = np.asarray(sparsegpt(jnp.array(weight), jnp.array(H), Unstructured(0.5), damping=0.01))
    masked, rest = np.arange(INPUTS // 2), np.arange(INPUTS // 2, INPUTS)
    assert (found[0, masked] == 0).all()
    D = damped(0.01)
    moved = np.linalg.solve(D[np.ix_(rest, rest)], D[np.ix_(rest, masked)] @ weight[0, masked])
    np.testing.assert_allclose(found[0, rest], weight[0, rest] + moved, rtol=1e-3)


def test_dead_columns_are_zero_and_do_no_harm() -> None:
    read = READ.copy()
    read[:, 3] = 0
    sums, count = second_moment(jnp.array(read), jnp.ones(len(read), bool))
    own = hessian(sums, count)
    np.testing.assert_allclose(own, 2 / len(read) * read.T @ read, rtol=1e-4, atol=1e-4)
    assert np.flatnonzero(dead_columns(own)).tolist() == [3]
    found = np.asarray(sparsegpt(jnp.array(W), own, Unstructured(0.25)))
    assert (found[:, 3] == 0).all()
    assert np.isfinite(found).all()


def test_layer_error_is_that_of_the_outputs() -> None:
    after = np.where(np.abs(W) > 0.5, W, 0)
    expected = np.sum(((W - after) @ READ.T) ** 2) / np.sum((W @ READ.T) ** 2)
    assert float(layer_error(jnp.array(W), jnp.array(after), jnp.array(H))) == pytest.approx(expected, rel=1e-3)


def test_a_negative_damping_is_refused() -> None:
    with pytest.raises(ValueError, match="damping=-1"):
        inverse_factor(jnp.eye(2), -1.0)


def test_nothing_counted_means_no_feedback() -> None:
    own = hessian(*second_moment(jnp.array(READ), jnp.zeros(len(READ), bool)))
    np.testing.assert_array_equal(own, np.eye(INPUTS))
    factor = np.asarray(inverse_factor(own))
    assert np.count_nonzero(factor - np.diag(np.diag(factor))) == 0
