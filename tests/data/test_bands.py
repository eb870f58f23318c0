"""The Fourier crop: against the discrete Fourier transform, exact for what lies in the band, deaf to all else."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data.pictures.bands import fourier_crop, low_pass, resized
from stagejax.ledger import count_flops


def by_transform(images: np.ndarray, side: int) -> np.ndarray:
    """The definition: transform, cut the middle of the shifted spectrum out, transform back, scale."""
    _, Y, X, _ = images.shape
    spectrum = np.fft.fftshift(np.fft.fft2(images, axes=(1, 2)), axes=(1, 2))
    top, left = Y // 2 - side // 2, X // 2 - side // 2
    cut = np.fft.ifftshift(spectrum[:, top : top + side, left : left + side], axes=(1, 2))
    return np.fft.ifft2(cut, axes=(1, 2)).real * side * side / (Y * X)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@settings(max_examples=12, deadline=None)
@given(st.sampled_from([(16, 16, 6), (16, 16, 16), (14, 14, 10), (12, 16, 8), (15, 15, 8)]), st.integers(0, 99))
def test_it_is_the_crop_of_the_spectrum(sizes: tuple[int, int, int], seed: int) -> None:
    Y, X, side = sizes
    images = noise(2, Y, X, 3, seed=seed)
    np.testing.assert_allclose(fourier_crop(jnp.asarray(images), side), by_transform(images, side), atol=2e-6)


def test_waves_in_the_band_are_sampled_exactly_and_others_vanish() -> None:
    rows, columns = np.meshgrid(np.arange(32) / 32, np.arange(32) / 32, indexing="ij")
    small_rows, small_columns = np.meshgrid(np.arange(22) / 22, np.arange(22) / 22, indexing="ij")

    def wave(y: np.ndarray, x: np.ndarray, up: int, along: int) -> np.ndarray:
        return np.cos(2 * np.pi * (up * y + along * x) + 0.3)[None, ..., None].astype(np.float32)

    inside = fourier_crop(jnp.asarray(wave(rows, columns, 3, -10)), 22)
    np.testing.assert_allclose(inside, wave(small_rows, small_columns, 3, -10), atol=1e-5)
    for outside in ((12, 0), (0, 15), (14, 14), (3, 13)):
        assert float(abs(fourier_crop(jnp.asarray(wave(rows, columns, *outside)), 22)).max()) < 1e-5


def test_means_are_kept_and_normalising_may_come_before_or_behind() -> None:
    images = jnp.asarray(noise(2, 16, 16, 3))
    small = fourier_crop(images, 10)
    np.testing.assert_allclose(small.mean((1, 2)), images.mean((1, 2)), atol=1e-6)
    np.testing.assert_allclose(fourier_crop((images - 0.5) / 0.25, 10), (small - 0.5) / 0.25, atol=1e-5)


def test_low_pass_keeps_the_size_and_what_the_crop_keeps() -> None:
    images = jnp.asarray(noise(2, 16, 16, 1))
    kept = low_pass(images, 10)
    assert kept.shape == images.shape
    spectrum = np.fft.fftshift(np.abs(np.fft.fft2(np.asarray(kept), axes=(1, 2))), axes=(1, 2))
    outside = np.ones((16, 16), bool)
    outside[3:14, 3:14] = False  # frequencies -5..5: the real part puts half of -5 on 5
    assert spectrum[:, outside].max() < 1e-4
    np.testing.assert_allclose(low_pass(kept, 12), kept, atol=1e-5)


def test_the_smaller_images_are_smaller_tensors_and_cheap() -> None:
    images = jnp.zeros((4, 32, 32, 3))
    assert fourier_crop(images, 22).shape == (4, 22, 22, 3)
    assert fourier_crop(images, 32) is images
    made = count_flops(lambda x: fourier_crop(x, 22), images)
    assert made == 2 * 2 * 4 * 3 * (22 * 32 * 32 + 22 * 32 * 22)


@pytest.mark.parametrize("side", [7, 0, 18])
def test_a_band_that_is_none_is_refused(side: int) -> None:
    with pytest.raises(ValueError, match="give an even one of at most 16"):
        fourier_crop(jnp.zeros((1, 16, 16, 1)), side)


def test_resizing_aliases_what_the_crop_leaves_out() -> None:
    stripes = np.tile(np.array([1.0, 0.0, 0.0], np.float32), 4).reshape(1, 1, 12, 1).repeat(12, axis=1)
    cropped, smaller = (np.asarray(shrink(jnp.asarray(stripes), 6)) for shrink in (fourier_crop, resized))
    assert smaller.shape == cropped.shape
    assert np.ptp(cropped) < 1e-5 < np.ptp(smaller)
