"""Pairs of words: who says them, which are never said, how loud the noise is; and pieces of waves with their frames."""

from __future__ import annotations

import numpy as np
import pytest

from stagejax.data.sound.framed_waves import FramedWaves
from stagejax.data.sound.speech import Tones, recorded
from stagejax.data.sound.word_pairs import WordPairs, with_noise

TONES = Tones(limit=150)


def test_utterances_are_two_clips_of_one_speaker() -> None:
    made = WordPairs(TONES, 5, 5120).made(seed=3)
    signals, words, owners = recorded(TONES)
    assert made["speaker"].tolist() == [0] * 5 + [1] * 5 + [2] * 5
    for signal, length, pair, who in zip(*made.values(), strict=True):
        assert not signal[length:].any()
        np.testing.assert_allclose(np.sqrt(np.square(signal[:length]).mean()), 0.1, rtol=1e-4)
        candidates = [np.flatnonzero((words == word) & (owners == who)) for word in pair]
        assert length in {len(signals[a]) + len(signals[b]) for a in candidates[0] for b in candidates[1]}


def test_pairs_are_left_out_or_said_in_turn() -> None:
    away = {(a, b) for a in range(10) for b in range(10) if (a + b) % 3}
    made = WordPairs(TONES, 30, 5120, away).made(seed=0)
    assert not {tuple(pair) for pair in made["words"].tolist()} & away
    made = WordPairs(TONES, 3, 5120, only=((1, 2), (2, 1))).made(seed=0, speakers=(1,))
    assert made["words"].tolist() == [[1, 2], [2, 1], [1, 2]]
    with pytest.raises(ValueError, match="in no clip of at most 10 samples"):
        WordPairs(TONES, 1, 20, only=((1, 2),)).made(seed=0)


def test_noise_has_the_asked_power() -> None:
    rng = np.random.default_rng(0)
    signal, noise, lengths = rng.normal(size=(4, 1000)), rng.normal(size=(3, 1500)), np.array([1000, 500, 800, 1000])
    signal = signal * (np.arange(1000) < lengths[:, None])
    added = with_noise(signal, lengths, noise, (10.0, 10.0), 0) - signal
    for own, whole, end in zip(added, signal, lengths, strict=True):
        ratio = np.square(whole[:end]).mean() / np.square(own[:end]).mean()
        np.testing.assert_allclose(10 * np.log10(ratio), 10, atol=0.01)


def test_pieces_lie_where_speech_is_and_belong_to_their_frames() -> None:
    hop, N = 4, 5
    signal = np.arange(N * 32.0).reshape(N, 32)
    arrays = {"signal": signal, "frames": signal[:, ::hop, None], "speaker": np.arange(N)[:, None] * 1.0}
    arrays["count"] = np.array([8, 3, 4, 8, 5])
    data = FramedWaves(arrays=arrays, of="x", piece=3, hop=hop, features=1, vector=1, batch=5)
    batch = data.take(np.arange(200))
    assert {name: leaf.shape[1:] for name, leaf in batch.items()} == {
        name: leaf.shape for name, leaf in data.sample_spec().items()
    }
    np.testing.assert_array_equal(batch["signal"][:, ::hop], batch["frames"][..., 0])
    rows = batch["speaker"][:, 0].astype(int)
    starts = (batch["frames"][:, 0, 0] - 32 * rows) / hop
    assert (starts + 3 <= arrays["count"][rows]).all()
    assert set(starts[rows == 0].astype(int).tolist()) == set(range(6))
    np.testing.assert_array_equal(data.take(np.arange(7, 9))["signal"], batch["signal"][7:9])  # by number alone
