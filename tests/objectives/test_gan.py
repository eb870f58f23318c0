"""The losses of generator and discriminator, and R1, against closed forms of linear discriminators."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models.generative.gan import Discriminator
from stagejax.models.generative.stylegan2 import StyleGenerator
from stagejax.objectives.pictures.gan import R1, PathLength, Sum, ascent, lazily, logistic, non_saturating

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


@pytest.mark.slow
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


class Mean:
    """A variable of a model."""

    def __init__(self, value: float) -> None:
        self.value = jnp.float32(value)

    def __getitem__(self, _: Any) -> Any:
        return self.value

    def __setitem__(self, _: Any, value: Any) -> None:
        self.value = value


class Drawing:
    """Images that are a matrix times the sum of three layers' styles."""

    def __init__(self, matrix: Any) -> None:
        self.matrix, self.path_length = matrix, Mean(0.5)

    def styles(self, key: Any, count: int) -> Any:
        return jax.random.normal(key, (count, 3, self.matrix.shape[1]))

    def synthesised(self, styles: Any, key: Any) -> Any:
        return (styles.sum(1) @ self.matrix.T).reshape(len(styles), 2, -1, 1)


def test_the_path_lengths_of_a_linear_generator_are_known() -> None:
    """J is s A in every layer, so |Jᵀy| = s |Aᵀy|: the penalty at s, and the derivative by s, also through the mean."""
    matrix, batch = jnp.asarray(RNG.normal(size=(6, 4)), jnp.float32), {"image": np.zeros((8, 2, 3, 1))}
    term, key = PathLength(2.0, every=4, decay=0.25, share=0.5), jax.random.key(3)

    def penalty(scale: Any) -> Any:
        model = Drawing(scale * matrix)
        loss, metrics = term(model, batch, key, others={})
        return loss, (metrics["path_length"], model.path_length[...])

    (loss, (length, mean)), slope = jax.value_and_grad(penalty, has_aux=True)(jnp.float32(1.5))
    y = np.asarray(jax.random.normal(jax.random.split(key, 3)[2], (4, 2, 3, 1))).reshape(4, 6) / 6**0.5
    lengths = 1.5 * np.linalg.norm(y @ np.asarray(matrix), axis=1)
    after = 0.75 * 0.5 + 0.25 * lengths.mean()
    assert float(length) == pytest.approx(lengths.mean(), rel=1e-5)
    assert float(mean) == pytest.approx(after, rel=1e-5)
    assert float(loss) == pytest.approx(4 * 2 * np.mean((lengths - after) ** 2), rel=1e-4)
    by_scale = (lengths - 0.25 * lengths.mean()) / 1.5
    assert float(slope) == pytest.approx(4 * 2 * np.mean(2 * (lengths - after) * by_scale), rel=1e-4)


@pytest.mark.slow
def test_path_lengths_of_a_style_generator_are_those_of_its_explicit_jacobian() -> None:
    model = StyleGenerator(latent=2, style=3, mapping=1, channels=(4, 3), pixels=1).build(nnx.Rngs(0))
    key = jax.random.key(5)
    _, metrics = PathLength(share=1.0)(model, {"image": np.zeros((2, 8, 8, 1))}, key, others={})
    drawn, noise, normal = jax.random.split(key, 3)
    styles, y = model.styles(drawn, 2), jax.random.normal(normal, (2, 8, 8, 1)) / 8
    # Column by column, by a push forward of every unit vector of the styles: no derivative runs backwards here.
    lengths = []
    for i in range(2):
        squared = 0.0
        for place in np.ndindex(styles.shape[1:]):
            unit = jnp.zeros(styles.shape).at[(i, *place)].set(1.0)
            column = jax.jvp(lambda w: model.synthesised(w, noise), (styles,), (unit,))[1]
            squared += float((column * y)[i].sum()) ** 2 / styles.shape[1]
        lengths.append(squared**0.5)
    assert float(metrics["path_length"]) == pytest.approx(np.mean(lengths), rel=1e-4)
    assert float(model.path_length[...]) == pytest.approx(0.01 * np.mean(lengths), rel=1e-4)


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
