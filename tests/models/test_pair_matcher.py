"""The pair matcher: what it reads of a text, from either side, and how it compares."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models.text.pair_matcher import PairMatcher, read

CONFIG = PairMatcher(embed=4, hidden=3, attention=2, mlp=5)
MODEL = CONFIG.build(nnx.Rngs(0))
X = jax.random.normal(jax.random.key(0), (2, 6, 4))
LENGTHS = jnp.array([6, 4])


def test_recurrence_is_that_of_the_cell() -> None:
    assert jnp.allclose(read(MODEL.forward, X), jax.vmap(MODEL.forward)(X), atol=1e-6)


@pytest.mark.slow
def test_the_backward_states_begin_at_the_last_real_token() -> None:
    states = MODEL.states(X, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        back = MODEL.backward(X[row, :length][::-1])[::-1]
        assert jnp.allclose(states[row, :length, 3:], back, atol=1e-6)
        assert jnp.allclose(states[row, :length, :3], MODEL.forward(X[row, :length]), atol=1e-6)


@pytest.mark.slow
def test_padding_is_not_seen() -> None:
    other = X.at[1, 4:].set(100.0)
    assert jnp.array_equal(MODEL.features(X, LENGTHS), MODEL.features(other, LENGTHS))
    assert not jnp.allclose(MODEL.features(X, LENGTHS), MODEL.features(X, jnp.array([6, 6])))


@pytest.mark.slow
def test_features_are_the_attended_states_and_the_logit_is_of_their_comparison() -> None:
    h = np.asarray(MODEL.states(X, LENGTHS))[1, :4]
    e = np.tanh(h @ MODEL.attend.kernel[...] + MODEL.attend.bias[...]) @ MODEL.weigh.kernel[...]
    a = np.exp(e) / np.exp(e).sum()
    r = MODEL.features(X, LENGTHS)
    np.testing.assert_allclose(r[1], (a * h).sum(0), rtol=1e-5)
    compared = jnp.concatenate([r[0], r[1], jnp.abs(r[0] - r[1]), r[0] * r[1]])
    logit = jax.nn.relu(compared @ MODEL.hide.kernel[...]) @ MODEL.score.kernel[...]
    batch = {"vectors": X[None].astype(jnp.float16), "length": LENGTHS[None]}
    assert jnp.allclose(MODEL(batch), logit, atol=2e-3)
