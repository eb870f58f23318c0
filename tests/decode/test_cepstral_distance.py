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
    assert cepstral_distance(a, slow, np.array([6]), np.array([12])).tolist() == [0.0]
    louder = cepstral_distance(a, a + 1, np.array([6]), np.array([6]))
    assert 0 < louder[0] <= 10 * np.sqrt(2) / np.log(10) * np.sqrt(3) + 1e-9
