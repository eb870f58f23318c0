"""Repulsion: distances that count tensors alike, the three forms and their slopes, and that a step leads away."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models.generative.gan import Generator
from stagejax.objectives.elastic import parameters
from stagejax.objectives.repulsion import Exponential, Repulsion, forgotten, inverse, mean_distance, negative

RNG = np.random.default_rng(0)


def tree() -> Any:
    return {"a": jnp.asarray(RNG.normal(size=(3, 2)), jnp.float32), "b": jnp.asarray(RNG.normal(size=5), jnp.float32)}


def test_the_distance_is_the_mean_over_anchors_and_tensors_of_mean_squares() -> None:
    here, anchors = tree(), [tree(), tree()]
    wanted = np.mean([np.mean((np.asarray(here[n]) - np.asarray(x[n])) ** 2) for x in anchors for n in ("a", "b")])
    assert float(mean_distance(here, anchors)) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize(
    ("form", "value", "slope"),
    [
        (inverse, 3.0 / 0.5, -3.0 / 0.25),
        (negative, -1.5, -3.0),
        (Exponential(7.0), 7 * np.exp(-1.5), -21 * np.exp(-1.5)),
    ],
)
def test_each_form_falls_with_the_distance_as_its_formula_says(form: Any, value: float, slope: float) -> None:
    found = jax.value_and_grad(lambda d: form(d, 3.0))(jnp.float32(0.5))
    assert [float(x) for x in found] == pytest.approx([value, slope], rel=1e-6)


def test_the_inverse_is_finite_on_top_of_an_anchor() -> None:
    assert np.isfinite(float(inverse(jnp.float32(0.0), 1.0)))


CONFIG = Generator(latent=3, channels=(4, 2))


def model(seed: int) -> nnx.Module:
    return CONFIG.build(nnx.Rngs(seed))


@pytest.mark.slow
@pytest.mark.parametrize("form", [inverse, negative, Exponential()])
def test_its_gradient_is_not_zero_in_any_tensor_that_differs_and_leads_away(form: Any) -> None:
    others = {"anchor.0": model(1), "anchor.1": model(2)}
    term = Repulsion(("anchor.0", "anchor.1"), form)
    graph, params = nnx.split(model(0))

    def loss(params: Any) -> Any:
        value, metrics = term(nnx.merge(graph, params), {}, None, others=others)
        return value, metrics["distance"]

    (value, start), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    d = mean_distance(parameters(model(0)), [parameters(other) for other in others.values()])
    assert float(start) == pytest.approx(float(d))
    assert float(value) == pytest.approx(float(form(2 * d, 1.0)))  # 2² / 2
    for leaf, own, one, other in zip(
        *map(jax.tree.leaves, (gradient, params, nnx.state(others["anchor.0"]), nnx.state(others["anchor.1"]))),
        strict=True,
    ):
        towards = (one + other) / 2 - own
        if float(jnp.abs(towards).max()) > 0:  # biases begin at 0 in all of them
            cosine = jnp.vdot(leaf, towards) / jnp.linalg.norm(leaf) / jnp.linalg.norm(towards)
            assert float(cosine) == pytest.approx(1.0, abs=1e-5)
    moved = jax.tree.map(lambda p, g: p - 1e-3 * g, params, gradient)
    assert float(loss(moved)[1]) > float(start)
    assert float(loss(moved)[0]) < float(value)


def test_percentage_of_unlearning() -> None:
    assert forgotten(50, 50) == 0
    assert forgotten(50, 75) == -50
    with pytest.raises(ValueError, match="nothing to unlearn"):
        forgotten(0, 0)
