"""Elastic weight consolidation: the Fisher diagonal in closed form, and what a minimum of the sum looks like."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import param
from stagejax.objectives.elastic import Elastic, consolidated, fisher_diagonal, fisher_distance

RNG = np.random.default_rng(0)


def test_of_a_linear_function_it_is_the_mean_square_of_inputs() -> None:
    x = jnp.asarray(RNG.normal(size=(6, 3)), jnp.float32)
    found = fisher_diagonal(lambda p, x: p["w"] @ x + p["b"], {"w": jnp.ones(3), "b": jnp.zeros(())}, x)
    np.testing.assert_allclose(found["w"], (x**2).mean(0), rtol=1e-6)
    assert float(found["b"]) == 1.0


def test_of_a_chain_it_is_the_square_of_the_product_of_derivatives() -> None:
    """D(G(z)) = u · tanh(w z): the derivative by w is u (1 - tanh²(w z)) z, input by input, squared before the mean."""
    z = jnp.asarray(RNG.normal(size=7), jnp.float32)
    u, w = 1.5, 0.7
    found = fisher_diagonal(lambda w, z: u * jnp.tanh(w * z), jnp.float32(w), z)
    slope = u * (1 - np.tanh(w * np.asarray(z)) ** 2) * np.asarray(z)
    assert float(found) == pytest.approx(np.mean(slope**2), rel=1e-5)
    assert abs(float(found) - np.mean(slope) ** 2) > 1e-3


class Point(nnx.Module):
    def __init__(self, x: Any) -> None:
        self.x = param(jnp.asarray(x, jnp.float32), writes=("x",))


def test_the_penalty_is_half_of_the_weighted_distance() -> None:
    others = {"origin": Point([0.0, 1.0]), "fisher": Point([2.0, 0.0])}
    loss, metrics = Elastic(3.0)(Point([2.0, 5.0]), {}, None, others=others)
    assert float(loss) == float(metrics["elastic"]) == 3.0 / 2 * 2 * 4
    assert float(fisher_distance({"x": jnp.ones(2)}, {"x": jnp.zeros(2)}, {"x": jnp.array([1.0, 2.0])})) == 3.0


@pytest.mark.parametrize("strength", [0.0, 1.0, 100.0])
def test_it_holds_back_where_fisher_is_large(strength: float) -> None:
    """The minimum of Σ (x - target)² / 2 + λ/2 Σ F (x - x₀)² is (target + λ F x₀) / (1 + λ F)."""
    fisher, target = jnp.array([0.0, 0.1, 5.0]), jnp.array([1.0, 1.0, 1.0])
    others = {"origin": Point(jnp.zeros(3)), "fisher": Point(fisher)}
    x = jnp.zeros(3)

    def loss(x: jax.Array) -> jax.Array:
        return jnp.square(x - target).sum() / 2 + Elastic(strength)(Point(x), {}, None, others=others)[0]

    for _ in range(2):  # Newton's method is exact here
        x = x - jax.grad(loss)(x) / jax.grad(lambda x: jax.grad(loss)(x).sum())(x)
    np.testing.assert_allclose(x, target / (1 + strength * fisher), rtol=1e-5)


def test_many_penalties_are_one_up_to_a_constant() -> None:
    fishers, origins = (RNG.gamma(0.5, size=(4, 6)).astype(np.float32), RNG.normal(size=(4, 6)).astype(np.float32))
    fishers[:, 0] = 0  # nobody minds it
    fisher, origin = jnp.zeros(6), jnp.full(6, 9.0)
    for own, at in zip(fishers, origins, strict=True):
        fisher, origin = consolidated(fisher, origin, jnp.asarray(own), jnp.asarray(at))
    points = jnp.asarray(RNG.normal(size=(5, 6)), jnp.float32)
    one = np.array([fisher_distance(x, origin, fisher) for x in points])
    all_of = np.array([sum(fisher_distance(x, o, f) for f, o in zip(fishers, origins, strict=True)) for x in points])
    np.testing.assert_allclose(one - all_of, (one - all_of)[0], atol=1e-5 * all_of.max())
    np.testing.assert_allclose(fisher, fishers.sum(0), rtol=1e-6)
    assert float(origin[0]) == origins[-1, 0]
