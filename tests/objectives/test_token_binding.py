"""Losses of maps and velocities against arithmetic by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.objectives.pictures.token_binding import (
    binding_error,
    least_excited,
    map_entropy,
    maps_of_entities,
    most_entropy,
)

RNG = np.random.default_rng(0)
MAPS = jnp.asarray(RNG.dirichlet(np.ones(5), size=(2, 6)), jnp.float32)  # B 2, P 6, S 5
WORDS = jnp.array([[False, True, True, True, False]] * 2)
PLACES = jnp.array([[1, 3], [2, 3]])


def test_maps_are_softmaxes_over_words_alone() -> None:
    found = np.asarray(maps_of_entities(MAPS, WORDS, PLACES, 0.5))
    scores = np.exp(np.asarray(MAPS)[..., 1:4] / 0.5)
    shares = scores / scores.sum(-1, keepdims=True)
    expected = np.stack([shares[0][:, [0, 2]].T, shares[1][:, [1, 2]].T])
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_entropy_is_twice_that_of_scaled_maps() -> None:
    maps = np.asarray(maps_of_entities(MAPS, WORDS, PLACES))
    raised = maps - maps.min(-1, keepdims=True)
    shares = raised / raised.sum(-1, keepdims=True)
    expected = -2 * (shares * np.log(shares + 1e-5)).sum((-1, -2))
    np.testing.assert_allclose(np.asarray(map_entropy(jnp.asarray(maps))), expected, rtol=1e-4)
    assert (expected < most_entropy(2, 6)).all()


def test_entropy_of_a_flat_map_has_no_infinite_gradient() -> None:
    gradient = jax.grad(lambda maps: map_entropy(maps).sum())(jnp.full((1, 1, 4), 0.25))
    assert np.isfinite(np.asarray(gradient)).all()


def test_descending_the_entropy_concentrates_a_map() -> None:
    scores = jnp.asarray(RNG.normal(size=(1, 1, 12)), jnp.float32)
    loss = jax.jit(jax.value_and_grad(lambda s: map_entropy(jax.nn.softmax(s)).sum()))
    first, _ = loss(scores)
    for _ in range(20):
        scores = scores - 0.3 * loss(scores)[1]
    assert loss(scores)[0] < first - 0.5


def test_the_most_neglected_entity_counts() -> None:
    maps = jnp.array([[[0.2, 0.9], [0.3, 0.4]], [[1.0, 0.0], [0.95, 0.2]]])
    np.testing.assert_allclose(least_excited(maps), [0.6, 0.05], atol=1e-6)


def test_anchors_are_not_moved_by_the_binding_error() -> None:
    own, anchor = jnp.ones((1, 2, 3)), jnp.zeros((1, 2, 3))
    assert binding_error(own, anchor).tolist() == [2.0]
    gradients = jax.grad(lambda pair: binding_error(*pair).sum())((own, anchor))
    np.testing.assert_allclose(gradients[0], np.full((1, 2, 3), 2 / 3), rtol=1e-6)
    assert not gradients[1].any()
