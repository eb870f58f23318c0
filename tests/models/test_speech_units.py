"""What an encoder of units and a net of speakers may see: no hidden frame, nothing beyond the utterance."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models.speech.speaker_net import SpeakerNet
from stagejax.models.speech.speech_units import UnitEncoder

pytestmark = pytest.mark.slow  # builds models

FRAMES = jax.random.normal(jax.random.key(0), (2, 8, 5))
REAL = jnp.arange(8) < jnp.array([[8], [5]])
ENCODER = UnitEncoder(5, (6,), (1,), (1,), embed=8, layers=2, heads=2, mlp=8, units=4)


def test_hidden_frames_are_not_seen() -> None:
    model = ENCODER.build(nnx.Rngs(0))
    hidden = jnp.zeros((2, 8), bool).at[:, 3].set(True)
    one, other = (model(FRAMES.at[:, 3].add(by), REAL, hidden) for by in (0.0, 5.0))
    np.testing.assert_array_equal(one, other)
    seen = model(FRAMES.at[:, 3].add(5.0), REAL, jnp.zeros_like(hidden))
    assert not jnp.allclose(seen, model(FRAMES, REAL, jnp.zeros_like(hidden)))


def test_nothing_beyond_the_utterance_is_seen() -> None:
    model = ENCODER.build(nnx.Rngs(0))
    one, other = (model.features(FRAMES.at[1, 5:].add(by), REAL) for by in (0.0, 5.0))
    np.testing.assert_allclose(one[1, :5], other[1, :5], atol=1e-6)
    net = SpeakerNet(5, (6,), (3,), (1,), 4, 2).build(nnx.Rngs(0))
    one, other = (net.vectors(FRAMES.at[1, 5:].add(by), REAL) for by in (0.0, 5.0))
    np.testing.assert_allclose(one, other, atol=1e-6)
    np.testing.assert_allclose(jnp.square(one).mean(-1), 1, rtol=1e-4)


def test_samples_become_frames() -> None:
    raw = UnitEncoder(1, (4, 4), (5, 4), (10, 8), embed=8, layers=1, heads=2, mlp=8, units=4)
    assert raw.build(nnx.Rngs(0)).features(jnp.zeros((1, 60, 1)), jnp.ones((1, 3), bool)).shape == (1, 3, 8)
