"""Sound as pictures: log-mel spectrograms, and sound again from them.

Letters: n any axes of signals, S samples, T frames, F frequencies of the Fourier transform (window / 2 + 1), M mel
bands.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


def hertz_to_mel(hertz: Float[np.ndarray, "*n"] | float) -> Float[np.ndarray, "*n"] | float:
    """2595 log10(1 + f / 700), the scale on which equal steps sound equally far apart.

    >>> round(float(hertz_to_mel(1000.0)), 1)
    1000.0
    """
    return 2595 * np.log10(1 + np.asarray(hertz) / 700)


def mel_to_hertz(mel: Float[np.ndarray, "*n"] | float) -> Float[np.ndarray, "*n"] | float:
    """The inverse of `hertz_to_mel`.

    >>> round(float(mel_to_hertz(hertz_to_mel(440.0))), 6)
    440.0
    """
    return 700 * (10 ** (np.asarray(mel) / 2595) - 1)


@dataclass(frozen=True)
class LogMel:
    """log(floor + filters · |STFT|²): the energy in mel bands, frame by frame.

    Frame t is the Hann-windowed samples from t · hop on; the signal is padded by zeros at its end to whole frames.
    Band m is a triangle over frequencies, from the centre of band m - 1 over its own to that of band m + 1.

    Args:
      rate: samples a second.
      window, hop: in samples.
      bands: M.
      low, high: in hertz, the edges of the first and the last band; high=None is half the rate.
      floor: added before the logarithm, in the square of the signal's unit.

    Reference: Davis and Mermelstein 1980; the scale of O'Shaughnessy 1987.

    Raises:
      ValueError: an edge above half the rate; or bands so narrow that one holds no frequency.

    >>> tone = np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000).astype(np.float32)
    >>> mel = LogMel(rate=8000)
    >>> frames = mel(tone)
    >>> frames.shape, int(mel.centres[frames.mean(0).argmax()])
    ((100, 40), 991)
    """

    rate: int = 8000
    window: int = 256
    hop: int = 80
    bands: int = 40
    low: float = 0.0
    high: float | None = None
    floor: float = 1e-6

    def __post_init__(self) -> None:
        if not 0 <= self.low < self._high <= self.rate / 2:
            raise ValueError(f"mel bands from {self.low} to {self._high} Hz: at {self.rate} samples a second, at most "
                             f"{self.rate / 2} Hz can be told")  # fmt: skip
        empty = np.flatnonzero(self.filters.sum(1) == 0)
        if len(empty):
            raise ValueError(
                f"mel bands {empty.tolist()} of {self.bands} hold no frequency of a window of {self.window} samples: "
                "take fewer bands, a longer window or a higher `low`"
            )

    @property
    def _high(self) -> float:
        return self.rate / 2 if self.high is None else self.high

    @functools.cached_property
    def edges(self) -> Float[np.ndarray, " M2"]:
        """M + 2 frequencies in hertz, equally spaced in mel: where bands begin, peak and end."""
        return np.asarray(
            mel_to_hertz(np.linspace(hertz_to_mel(self.low), hertz_to_mel(self._high), self.bands + 2)), np.float64
        )

    @property
    def centres(self) -> Float[np.ndarray, " M"]:
        """Of the bands, in hertz."""
        return self.edges[1:-1]

    @functools.cached_property
    def filters(self) -> Float[np.ndarray, "M F"]:
        """The triangles, at most 1; between the first and the last centre they add up to 1 at every frequency."""
        hertz = np.arange(self.window // 2 + 1) * self.rate / self.window
        left, centre, right = self.edges[:-2, None], self.edges[1:-1, None], self.edges[2:, None]
        return np.clip(np.minimum((hertz - left) / (centre - left), (right - hertz) / (right - centre)), 0, None)

    def frames(self, samples: int) -> int:
        """Of a signal of that many samples."""
        return max(1, -(-samples // self.hop))

    def spectrum(self, signal: Float[np.ndarray, "*n S"]) -> np.ndarray:
        """The short-time Fourier transform, (*n, T, F), complex."""
        samples = signal.shape[-1]
        behind = (self.frames(samples) - 1) * self.hop + self.window - samples
        padded = np.pad(np.asarray(signal, np.float64), (*[(0, 0)] * (signal.ndim - 1), (0, behind)))
        framed = np.lib.stride_tricks.sliding_window_view(padded, self.window, axis=-1)[..., :: self.hop, :]
        return np.fft.rfft(framed * self._hann, axis=-1)

    def __call__(self, signal: Float[np.ndarray, "*n S"]) -> Float[np.ndarray, "*n T M"]:
        power = np.abs(self.spectrum(signal)) ** 2
        return np.log(self.floor + power @ self.filters.T).astype(np.float32)

    def sound(self, frames: Float[np.ndarray, "T M"], iterations: int = 32) -> Float[np.ndarray, " S"]:
        """A signal of about these frames: energies by non-negative least squares, phases by Griffin and Lim.

        Reference: Griffin and Lim 1984, Signal estimation from modified short-time Fourier transform.
        """
        from scipy.optimize import nnls

        bands = np.maximum(np.exp(np.asarray(frames, np.float64)) - self.floor, 0)
        size = np.sqrt(np.stack([nnls(self.filters, row)[0] for row in bands]))
        phase = np.exp(2j * np.pi * np.random.RandomState(0).random_sample(size.shape))
        for _ in range(iterations):
            found = self.spectrum(self._added(size * phase))[: len(size)]
            phase = found / np.maximum(np.abs(found), 1e-12)
        return self._added(size * phase).astype(np.float32)

    @functools.cached_property
    def _hann(self) -> np.ndarray:
        return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.window) / self.window)

    def _added(self, spectrum: np.ndarray) -> np.ndarray:
        """The signal whose frames are nearest to a spectrum in the least-squares sense: windowed overlap-add."""
        framed = np.fft.irfft(spectrum, self.window, axis=-1) * self._hann
        signal, weight = (np.zeros((len(spectrum) - 1) * self.hop + self.window) for _ in range(2))
        for t, frame in enumerate(framed):
            there = slice(t * self.hop, t * self.hop + self.window)
            signal[there] += frame
            weight[there] += self._hann**2
        return (signal / np.maximum(weight, 1e-8))[: len(spectrum) * self.hop]
