"""Linear probes against their optimality conditions, few-shot classification, and risks over environments."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.objectives.probing import few_shot_accuracy, linear_probe, probe_accuracy
from stagejax.objectives.tasks.invariance import risks, vrex

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)).astype(np.float32)
Y = (X @ RNG.normal(size=(3, 4)) + RNG.normal(size=(40, 4))).argmax(1)


@pytest.mark.parametrize("invariance", [0.0, 5.0])
def test_a_probe_ends_where_its_gradient_vanishes(invariance: float) -> None:
    environments = np.arange(40) % 2
    kernel, bias = linear_probe(X, Y, 0.1, classes=4, environments_B=environments, invariance=invariance)

    def loss(kernel: jax.Array, bias: jax.Array) -> jax.Array:
        own = [-jax.nn.log_softmax(X @ kernel + bias)[np.arange(40), Y][environments == e].mean() for e in (0, 1)]
        return sum(own) / 2 + invariance * (own[0] - own[1]) ** 2 / 4 + 0.05 * jnp.sum(kernel**2)

    for gradient in jax.grad(loss, argnums=(0, 1))(jnp.asarray(kernel), jnp.asarray(bias)):
        assert float(jnp.abs(gradient).max()) < 2e-3


def test_vrex_brings_the_risks_together() -> None:
    environments = (np.arange(40) < 8).astype(np.int32)
    spread = []
    for weight in (0.0, 100.0):
        kernel, bias = linear_probe(X, Y, 0.01, classes=4, environments_B=environments, invariance=weight)
        spread.append(float(risks(jnp.asarray(X @ kernel + bias), jnp.asarray(Y), jnp.asarray(environments), 2).std()))
    assert spread[1] < 0.2 * spread[0]


def test_risks_are_means_over_their_own_examples() -> None:
    logits, labels = jnp.asarray(RNG.normal(size=(6, 3))), jnp.asarray([0, 1, 2, 0, 1, 2])
    own = -jax.nn.log_softmax(logits)[np.arange(6), labels]
    found = risks(logits, labels, jnp.asarray([0, 0, 0, 0, 1, 1]), 3)
    np.testing.assert_allclose(found, [own[:4].mean(), own[4:].mean(), 0.0], rtol=1e-5)
    assert float(vrex(found, 0.0)) == pytest.approx(float(found.mean()))


def test_a_probe_takes_the_decay_that_validates_best() -> None:
    test = RNG.normal(size=(200, 3)).astype(np.float32)
    labels = (test @ np.ones((3, 4)) * 0 + test[:, :1] * np.array([[1.0, -1.0, 0, 0]])).argmax(1)
    parts, truth = [X, test, test], [(X[:, :1] * np.array([[1.0, -1.0, 0, 0]])).argmax(1), labels, labels]
    alone = [probe_accuracy(parts, truth, (decay,), classes=4) for decay in (1e-3, 10.0)]
    assert probe_accuracy(parts, truth, (10.0, 1e-3), classes=4) == max(alone)


def test_few_shot_of_directions_ignores_their_length() -> None:
    angles = np.repeat([0.0, 1.5, 3.0], 6) + RNG.normal(size=18) * 0.05
    features = np.stack([np.cos(angles), np.sin(angles)], 1) * RNG.uniform(0.1, 10, size=(18, 1))
    labels = np.repeat([0, 1, 2], 6)
    how = {"ways": 3, "shots": 2, "queries": 3, "episodes": 10, "seed": 1}
    assert few_shot_accuracy(features, labels, **how) == 1.0
    shuffled = few_shot_accuracy(features, RNG.permutation(labels), **how)
    assert shuffled < 0.8
    with pytest.raises(ValueError, match="fewer than shots"):
        few_shot_accuracy(features, labels, ways=2, shots=4, queries=3, episodes=1, seed=0)
