"""Boosting losses against autodiff: residuals are gradients, rho is a Newton step, constants are best."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.objectives.boosting import Logistic, Softmax, Squared

RNG = np.random.default_rng(0)
F1, F3 = (jnp.asarray(RNG.normal(size=(20, k)), jnp.float32) for k in (1, 3))
H1, H3 = (jnp.asarray(RNG.normal(size=(20, k)), jnp.float32) for k in (1, 3))
NUMBERS = jnp.asarray(RNG.normal(size=20), jnp.float32)
SIGNS, CLASSES = jnp.asarray(RNG.integers(2, size=20)), jnp.asarray(RNG.integers(3, size=20))
CASES = [(Squared(), F1, H1, NUMBERS), (Logistic(), F1, H1, SIGNS), (Softmax(), F3, H3, CLASSES)]


def total(loss: Any, F: jax.Array, y: jax.Array) -> jax.Array:
    """The sum of the loss by the objective of a network that ends in scale F."""
    return loss.objective(lambda x, key: x, {"x": loss.scale * F, "y": y}, None)[0] * len(F)


@pytest.mark.parametrize(("loss", "F", "h", "y"), CASES)
def test_residuals_are_the_negative_gradient(loss: Any, F: jax.Array, h: jax.Array, y: jax.Array) -> None:
    np.testing.assert_allclose(loss.residuals(F, y), -jax.grad(total, argnums=1)(loss, F, y), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("loss", "F", "h", "y"), CASES[1:2])
def test_rho_is_a_newton_step(loss: Any, F: jax.Array, h: jax.Array, y: jax.Array) -> None:
    along = lambda rho: total(loss, F + rho * h, y)  # noqa: E731
    newton = -jax.grad(along)(0.0) / jax.grad(jax.grad(along))(0.0)
    assert float(loss.rho(F, y, h)) == pytest.approx(float(newton), rel=1e-4)


def test_rho_of_softmax_takes_the_diagonal_of_the_hessian() -> None:
    h = H3.at[:, 1:].set(0)  # along one output alone the diagonal is all of it
    along = lambda rho: total(Softmax(), F3 + rho * h, CLASSES)  # noqa: E731
    newton = -jax.grad(along)(0.0) / jax.grad(jax.grad(along))(0.0)
    assert float(Softmax().rho(F3, CLASSES, h)) == pytest.approx(float(newton), rel=1e-4)


def test_rho_of_squares_is_right_for_a_least_squares_fit() -> None:
    r = Squared().residuals(F1, NUMBERS)
    fitted = H1 * jnp.sum(H1 * r) / jnp.sum(H1**2)
    best = jax.grad(lambda rho: total(Squared(), F1 + rho * fitted, NUMBERS))(1.0)
    assert abs(float(best)) < 1e-4
    assert float(Squared().rho(F1, NUMBERS, fitted)) == 1.0


@pytest.mark.parametrize(("loss", "y"), [(Squared(), NUMBERS), (Logistic(), SIGNS)])
def test_the_constant_is_the_best_one(loss: Any, y: jax.Array) -> None:
    gradient = jax.grad(lambda c: total(loss, jnp.broadcast_to(c, (20, 1)), y))(loss.constant(y, 1))
    assert float(jnp.abs(gradient).max()) < 1e-3


def test_where_everything_fits_no_step_is_taken() -> None:
    F = 200.0 * (2.0 * SIGNS[:, None] - 1)
    assert float(Logistic().rho(F, SIGNS, H1)) == 0.0


def test_scores() -> None:
    y = np.asarray(NUMBERS)
    assert Squared().score(y[:, None], y) == 1.0
    assert Squared().score(np.full((20, 1), y.mean()), y) == pytest.approx(0.0, abs=1e-6)
    assert Logistic().score(2.0 * np.asarray(SIGNS)[:, None] - 1, np.asarray(SIGNS)) == 1.0
    assert Softmax().score(np.eye(3)[np.asarray(CLASSES)], np.asarray(CLASSES)) == 1.0
