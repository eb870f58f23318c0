"""The autoencoder against a discriminator: closed forms, whose gradient goes where, and one that comes to look real."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.objectives.pictures.autoencoding import Autoencoding
from stagejax.objectives.pictures.realistic import Realistic, frames_of, real_or_decoded

VIDEO = jax.random.uniform(jax.random.key(0), (2, 3, 4, 4, 1))
BATCH = {"video": VIDEO}


def brightness(frames):
    return 3 * frames.mean((1, 2, 3)) - 1


def darker(video, key):
    return video * 0.5, video, 0 * video


def test_the_sum_is_that_of_its_parts() -> None:
    base = Autoencoding(squared=2.0)
    loss, metrics = Realistic(base, 0.3)(darker, BATCH, None, others={"discriminator": brightness})
    unreal = np.log1p(np.exp(-np.asarray(brightness(0.5 * VIDEO.reshape(6, 4, 4, 1))))).mean()
    np.testing.assert_allclose(metrics["unreal"], unreal, rtol=1e-5)
    near, parts = base(darker, BATCH, None)
    np.testing.assert_allclose(loss, near + 0.3 * unreal, rtol=1e-5)
    assert {name: metrics[name] for name in ("l1", "l2", "kl")} == {name: parts[name] for name in ("l1", "l2", "kl")}
    assert metrics["loss"] == loss


def test_the_discriminator_tells_frames_from_their_decoded_selves() -> None:
    others = {"autoencoder": darker}

    def own(scale, video):
        return real_or_decoded(lambda x: scale * (x.mean((1, 2, 3)) - 0.4), {"video": video}, None, others=others)

    loss, metrics = own(8.0, VIDEO)
    x = 8 * (np.asarray(VIDEO).mean((2, 3, 4)).ravel() - 0.4)
    y = 8 * (np.asarray(VIDEO).mean((2, 3, 4)).ravel() / 2 - 0.4)
    np.testing.assert_allclose(loss, np.log1p(np.exp(-x)).mean() + np.log1p(np.exp(y)).mean(), rtol=1e-4)
    assert (metrics["real"], metrics["decoded"]) == ((x > 0).mean(), 1.0)
    assert jax.grad(lambda scale: own(scale, VIDEO)[0])(1.0) < 0  # surer is better


def test_what_is_decoded_moves_towards_what_passes_for_real() -> None:
    def slope(weight):
        objective = Realistic(Autoencoding(), weight)

        def loss(shift):
            return objective(lambda x, key: (x + shift, x, x), BATCH, None, others={"discriminator": brightness})[0]

        return jax.grad(loss)(jnp.float32(1e-3))

    assert slope(5.0) < 0 < slope(0.0)  # brighter; nearer
    assert frames_of(VIDEO)[4, 0, 0, 0] == VIDEO[1, 1, 0, 0, 0]
