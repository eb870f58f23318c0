"""Hyperbolic space: every operation stays on the manifold, maps invert each other, centroids are nearest."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.models.lorentz import (
    LorentzGCN,
    LorentzLinear,
    centroid,
    distance,
    exp,
    exp0,
    inner,
    link_logit,
    log,
    log0,
    squared_distance,
)

vectors = st.lists(st.floats(-1.5, 1.5, width=32), min_size=3, max_size=3).map(lambda v: jnp.asarray(v, jnp.float32))


def on_manifold(x: jax.Array) -> None:
    np.testing.assert_allclose(inner(x, x) / x[..., 0] ** 2, -1 / x[..., 0] ** 2, atol=1e-5)
    assert bool(jnp.all(x[..., 0] >= 1))


@settings(max_examples=20, deadline=None)
@given(vectors, vectors)
def test_exponential_and_logarithm_invert_each_other(v: jax.Array, w: jax.Array) -> None:
    x, y = exp0(v), exp0(w)
    on_manifold(x)
    np.testing.assert_allclose(log0(x), v, atol=1e-4)
    if float(distance(x, y)) > 0.1:
        tangent = log(x, y)
        np.testing.assert_allclose(inner(x, tangent), 0, atol=1e-2)
        np.testing.assert_allclose(exp(x, tangent), y, rtol=1e-2, atol=2e-2)
        np.testing.assert_allclose(jnp.sqrt(inner(tangent, tangent)), distance(x, y), rtol=1e-2)


def test_distances_are_those_of_the_hyperboloid() -> None:
    line = exp0(jnp.array([[-0.7], [0.0], [1.1]]))  # along a geodesic, distances add up
    np.testing.assert_allclose(distance(line[0], line[2]), 1.8, rtol=1e-5)
    np.testing.assert_allclose(squared_distance(line[0], line[2]), 2 * np.cosh(1.8) - 2, rtol=1e-5)
    np.testing.assert_allclose(link_logit(line[1], line[1]), 2.0, atol=1e-6)


@pytest.mark.slow
def test_the_centroid_is_nearest_to_all_its_senders() -> None:
    x = exp0(jax.random.normal(jax.random.key(0), (5, 2)))
    senders, receivers = jnp.arange(5), jnp.zeros(5, int)
    centre = centroid(x, senders, receivers)[0]
    on_manifold(centre)

    def total(v: jax.Array) -> jax.Array:
        return squared_distance(exp0(v)[None], x).sum()

    np.testing.assert_allclose(jax.grad(total)(log0(centre)), 0, atol=1e-4)


@pytest.mark.slow
def test_layers_end_on_the_manifold() -> None:
    layer = LorentzLinear("embed", 4, 5, activate=True, rngs=nnx.Rngs(0))
    y = layer(exp0(jax.random.normal(jax.random.key(1), (6, 3))))
    on_manifold(y)
    assert bool(jnp.all((y[:, 0] > 1.1) & (y[:, 0] < 1.1 + np.e)))
    model = LorentzGCN(features=3, classes=2, embed=4).build(nnx.Rngs(0))
    senders, receivers = jnp.array([0, 1, 2, 0, 1, 2]), jnp.array([1, 0, 0, 0, 1, 2])
    x = model(jnp.eye(3), senders, receivers)
    on_manifold(x)
    assert model.logits(x).shape == (3, 2)
    assert model.links(x, jnp.array([[0, 1], [1, 2]])).shape == (2,)
