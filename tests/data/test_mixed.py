"""Mixed and erased images: shares are those of the pixels, both ways to mix occur, boxes have the size they say."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.data.pictures.mixing import erased, mixed
from stagejax.objectives.loss import smoothed


@pytest.mark.slow
def test_the_share_is_that_of_the_pixels_and_both_ways_occur() -> None:
    images = jnp.stack([jnp.zeros((12, 12, 3)), jnp.ones((12, 12, 3))])
    made, share = jax.vmap(lambda key: mixed(key, images))(jax.random.split(jax.random.key(0), 200))
    np.testing.assert_allclose(made[:, 0].mean((1, 2, 3)), 1 - share, atol=1e-5)
    np.testing.assert_allclose(made[:, 1].mean((1, 2, 3)), share, atol=1e-5)
    whole = np.isin(np.asarray(made), (0.0, 1.0)).all((1, 2, 3, 4))
    assert 60 < whole.sum() < 140  # boxes hold whole pixels, blends do not
    assert np.std(np.asarray(share)) > 0.1


@pytest.mark.slow
def test_erased_boxes_are_noise_of_their_area() -> None:
    images = jnp.full((400, 32, 32, 1), 7.0)
    gone = np.asarray(erased(jax.random.key(1), images, probability=0.5)) != 7.0
    hit = gone.any((1, 2, 3))
    assert 0.4 < hit.mean() < 0.6
    assert 0.02 < gone[hit].mean() < 1 / 3
    noise = np.asarray(erased(jax.random.key(1), images, probability=0.5))[gone]
    assert abs(noise.mean()) < 0.05
    assert abs(noise.std() - 1) < 0.05


def test_smoothing_is_the_cross_entropy_of_smoothed_targets() -> None:
    logits = jax.random.normal(jax.random.key(0), (5, 4))
    targets = jnp.array([0, 3, 1, 1, 2])
    weights = 0.9 * jax.nn.one_hot(targets, 4) + 0.1 / 4
    expected = -(weights * jax.nn.log_softmax(logits)).sum(-1)
    np.testing.assert_allclose(smoothed(logits, targets, 0.1), expected, rtol=1e-5)
