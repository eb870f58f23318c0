"""PCGrad: the projections of its algorithm, done on vectors; nothing is changed where nothing conflicts."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.objectives.tasks.gradient_surgery import combined, conflicts, gram, projection

RANDOM = np.random.default_rng(0)


def test_the_gram_matrix_is_that_of_all_leaves_together() -> None:
    tree = {"a": RANDOM.normal(size=(3, 2, 5)).astype(np.float32), "b": RANDOM.normal(size=(3, 4)).astype(np.float32)}
    flat = np.concatenate([tree["a"].reshape(3, -1), tree["b"]], 1)
    np.testing.assert_allclose(gram(jax.tree.map(jnp.asarray, tree)), flat @ flat.T, rtol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_projections_are_those_of_the_algorithm_on_vectors(seed: int) -> None:
    vectors, key = np.random.default_rng(seed).normal(size=(4, 6)), jax.random.key(seed)
    found = projection(gram(jnp.asarray(vectors, jnp.float32)), key) @ vectors
    for task, own in enumerate(jax.random.split(key, 4)):
        g = vectors[task].copy()
        for other in np.asarray(jax.random.permutation(own, 4)):
            if other != task and g @ vectors[other] < 0:
                g -= g @ vectors[other] / (vectors[other] @ vectors[other]) * vectors[other]
        np.testing.assert_allclose(found[task], g, atol=1e-5)


def test_of_two_tasks_each_ends_at_right_angles_to_the_other() -> None:
    vectors = jnp.array([[1.0, 0.2, 0.0], [-1.0, 0.5, 0.3]])
    found = projection(gram(vectors), jax.random.key(0)) @ vectors
    np.testing.assert_allclose([found[0] @ vectors[1], found[1] @ vectors[0]], 0, atol=1e-6)


def test_without_conflict_and_without_gradient_nothing_changes() -> None:
    vectors = jnp.array([[1.0, 0.0], [0.5, 1.0], [0.0, 0.0]])
    np.testing.assert_array_equal(projection(gram(vectors), jax.random.key(0)), jnp.eye(3))
    assert [float(x) for x in conflicts(gram(vectors))] == [0, 1]  # a task without a gradient is in no pair


def test_conflicting_pairs_are_counted_once() -> None:
    vectors = jnp.array([[1.0, 0.0], [-1.0, 0.1], [0.5, 1.0]])
    assert [float(x) for x in conflicts(gram(vectors))] == [2, 3]


def test_gradients_are_combined_leaf_by_leaf() -> None:
    tree = {"w": jnp.arange(6.0).reshape(2, 3), "b": jnp.array([1.0, 10.0])}
    found = combined(tree, jnp.array([2.0, -1.0]))
    np.testing.assert_allclose(found["w"], [-3, -2, -1])
    np.testing.assert_allclose(found["b"], -8)
