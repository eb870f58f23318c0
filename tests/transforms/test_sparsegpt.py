"""SparseGPT: exact shares, n:m groups, optimal brain surgery on a row, and less error than magnitude pruning."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.transforms.compensation import compensated, inverse_factor, layer_error
from stagejax.transforms.quantize import Uniform
from stagejax.transforms.sparsegpt import SemiStructured, Unstructured, magnitude, sparsegpt

INPUTS, OUTPUTS = 16, 6


def layer(seed: int) -> tuple[jax.Array, jax.Array]:
    """Weights, and H of inputs of uneven size that depend on each other."""
    draw = np.random.default_rng(seed)
    read = draw.normal(size=(300, INPUTS)) @ (np.eye(INPUTS) + draw.normal(size=(INPUTS, INPUTS)) / 4)
    read *= np.exp(draw.normal(size=INPUTS))
    return jnp.array(draw.normal(size=(OUTPUTS, INPUTS))), jnp.array(2 / 300 * read.T @ read)


half = jax.jit(partial(sparsegpt, choice=Unstructured(0.5)))
groups = jax.jit(partial(sparsegpt, choice=SemiStructured(2, 4)))


def surgery(weight: np.ndarray, curvature: np.ndarray, masked: np.ndarray) -> np.ndarray:
    """Optimal brain surgery on one row: each masked weight goes in order, those behind it move by the OBS update."""
    weight = weight.copy()
    for i in range(len(weight)):
        if masked[i]:
            inverse = np.linalg.inv(curvature[i:, i:])
            weight[i:] -= weight[i] / inverse[0, 0] * inverse[0]
            weight[i] = 0
    return weight


def test_one_row_in_one_block_is_optimal_brain_surgery() -> None:
    weight, H = layer(0)
    found = np.asarray(half(weight[:1], H))[0]
    own = np.asarray(H, np.float64)
    own = own + 0.01 * np.diag(own).mean() * np.eye(INPUTS)
    free = np.array([np.linalg.inv(own[i:, i:])[0, 0] for i in range(INPUTS)])
    scores = np.asarray(weight, np.float64)[0] ** 2 / free
    masked = scores <= np.sort(scores)[INPUTS // 2 - 1]
    assert ((found == 0) == masked).all()
    np.testing.assert_allclose(found, surgery(np.asarray(weight, np.float64)[0], own, masked), rtol=2e-2, atol=1e-3)


def test_the_share_is_exact_and_groups_have_two_of_four() -> None:
    weight, H = layer(1)
    assert int((half(weight, H) == 0).sum()) == OUTPUTS * INPUTS // 2
    zeros = np.asarray(groups(weight, H) == 0).reshape(OUTPUTS, -1, 4).sum(-1)
    assert (zeros == 2).all()
    assert (np.asarray(magnitude(weight, SemiStructured(2, 4)) == 0).reshape(OUTPUTS, -1, 4).sum(-1) == 2).all()


def test_feedback_leaves_less_error_than_magnitude_on_the_calibration_set() -> None:
    errors = np.array([
        [float(layer_error(weight, made, H)) for made in (
            half(weight, H), magnitude(weight, Unstructured(0.5)), groups(weight, H),
            magnitude(weight, SemiStructured(2, 4)), jnp.where(half(weight, H) == 0, 0, weight),
        )]
        for weight, H in map(layer, range(8))
    ])  # fmt: skip
    sparse, plain, grouped, plain_grouped, mask = errors.mean(0)
    assert sparse < 0.7 * plain
    assert grouped < 0.7 * plain_grouped
    assert sparse < grouped
    assert sparse < mask
    assert (errors[:, 0] < errors[:, 1]).mean() > 0.8


def test_inputs_that_do_not_depend_on_each_other_give_magnitude_pruning() -> None:
    weight, _ = layer(2)
    np.testing.assert_allclose(half(weight, jnp.eye(INPUTS)), magnitude(weight, Unstructured(0.5)), atol=1e-6)


@pytest.mark.slow
def test_pruning_and_rounding_in_one_pass_have_both_properties() -> None:
    weight, H = layer(3)
    made = np.asarray(sparsegpt(weight, H, Unstructured(0.5, Uniform(4, group=4))))
    assert (made == 0).mean() >= 0.5
    alone = np.asarray(compensated(weight, inverse_factor(H), Unstructured(0.5, Uniform(8))))
    assert len(np.unique(np.round(np.abs(made[:, :4]), 5), axis=1)) <= OUTPUTS
    assert float(layer_error(weight, jnp.array(alone), H)) < float(layer_error(weight, jnp.array(made), H))


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="does not divide"):
        sparsegpt(jnp.ones((2, 6)), jnp.eye(6), SemiStructured(2, 4))
    with pytest.raises(ValueError, match="sparsity=1"):
        Unstructured(1.0)
    with pytest.raises(ValueError, match="need 0 < zeros < of"):
        SemiStructured(4, 4)
