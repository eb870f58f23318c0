"""Extrapolation: the closed form, and what `Combine` says of the same models."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.growth import Combine
from stagejax.transforms.extrapolate import Extrapolate, random_twin

RNG = np.random.default_rng(0)


def tree() -> dict[str, Any]:
    return {
        "a": jnp.asarray(RNG.normal(size=(2, 3)), jnp.float32),
        "b": {"c": jnp.asarray(RNG.normal(size=4), jnp.float32)},
    }


START, ONE, OTHER = tree(), tree(), tree()


def test_it_steps_away_from_the_mean_of_the_others() -> None:
    params, rest = Extrapolate(0.5)(None, (START, {"seen": 1}), (ONE, {}), (OTHER, {}))
    mean = (ONE["a"] + OTHER["a"]) / 2
    np.testing.assert_allclose(params["a"], START["a"] + 0.5 * (START["a"] - mean), rtol=1e-5)
    assert rest == {"seen": 1}


def test_its_weights_are_those_of_negated_task_vectors() -> None:
    gamma = 1.5
    params, _ = Extrapolate(gamma)(None, (START, {}), (ONE, {}), (OTHER, {}))
    first, *others = Combine.tasks(-gamma / 2, -gamma / 2).weights
    combined = first * START["b"]["c"] + sum(w * x["b"]["c"] for w, x in zip(others, (ONE, OTHER), strict=True))
    np.testing.assert_allclose(params["b"]["c"], combined, rtol=1e-5, atol=1e-6)


def test_nothing_to_step_away_from_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Extrapolate(1.0)(None, ({"x": jnp.zeros(1)}, {}))


def test_a_random_twin_is_as_far_in_every_tensor_and_elsewhere() -> None:
    key = jax.random.key(3)
    params, rest = random_twin(key, (ONE, {}), (START, {"seen": 1}))
    assert rest == {"seen": 1}
    for twin, far, own in zip(*map(jax.tree.leaves, (params, ONE, START)), strict=True):
        gone, wanted = (np.asarray(x - own).ravel() for x in (twin, far))
        assert np.linalg.norm(gone) == pytest.approx(np.linalg.norm(wanted), rel=1e-5)
        assert abs(gone @ wanted) < 0.99 * np.linalg.norm(wanted) ** 2
    assert not np.allclose(params["a"], random_twin(jax.random.key(4), (ONE, {}), (START, {}))[0]["a"])
