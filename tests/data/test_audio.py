"""The log-mel front end: tones where they belong, energies that add up, sound that comes back."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from stagejax.data.sound.audio import LogMel, hertz_to_mel, mel_to_hertz

MEL = LogMel(rate=8000, window=256, hop=64, bands=32)


def tone(hertz: float, samples: int = 4000) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(samples) / 8000).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(st.floats(150, 3700))
def test_a_tone_is_in_the_band_around_it(hertz: float) -> None:
    band = int(MEL(tone(hertz))[5:40].mean(0).argmax())
    width = 8000 / 256  # what a window can tell apart
    assert MEL.edges[band] - width <= hertz <= MEL.edges[band + 2] + width


def test_filters_share_every_frequency_between_the_outer_centres() -> None:
    hertz = np.arange(129) * 8000 / 256
    inside = (hertz >= MEL.centres[0]) & (hertz <= MEL.centres[-1])
    np.testing.assert_allclose(MEL.filters.sum(0)[inside], 1.0, rtol=1e-9)
    np.testing.assert_allclose(np.diff(np.asarray(hertz_to_mel(MEL.edges))), hertz_to_mel(4000.0) / 33, rtol=1e-9)
    np.testing.assert_allclose(mel_to_hertz(hertz_to_mel(hertz)), hertz, atol=1e-9)


def test_a_frame_is_the_transform_of_its_samples_by_hand() -> None:
    signal = np.random.RandomState(0).normal(size=1000).astype(np.float32)
    hann = np.array([np.sin(np.pi * n / 256) ** 2 for n in range(256)])
    k = np.arange(129)[:, None]
    piece = signal[3 * 64 : 3 * 64 + 256].astype(np.float64) * hann
    by_hand = np.abs((piece * np.exp(-2j * np.pi * k * np.arange(256) / 256)).sum(1)) ** 2
    np.testing.assert_allclose(MEL(signal)[3], np.log(1e-6 + MEL.filters @ by_hand), rtol=1e-5)
    assert MEL(signal).shape == (MEL.frames(1000), 32) == (16, 32)


def test_sound_comes_back() -> None:
    signal = tone(440) + 0.5 * tone(1500)
    again = MEL.sound(MEL(signal))
    before, after = MEL(signal)[4:50], MEL(again)[4:50]
    loud = before > before.max() - 5
    assert np.abs(before - after)[loud].mean() < 0.4
    assert np.abs(before - MEL(0 * signal)[4:50])[loud].mean() > 5  # as far is silence


def test_what_cannot_be_told_is_refused() -> None:
    with pytest.raises(ValueError, match="hold no frequency of a window of 64"):
        LogMel(window=64, bands=80)
    with pytest.raises(ValueError, match="at most 4000"):
        LogMel(high=5000.0)


def test_several_signals_at_once_are_each_as_alone() -> None:
    signals = np.random.RandomState(0).normal(size=(3, 2, 700)).astype(np.float32)
    frames = MEL(signals)
    assert frames.shape == (3, 2, MEL.frames(700), 32)
    np.testing.assert_allclose(frames[2, 1], MEL(signals[2, 1]), rtol=1e-6)
