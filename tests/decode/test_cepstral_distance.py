"""Warping against every path; cepstra against scipy's transform."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.fft import dct

from stagejax.decode.cepstral_distance import cepstral_distance, mel_cepstra, warped

RNG = np.random.default_rng(0)


def test_cepstra_are_the_cosine_transform() -> None:
    frames = RNG.normal(size=(2, 5, 20))
    np.testing.assert_allclose(mel_cepstra(frames), dct(frames / 2, norm="ortho")[..., 1:13], atol=1e-9)


def test_the_path_is_the_cheapest_of_all() -> None:
    cost, a, b = RNG.uniform(size=(3, 4, 5)), np.array([4, 3, 1]), np.array([5, 2, 4])
    for row, found in enumerate(warped(cost, a, b)):

        @cache
        def best(i: int, j: int, row: int = row) -> tuple[float, int]:
            steps = [(i - 1, j - 1), (i - 1, j), (i, j - 1)]
            total, places = min((best(*step) for step in steps if min(step) >= 0), default=(0.0, 0))
            return total + cost[row, i, j], places + 1

        total, places = best(a[row] - 1, b[row] - 1)
        np.testing.assert_allclose(found, total / places)


def test_speaking_slower_costs_nothing() -> None:
    a = RNG.normal(size=(1, 6, 3))
    slow = a.repeat(2, axis=1)
    assert cepstral_distance(a, slow, np.array([6]), np.array([12]), 20).tolist() == [0.0]


def test_it_is_the_difference_of_smooth_log_spectra_in_decibels() -> None:
    bands = 20
    tilt = np.cos(np.pi / bands * (np.arange(bands) + 0.5))  # of log amplitude, in nats; log energy is twice as much
    frames = RNG.normal(size=(1, 4, bands))
    cepstra = [mel_cepstra(frames + 2 * by * tilt) for by in (0.0, 0.3)]
    lengths = np.array([4])
    same_path = np.sqrt(np.mean(np.square(20 / np.log(10) * 0.3 * tilt)))
    assert 0 < cepstral_distance(*cepstra, lengths, lengths, bands)[0] <= same_path + 1e-9
    one = [own[:, :1] for own in cepstra]
    np.testing.assert_allclose(cepstral_distance(*one, np.array([1]), np.array([1]), bands), same_path)
