"""HiFi-GAN's generator with conditional normalisation: frames of features and a speaker's vector to a waveform.

Letters: B batch, T frames, F features of a frame, D size of the speaker's vector, S samples, C channels.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from stagejax.models.build import built
from stagejax.models.conv import Convolution
from stagejax.models.speech.conditional_norm import ConditionalBatchNorm
from stagejax.models.speech.time_conv import TimeConv, TimeUpsample, Width


@dataclass(frozen=True)
class Vocoder:
    """Transposed convolutions by `rates`, behind each of them residual blocks of several kernels, in the mean.

    A block of kernel k has for each dilation: conditional batch norm, leaky ReLU, a dilated convolution, leaky ReLU, a
    plain one, added to what it read. Channels halve at every rate.

    Args:
      features: F.
      speaker: D.
      channels: before the first rate.
      rates: of the transposed convolutions.
      kernels, dilations: of the residual blocks.
      fourier: None: a convolution and tanh give the samples. A number h: at the last rate a convolution gives size and
        phase of a short-time Fourier transform with windows of 4 h samples every h, and its inverse the samples; this
        takes the place of transposed convolutions by h in all (iSTFTNet), which on a CPU are most of the work.

    References: Kong et al. 2020 (HiFi-GAN), https://arxiv.org/abs/2010.05646, section 2.2; conditional norms: Siuzdak
    et al. 2022 (WavThruVec), https://arxiv.org/abs/2203.16930; Kaneko et al. 2022 (iSTFTNet),
    https://arxiv.org/abs/2203.02395.

    >>> Vocoder(rates=(5, 4), fourier=8).hop
    160
    """

    features: int = 40
    speaker: int = 32
    channels: int = 64
    rates: tuple[int, ...] = (5, 4, 4, 2)
    kernels: tuple[int, ...] = (3, 7)
    dilations: tuple[int, ...] = (1, 3)
    fourier: int | None = None
    convolution: Convolution = "patches"

    @property
    def hop(self) -> int:
        """Samples of a frame."""
        return math.prod(self.rates) * (self.fourier or 1)

    def widths(self) -> list[Width]:
        """Name and size of the channels before the first rate and behind each."""
        return [(f"channels.{i}", self.channels // 2**i) for i in range(len(self.rates) + 1)]

    @property
    def last(self) -> Width:
        """What the last convolution gives: a sample, or sizes and phases of all frequencies."""
        return ("sample", 1) if self.fourier is None else ("spectrum", 4 * self.fourier + 2)

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        taps = {7, *self.kernels, *(2 * rate for rate in self.rates)}
        own = {"feature": self.features, "speaker": self.speaker} | dict(self.widths()) | dict([self.last])
        return (
            own | {f"{name}.inner": size for name, size in self.widths()[1:]} | {f"kernel_frame.{k}": k for k in taps}
        )

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `VocoderNetwork` with its initial parameters, drawn from `rngs.params`."""
        return built(VocoderNetwork, self, rngs.params())


class Residuals(nnx.Module):
    """A residual block of one kernel: two convolutions for each dilation."""

    def __init__(self, config: Vocoder, width: Width, taps: int, rngs: nnx.Rngs) -> None:
        inner, speaker = (f"{width[0]}.inner", width[1]), ("speaker", config.speaker)
        how = {"taps": taps, "implementation": config.convolution, "rngs": rngs}
        self.norms = nnx.List([ConditionalBatchNorm(width, speaker, rngs=rngs) for _ in config.dilations])
        self.first = nnx.List([TimeConv(width, inner, dilation=d, **how) for d in config.dilations])
        self.second = nnx.List([TimeConv(inner, width, gain=0.5, **how) for _ in config.dilations])

    def __call__(self, x_BTC: Float[Array, "B T C"], v_BD: Float[Array, "B D"], **how: bool) -> Float[Array, "B T C"]:
        for norm, first, second in zip(self.norms, self.first, self.second, strict=True):
            x_BTC = x_BTC + second(leaky(first(leaky(norm(x_BTC, v_BD, **how)))))
        return x_BTC


class VocoderNetwork(nnx.Module):
    """The module of `Vocoder`.

    >>> small = Vocoder(features=8, speaker=4, channels=4, rates=(5,), kernels=(3,), dilations=(1,), fourier=8)
    >>> small.build(nnx.Rngs(0))(jnp.zeros((2, 3, 8)), jnp.zeros((2, 4))).shape
    (2, 120)
    """

    def __init__(self, config: Vocoder, rngs: nnx.Rngs) -> None:
        self.config = c = config
        widths, how = c.widths(), {"implementation": c.convolution, "rngs": rngs}
        self.first = TimeConv(("feature", c.features), widths[0], taps=7, **how)
        pairs = zip(itertools.pairwise(widths), c.rates, strict=True)
        self.ups = nnx.List([TimeUpsample(a, b, rate=rate, rngs=rngs) for (a, b), rate in pairs])
        self.levels = nnx.List([nnx.List([Residuals(c, w, taps, rngs) for taps in c.kernels]) for w in widths[1:]])
        self.last = TimeConv(widths[-1], c.last, taps=7, gain=0.1, **how)

    def __call__(
        self, frames_BTF: Float[Array, "B T F"], v_BD: Float[Array, "B D"], *, train: bool = False, still: bool = False
    ) -> Float[Array, "B S"]:
        """The samples, `hop` for each frame; with `train`, norms use the statistics of the batch, and note them unless
        `still`."""
        x = self.first(frames_BTF)
        for up, blocks in zip(self.ups, self.levels, strict=True):
            x = up(leaky(x))
            x = sum(block(x, v_BD, train=train, still=still) for block in blocks) / len(blocks)
        y = self.last(leaky(x))
        if self.config.fourier is None:
            return jnp.tanh(y[..., 0])
        return of_spectrum(y, self.config.fourier)


def leaky(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Leaky ReLU with slope 0.1 below zero."""
    return jax.nn.leaky_relu(x, 0.1)


def of_spectrum(y_BTK: Float[Array, "B T K"], hop: int) -> Float[Array, "B S"]:
    """The samples of log sizes and phases, K = 2 (2 hop + 1): the inverse transform, a window of Hann, overlap and add.

    Frame t covers the samples from hop (t - 3/2) to hop (t + 5/2), so that it lies around its own hop samples.

    >>> of_spectrum(jnp.zeros((1, 5, 18)), 4).shape
    (1, 20)
    """
    size_BTN, phase_BTN = jnp.split(y_BTK, 2, -1)
    size_BTN = jnp.exp(jnp.minimum(size_BTN, 5.0))
    (B, T, _), n = y_BTK.shape, 4 * hop
    parts = jnp.concatenate([size_BTN * jnp.cos(phase_BTN), size_BTN * jnp.sin(phase_BTN)], -1)
    frames = (parts @ inverse_transform(n)).reshape(B, T, 4, hop)
    whole = sum(jnp.pad(frames[:, :, i], ((0, 0), (i, 3 - i), (0, 0))) for i in range(4)).reshape(B, (T + 3) * hop)
    return whole[:, 3 * hop // 2 : 3 * hop // 2 + T * hop]


def inverse_transform(n: int) -> Float[np.ndarray, "K n"]:
    """The inverse real Fourier transform as a matrix on [real parts, imaginary parts], its result under a Hann window.

    Windows every n / 4 samples add up to 1. A matrix, as for an FFT, XLA gathers the whole batch on every device.

    >>> flat = np.zeros(10); flat[0] = 8.0
    >>> (flat @ inverse_transform(8)).round(3).tolist()
    [0.0, 0.073, 0.25, 0.427, 0.5, 0.427, 0.25, 0.073]
    """
    eye = np.eye(n // 2 + 1)
    matrix = np.concatenate([np.fft.irfft(eye, n), np.fft.irfft(1j * eye, n)])
    return (matrix * (0.25 - 0.25 * np.cos(2 * np.pi * np.arange(n) / n))).astype(np.float32)
