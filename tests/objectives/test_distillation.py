"""Distillation losses: closed forms, gradients, and what they do without a teacher."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.objectives.classification import classification
from stagejax.objectives.distillation import (
    adaptive_alpha_divergence,
    alpha_divergence,
    distillation,
    kl_divergence,
    soft_cross_entropy,
    soft_targets,
)

RNG = np.random.RandomState(0)
Z, T = (jnp.asarray(RNG.normal(size=(5, 7)), jnp.float32) for _ in range(2))
P, LABELS = jax.nn.softmax(T), jnp.asarray(RNG.randint(0, 7, 5))


def plain_divergence(z, p, alpha):
    q = jax.nn.softmax(z)
    return jnp.sum(q * ((p / q) ** alpha - 1), -1) / (alpha * (alpha - 1))


@pytest.mark.parametrize("alpha", [-1.0, 0.5, 2.0])
def test_alpha_divergence_and_its_gradient_are_those_of_the_formula(alpha) -> None:
    np.testing.assert_allclose(alpha_divergence(Z, P, alpha), plain_divergence(Z, P, alpha), rtol=1e-4)
    ours, plain = (jax.grad(lambda z, f=f: f(z, P, alpha).sum())(Z) for f in (alpha_divergence, plain_divergence))
    np.testing.assert_allclose(ours, plain, rtol=2e-3, atol=1e-5)


def test_alpha_one_is_the_limit_and_kl() -> None:
    np.testing.assert_allclose(alpha_divergence(Z, P, 1.0), plain_divergence(Z, P, 1.001), rtol=2e-2)
    kl = jnp.sum(P * (jax.nn.log_softmax(T) - jax.nn.log_softmax(Z)), -1)
    np.testing.assert_allclose(alpha_divergence(Z, P, 1.0), kl, rtol=1e-4)
    with pytest.raises(ValueError, match="alpha=0"):
        alpha_divergence(Z, P, 0.0)


def test_clipping_bounds_the_gradient_where_the_teacher_denies_what_the_student_says() -> None:
    sure, denied = jnp.array([[8.0, 0.0]]), jnp.array([[1e-6, 1.0 - 1e-6]])
    size = lambda clip: jnp.abs(jax.grad(lambda z: alpha_divergence(z, denied, -1.0, clip).sum())(sure)).max()  # noqa: E731
    assert size(None) > 100
    assert size(5.0) < 0.01


def test_the_adaptive_one_takes_the_larger_for_every_example() -> None:
    low, high = alpha_divergence(Z, P, -1.0, 5.0), alpha_divergence(Z, P, 1.0)
    assert bool((low > high).any())
    assert bool((low < high).any())
    np.testing.assert_array_equal(adaptive_alpha_divergence(Z, P), jnp.maximum(low, high))
    grads = [jax.grad(lambda z, f=f: f(z).sum())(Z) for f in (
        partial(adaptive_alpha_divergence, targets=P),
        partial(alpha_divergence, targets=P, alpha=-1.0, clip=5.0),
        partial(alpha_divergence, targets=P, alpha=1.0),
    )]  # fmt: skip
    np.testing.assert_allclose(grads[0], jnp.where((low > high)[:, None], grads[1], grads[2]), atol=1e-6)


def test_soft_losses() -> None:
    one_hot = jax.nn.one_hot(LABELS, 7)
    np.testing.assert_allclose(soft_cross_entropy(Z, one_hot), -jax.nn.log_softmax(Z)[jnp.arange(5), LABELS], rtol=1e-6)
    np.testing.assert_allclose(kl_divergence(Z, one_hot), soft_cross_entropy(Z, one_hot), rtol=1e-6)
    sharp = (jax.nn.softmax(5 * T) + jax.nn.softmax(5 * Z)) / 2
    np.testing.assert_allclose(soft_targets((T, Z), 0.2), sharp, rtol=1e-5)


def test_distillation_mixes_labels_and_teachers() -> None:
    batch = {"image": Z, "label": LABELS, "logits": T, "second": Z}

    def model(z, key):
        return z

    soft = float(distillation(model, batch, None, temperature=2.0)[0])
    expected = 4 * kl_divergence(Z / 2, jax.nn.softmax(T / 2)).mean()
    assert soft == pytest.approx(float(expected), rel=1e-5)
    hard = float(classification(model, batch, None)[0])
    mixed = float(distillation(model, batch, None, alpha=0.25, temperature=2.0)[0])
    assert mixed == pytest.approx(0.75 * hard + 0.25 * soft, rel=1e-5)
    several = float(distillation(model, batch, None, teachers=("logits", "second"))[0])
    both = (jax.nn.softmax(T) + jax.nn.softmax(Z)) / 2
    assert several == pytest.approx(float(kl_divergence(Z, both).mean()), rel=1e-4)


def test_without_a_teacher_it_scores_the_labels() -> None:
    batch = {"image": Z, "label": LABELS}
    loss, metrics = distillation(lambda z, key: z, batch, None)
    plain, known = classification(lambda z, key: z, batch, None)
    assert float(loss) == pytest.approx(float(plain))
    assert float(metrics["accuracy"][0]) == float(known["accuracy"][0])
