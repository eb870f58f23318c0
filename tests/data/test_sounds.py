"""Windows of recordings: none silent, all equally loud, and nothing of what is held out among the others."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from stagejax.data import MissingDataset
from stagejax.data.sound.sounds import Esc10, PreparedSounds, Recording, Sounds, SpokenDigits, Whistles
from stagejax.data.sources import EmptySource

real = pytest.mark.skipif("STAGEJAX_DATA" not in os.environ, reason="STAGEJAX_DATA is not set")


@dataclass(frozen=True)
class Ramps(Sounds):
    """One recording that is silent but for its middle, and one shorter than a window."""

    split: str = "train"
    seconds: float = 1.0
    none: bool = False

    rate = 40
    names = ("middle", "short")

    def recordings(self) -> Sequence[Recording]:
        middle = np.zeros(200, np.float32)
        middle[80:120] = 1 + np.arange(40)
        return [] if self.none else [Recording(middle, 0, 7), Recording(np.ones(10, np.float32), 1, 8)]


def test_windows_are_where_it_is_loud_and_equally_loud() -> None:
    source = Ramps()
    assert source.column("label").tolist() == [0] * 6 + [1]
    assert source.column("origin").tolist() == [7] * 6 + [8]
    windows = source.signals(np.arange(len(source)))
    np.testing.assert_allclose(np.sqrt(np.square(windows).mean(1)), 0.1, rtol=1e-5)
    np.testing.assert_array_equal(source[6]["signal"], windows[6])
    assert (windows[6][10:] == 0).all()
    assert (windows[6][:10] > 0).all()


def test_what_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EmptySource, match="no recording"):
        len(Ramps(none=True))
    with pytest.raises(ValueError, match="not split='dev'"):
        Esc10("dev")
    monkeypatch.delenv("STAGEJAX_DATA", raising=False)
    for source in (Esc10(left_out=(1,)), SpokenDigits(left_out=(1,)), PreparedSounds(("rain",))):
        with pytest.raises(MissingDataset, match="STAGEJAX_DATA"):
            len(source)


@pytest.mark.slow
@real
def test_folds_and_speakers_are_kept_apart() -> None:
    for source, held, count in ((Esc10(), {5}, 10), (SpokenDigits(), {4, 5}, 10)):
        test = source.of_split("test")
        assert set(test.column("origin")) == held
        assert not held & set(source.column("origin"))
        for split in (source, test):
            assert np.bincount(split.column("label"), minlength=count).min() > 0
            assert len(split.names) == count
    assert set(Esc10(held=(4,), left_out=(5,)).column("origin")) == {1, 2, 3}


@real
def test_the_same_spoken_digit_is_more_alike_than_another() -> None:
    from stagejax.data.sound.speech import frames_of

    source = SpokenDigits("test")
    labels, origins = source.column("label"), source.column("origin")
    rows = np.flatnonzero(origins == 4)[::5]
    frames = np.stack([frames_of(signal).ravel() for signal in source.signals(rows)])
    apart = np.linalg.norm(frames[:, None] - frames[None], axis=-1) + 1e9 * np.eye(len(rows))
    assert (labels[rows][apart.argmin(1)] == labels[rows]).mean() > 0.5


def test_whistles_differ_by_split_and_are_told_by_pitch() -> None:
    train, test = Whistles(), Whistles("test")
    assert not np.array_equal(train[0]["signal"], test[0]["signal"])
    peaks = np.abs(np.fft.rfft(train.signals(np.arange(len(train))), axis=1)).argmax(1)
    first = np.array([peaks[train.column("label") == event].mean() for event in range(6)])
    assert (np.abs(peaks[:, None] - first).argmin(1) == train.column("label")).all()
