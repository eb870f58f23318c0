"""Sensitivities against numpy, one text and one coordinate at a time; masks drop what they say."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.transforms.sensitivity import AtRandom, MostSensitive, sensitivity, variability_of_texts

SEEN = np.random.default_rng(0).normal(size=(4, 5, 7)).astype(np.float32)


def test_sensitivity_is_over_checkpoints() -> None:
    wanted = np.zeros(7)
    for i in range(7):
        for j in range(5):
            path = SEEN[:, j, i].astype(np.float64)
            wanted[i] += sum(abs(path[t] - path[t - 1]) for t in range(1, 4)) * np.var(path) / 5
    np.testing.assert_allclose(sensitivity(jnp.array(SEEN)), wanted, rtol=1e-5)


def test_the_released_statistic_is_over_texts() -> None:
    mean = SEEN.astype(np.float64).mean(0)
    wanted = [sum(abs(mean[j, i] - mean[j - 1, i]) for j in range(1, 5)) * np.var(mean[:, i]) for i in range(7)]
    np.testing.assert_allclose(variability_of_texts(jnp.array(SEEN)), wanted, rtol=1e-5)
    still = jnp.broadcast_to(SEEN[0], (4, 5, 7))  # nothing moves between checkpoints
    assert sensitivity(still).max() < 1e-10
    assert variability_of_texts(still).min() > 1e-3


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(5)), st.floats(0.5, 4.0))
def test_texts_have_no_order_and_scale_counts_three_times(order: list[int], scale: float) -> None:
    found = sensitivity(jnp.array(SEEN))
    np.testing.assert_allclose(sensitivity(jnp.array(SEEN[:, order])), found, rtol=1e-4)
    np.testing.assert_allclose(sensitivity(scale * jnp.array(SEEN)), scale**3 * found, rtol=1e-4)


@pytest.mark.parametrize(("share", "dropped"), [(0.0, 0), (0.2, 1), (3 / 7, 3), (0.99, 6)])
def test_the_floor_of_the_share_is_dropped(share: float, dropped: int) -> None:
    kept = MostSensitive(share)(jnp.array(SEEN), jax.random.key(0))
    order = np.argsort(-np.asarray(sensitivity(jnp.array(SEEN))))
    assert set(np.flatnonzero(kept == 0)) == set(order[:dropped].tolist())
    assert AtRandom(share)(jnp.array(SEEN), jax.random.key(0)).sum() == 7 - dropped


def test_random_coordinates_are_drawn_evenly_whatever_was_seen() -> None:
    keys = jax.random.split(jax.random.key(0), 3000)
    kept = jax.vmap(lambda key: AtRandom(2 / 7)(jnp.array(SEEN), key))(keys)
    np.testing.assert_allclose(kept.mean(0), 5 / 7, atol=0.04)
    with pytest.raises(ValueError, match=r"share=1\.0"):
        AtRandom(1.0)
