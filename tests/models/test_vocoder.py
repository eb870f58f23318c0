"""Waves from spectra, and discriminators that see what they say they see."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax import axes
from stagejax.models.speech.text_to_frames import TextToFrames
from stagejax.models.speech.vocoder import Vocoder, inverse_transform, of_spectrum
from stagejax.models.speech.wave_discriminators import WaveDiscriminators, averaged, in_rows


def test_the_inverse_transform_gives_back_a_wave() -> None:
    hop, rng = 4, np.random.default_rng(0)
    wave = rng.normal(size=48)
    n, padded = 4 * hop, np.pad(wave, (3 * hop // 2, 5 * hop // 2))
    spectra = np.stack([np.fft.rfft(padded[hop * t : hop * t + n]) for t in range(12)])
    y = np.concatenate([np.log(np.abs(spectra)), np.angle(spectra)], -1)
    again = np.asarray(of_spectrum(jnp.asarray(y[None], jnp.float32), hop))[0]
    np.testing.assert_allclose(again[2 * hop : -2 * hop], wave[2 * hop : -2 * hop], atol=1e-4)


def test_windows_add_up_to_one() -> None:
    flat = np.zeros(18)
    flat[0] = 16.0  # a constant of 1
    frame = flat @ inverse_transform(16)
    np.testing.assert_allclose(frame.reshape(4, 4).sum(0), 1, atol=1e-6)


def test_periods_and_scales_see_every_sample_once() -> None:
    x = jnp.arange(10.0)[None]
    assert in_rows(x, 5)[..., 0].tolist() == [[0, 5], [1, 6], [2, 7], [3, 8], [4, 9]]
    assert float(in_rows(x, 3).sum()) == 45
    assert averaged(x, 4)[0].tolist() == [1.5, 5.5]


@pytest.mark.slow
@pytest.mark.parametrize(
    "config", [Vocoder(), Vocoder(rates=(5, 4), fourier=8), WaveDiscriminators(), TextToFrames()], ids=repr
)
def test_every_axis_has_its_size(config: object) -> None:
    model = nnx.eval_shape(lambda: config.build(nnx.Rngs(0)))  # type: ignore[attr-defined]
    sizes = config.sizes()  # type: ignore[attr-defined]
    for _, leaf in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        named = zip(leaf.get_metadata()["axes"].names, leaf.get_value().shape, strict=True)
        assert all(sizes[name] == size for name, size in named)
    assert axes.axes_of(model)
