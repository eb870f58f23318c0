"""In-context learners: nothing sees what comes later, or the label it shall predict; cells follow their formulas."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import axes_of
from stagejax.models.in_context import Attentive, InContext, Pointwise
from stagejax.models.recurrent import LSTM, OuterProductCell, OuterProductLSTM

BODIES = [Attentive(2, 2), LSTM(2), OuterProductLSTM(2), Pointwise(2)]
NAMES = ["attentive", "lstm", "outer product", "pointwise"]
N, C = 6, 3


@pytest.mark.parametrize("body", BODIES, ids=NAMES)
@pytest.mark.slow
def test_a_prediction_depends_on_inputs_so_far_and_on_labels_before(body: Any) -> None:
    graphdef, params = nnx.split(InContext(features=4, classes=C, embed=8, body=body).build(nnx.Rngs(0)))
    params = jax.tree.map(lambda leaf: leaf + 0.1 * jnp.cos(jnp.arange(leaf.size)).reshape(leaf.shape), params)
    model = jax.jit(lambda x, y: nnx.merge(graphdef, params)(x, y)[0])
    x, y = jax.random.normal(jax.random.key(0), (1, N, 4)), jnp.zeros((1, N), jnp.int32)
    plain = model(x, y)
    by_input = np.array([np.abs(model(x.at[0, i].add(1.0), y) - plain).max(-1) > 1e-6 for i in range(N)])
    by_label = np.array([np.abs(model(x, y.at[0, i].set(2)) - plain).max(-1) > 1e-6 for i in range(N)])
    if isinstance(body, Pointwise):
        np.testing.assert_array_equal(by_input, np.eye(N, dtype=bool))
        np.testing.assert_array_equal(by_label, np.eye(N, k=1, dtype=bool))
    else:
        np.testing.assert_array_equal(by_input, np.tri(N, dtype=bool).T)
        np.testing.assert_array_equal(by_label, np.tri(N, k=-1, dtype=bool).T)


@pytest.mark.parametrize("body", BODIES, ids=NAMES)
def test_every_parameter_names_its_axes(body: Any) -> None:
    config = InContext(features=4, classes=C, embed=8, body=body)
    found = jax.tree.leaves(axes_of(config.build(nnx.Rngs(0))), is_leaf=lambda x: hasattr(x, "sides"))
    names = {name.removesuffix("_out") for leaf in found for name in leaf.names}
    assert names <= set(config.sizes())


def test_states_are_keys_and_values_vectors_and_matrices() -> None:
    states = [InContext(embed=8, body=body).state(length=5) for body in BODIES]
    assert states == [2 * 8 * 2 * 5, 2 * 8 * 2, (8 + 64) * 2, 0]


def test_the_outer_product_cell_is_that_of_its_formula() -> None:
    cell, x = OuterProductCell(3, nnx.Rngs(1)), np.array([[0.3, -0.2, 1.0], [0.1, 0.4, -0.5]], np.float32)
    W, b, U = (np.asarray(v[...]) for v in (cell.input.kernel, cell.input.bias, cell.hidden.kernel))
    sigma = lambda v: 1 / (1 + np.exp(-v))  # noqa: E731
    h, C = np.zeros(3), np.zeros((3, 3))
    for row in x:
        i, f, g, o, k, q = np.tensordot(row, W, 1) + b + np.tensordot(h, U, 1)
        C = sigma(f + 1)[:, None] * C + (sigma(i) * np.tanh(g))[:, None] * np.tanh(k)
        h = sigma(o) * np.tanh(C @ np.tanh(q) / 3**0.5)
    np.testing.assert_allclose(cell(jnp.asarray(x))[-1], h, rtol=1e-5)
