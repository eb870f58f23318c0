"""The losses of vocoders against their formulas on nets of a line."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.data.sound.audio import LogMel
from stagejax.objectives.sound.spectral import log_mel, mel_distance
from stagejax.objectives.sound.vocoding import Vocoded, told_apart

MEL = LogMel(window=64, hop=32, bands=8, floor=1e-6)
REAL = jnp.asarray(np.random.default_rng(0).normal(size=(2, 128)), jnp.float32)
BATCH = {"frames": jnp.zeros((2, 4, 3)), "speaker": jnp.zeros((2, 2)), "signal": REAL}


def discriminator(signals: Any) -> Any:
    return [signals[:, :2], 2 * signals[:, 2:3]], [[signals], [3 * signals]]


def generator(frames: Any, speaker: Any, *, train: bool, still: bool = False) -> Any:
    assert train
    return REAL / 2


def test_the_discriminators_see_the_made_beside_the_real() -> None:
    loss, metrics = told_apart(discriminator, BATCH, None, others={"generator": generator})
    real, fake = discriminator(REAL)[0], discriminator(REAL / 2)[0]
    wanted = sum(float(jnp.square(x - 1).mean()) for x in real) + sum(float(jnp.square(x).mean()) for x in fake)
    np.testing.assert_allclose(loss, wanted, rtol=1e-5)
    assert 0 <= float(metrics["real"]) <= 1


def test_the_generator_owes_three_terms() -> None:
    loss, metrics = Vocoded(MEL, 2.0, 45.0)(generator, BATCH, None, others={"discriminator": discriminator})
    fooled = sum(float(jnp.square(x - 1).mean()) for x in discriminator(REAL / 2)[0])
    matched = float(jnp.abs(REAL / 2).mean()) * (1 + 3)
    np.testing.assert_allclose(metrics["matched"], matched, rtol=1e-5)
    np.testing.assert_allclose(loss, fooled + 2 * matched + 45 * float(mel_distance(MEL, REAL / 2, REAL)), rtol=1e-5)
    alone, _ = Vocoded(MEL, adversarial=0.0)(generator, BATCH, None, others={"discriminator": discriminator})
    np.testing.assert_allclose(alone, 45 * metrics["mel"], rtol=1e-5)


@pytest.mark.slow
def test_spectrograms_are_those_of_the_data() -> None:
    signals = np.random.default_rng(1).normal(size=(3, 500)).astype(np.float32)
    np.testing.assert_allclose(log_mel(MEL, jnp.asarray(signals)), MEL(signals), atol=1e-3)
