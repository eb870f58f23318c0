"""The losses of generator and discriminator, and R1, against closed forms of linear discriminators."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models.gan import Discriminator
from stagejax.objectives.gan import R1, Sum, ascent, lazily, logistic, non_saturating

RNG = np.random.default_rng(0)
REAL = {"image": jnp.asarray(RNG.normal(size=(5, 2, 3)), jnp.float32)}
W = jnp.asarray(RNG.normal(size=(2, 3)), jnp.float32)


class Fixed:
    """A generator of given images."""

    def __init__(self, images: Any) -> None:
        self.images = images

    def sample(self, key: Any, count: int) -> Any:
        assert count == len(self.images)
        return self.images


FAKE = jnp.asarray(RNG.normal(size=(5, 2, 3)) + 1, jnp.float32)


def linear(w: Any) -> Any:
    return lambda images: jnp.einsum("bij,ij->b", images, w)


def test_losses_are_minus_log_probabilities() -> None:
    real, fake = (1 / (1 + np.exp(-np.einsum("bij,ij->b", x, W))) for x in (REAL["image"], FAKE))
    key, others = jax.random.key(0), {"generator": Fixed(FAKE), "discriminator": linear(W)}
    loss, metrics = logistic(linear(W), REAL, key, others=others)
    assert float(loss) == pytest.approx(-np.mean(np.log(real)) - np.mean(np.log(1 - fake)), rel=1e-5)
    assert float(metrics["real"]) == pytest.approx(np.mean(real > 0.5))
    assert float(metrics["fake"]) == pytest.approx(np.mean(fake < 0.5))
    loss, _ = non_saturating(Fixed(FAKE), REAL, key, others=others)
    assert float(loss) == pytest.approx(-np.mean(np.log(fake)), rel=1e-5)
    assert float(ascent(Fixed(FAKE), REAL, key, others=others)[0]) == -float(loss)


def test_the_gradient_of_the_penalty_of_a_linear_discriminator_is_known() -> None:
    """D(x) = w·x: the penalty is n γ/2 |w|², and its gradient n γ w, whatever the images."""

    def penalty(w: Any) -> Any:
        return R1(3.0, every=4)(linear(w), REAL, None, others={})[0]

    assert float(penalty(W)) == pytest.approx(4 * 3 / 2 * float((W**2).sum()), rel=1e-6)
    np.testing.assert_allclose(jax.grad(penalty)(W), 4 * 3 * W, rtol=1e-5)


def test_of_a_quadratic_discriminator_the_penalty_depends_on_the_images() -> None:
    """D(x) = a |x|²: ∇D = 2 a x, so the penalty is γ/2 · 4 a² mean |x|²."""
    loss, metrics = R1(2.0)(lambda x: 0.5 * (x**2).sum((1, 2)), REAL, None, others={})
    squared = float((REAL["image"] ** 2).sum((1, 2)).mean())
    assert float(metrics["penalty"]) == pytest.approx(squared, rel=1e-6)
    assert float(loss) == pytest.approx(squared, rel=1e-6)


def test_of_a_convolutional_discriminator_it_is_that_of_finite_differences() -> None:
    """Also where the whole batch enters a logit: along a direction v the slope of ΣD is ∇ΣD · v."""
    model = Discriminator(4, (3,), hidden=4).build(nnx.Rngs(0))
    images = jnp.asarray(RNG.uniform(size=(3, 4, 4, 1)), jnp.float32)
    _, metrics = R1(1.0)(model, {"image": images}, None, others={})
    h, slopes = 1e-2, np.zeros(images.shape)
    for place in np.ndindex(images.shape):
        step = jnp.zeros(images.shape).at[place].set(h)
        slopes[place] = (model(images + step).sum() - model(images - step).sum()) / (2 * h)
    assert float(metrics["penalty"]) == pytest.approx(np.square(slopes).sum() / 3, rel=0.02)


def test_a_sum_has_the_sum_of_gradients_and_all_metrics() -> None:
    terms = (logistic, R1(1.0), R1(2.0))
    others = {"generator": Fixed(FAKE)}

    def of(term: Any) -> Any:
        return jax.grad(lambda w: term(linear(w), REAL, jax.random.key(0), others=others)[0])(W)

    np.testing.assert_allclose(of(Sum(terms)), sum(map(of, terms)), rtol=1e-5)
    loss, metrics = Sum(terms)(linear(W), REAL, jax.random.key(0), others=others)
    assert {"real", "fake", "penalty", "loss"} == set(metrics)
    assert metrics["loss"] is loss


def test_lazy_rates_are_those_of_the_published_code() -> None:
    """n = 16: learning rate 2e-3 · 16/17, decays 0 and 0.99^(16/17)."""
    assert lazily(2e-3, 0.0, 0.99, 16) == {"peak": 2e-3 * 16 / 17, "b1": 0.0, "b2": 0.99 ** (16 / 17)}
