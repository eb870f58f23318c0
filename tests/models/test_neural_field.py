"""Grids of a neural field: exact between corners, shared by a hash where a table is small."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models.vision.neural_field import NeuralField, interpolated


@pytest.mark.slow
def test_a_grid_holds_every_bilinear_function_exactly() -> None:
    line = jnp.linspace(0, 1, 6)
    corners = jnp.stack([line[:, None] + 2 * line[None], line[:, None] * line[None]], -1).reshape(36, 2)
    points = jax.random.uniform(jax.random.key(0), (50, 2))
    found = interpolated(corners, 5, points)
    np.testing.assert_allclose(found[:, 0], points[:, 0] + 2 * points[:, 1], atol=1e-5)
    on_edges = jnp.array([[0.0, 0.0], [1.0, 1.0], [1.0, 0.4], [-0.1, 1.2]])  # beyond the square: its border
    np.testing.assert_allclose(interpolated(corners, 5, on_edges)[:, 1], [0.0, 1.0, 0.4, 0.0], atol=1e-5)


def test_weights_sum_to_one_in_a_hashed_table_too() -> None:
    points = jax.random.uniform(jax.random.key(1), (40, 2))
    np.testing.assert_allclose(interpolated(jnp.ones((11, 1)), 64, points), 1.0, atol=1e-6)


def test_a_hash_uses_all_rows_and_differs_between_neighbours() -> None:
    table = jnp.arange(64.0)[:, None]
    corners = jnp.stack(jnp.meshgrid(jnp.arange(33), jnp.arange(33), indexing="ij"), -1).reshape(-1, 2) / 32
    rows = np.rint(np.asarray(interpolated(table, 32, corners)).ravel()).astype(int)
    assert set(rows) == set(range(64))
    assert (rows.reshape(33, 33)[:, 1:] != rows.reshape(33, 33)[:, :-1]).mean() > 0.9


@pytest.mark.slow
def test_sizes_follow_the_table_and_the_levels() -> None:
    config = NeuralField.between(16, 1024, 4, table=2**12, channels=2, hidden=8, features=3)
    assert [config.rows(r) for r in config.resolutions] == [289, 4096, 4096, 4096]
    assert config.build(nnx.Rngs(0))(jnp.zeros((7, 2))).shape == (7, 3)


@pytest.mark.parametrize("fields", [{"resolutions": ()}, {"resolutions": (0,)}, {"hidden": 0}])
def test_sizes_that_are_none(fields: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        NeuralField(**fields)
