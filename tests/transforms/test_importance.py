"""Importance: scores against numpy, as many entries as the released code marks, ties, and zeros where marked."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.transforms.importance import largest, squared_norms, wanda, without

RANDOM = np.random.default_rng(0)


def test_scores_are_those_of_running_over_sequences_one_by_one() -> None:
    x, weight = RANDOM.normal(size=(3, 4, 5)), RANDOM.normal(size=(5, 2))
    lengths = np.array([4, 2, 1])
    running = np.zeros(5)
    for n, (own, length) in enumerate(zip(x, lengths, strict=True)):  # as the released code accumulates
        running = running * n / (n + 1) + (own[:length] ** 2).sum(0) / (n + 1)
    counted = np.arange(4) < lengths[:, None]
    found = wanda(jnp.float32(weight), squared_norms(jnp.float32(x), jnp.asarray(counted)))
    np.testing.assert_allclose(found, np.abs(weight) * np.sqrt(running)[:, None], rtol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(0, 20))
def test_every_row_loses_as_many_as_the_released_code_marks(inputs: int, twentieths: int) -> None:
    share = twentieths / 20
    scores = RANDOM.normal(size=(inputs, 3)).astype(np.float32)
    mask = np.asarray(largest(jnp.asarray(scores), share))
    kept = inputs * (20 - twentieths) // 20  # int(columns * (1 - share)), in whole numbers
    assert (mask.sum(0) == inputs - kept).all()
    for column, own in zip(scores.T, mask.T, strict=True):
        assert not own.any() or own.all() or column[own].min() >= column[~own].max()


def test_a_tensor_is_ranked_as_one_and_each_layer_for_itself() -> None:
    scores = jnp.asarray(RANDOM.permutation(24).reshape(2, 4, 3).astype(np.float32))
    mask = np.asarray(largest(scores, 0.25, "tensor"))
    for own, marked in zip(np.asarray(scores), mask, strict=True):
        assert set(own[marked]) == set(np.sort(own.ravel())[-3:])
    assert np.asarray(largest(jnp.ones((3, 2)), 0.3)).tolist() == [[True, True], [False, False], [False, False]]
    with pytest.raises(ValueError, match="choose 0"):
        largest(scores, 1.5)


def test_what_is_marked_is_zero_and_nothing_else_changes() -> None:
    params = {"a": {"kernel": jnp.arange(1.0, 5.0)}, "b": jnp.ones(2)}
    found = without(params, {"a": {"kernel": jnp.array([True, False, False, True])}})
    assert found["a"]["kernel"].tolist() == [0, 2, 3, 0]
    assert found["b"] is params["b"]
