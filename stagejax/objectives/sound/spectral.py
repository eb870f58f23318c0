"""Log-mel spectrograms that gradients pass through, and distances of signals in them.

Letters: n any axes of signals, S samples, T frames, M mel bands.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def log_mel(mel: Any, signal: Float[Array, "*n S"]) -> Float[Array, "*n T M"]:
    """What `mel`, a `data.sound.audio.LogMel`, gives of a signal: log(floor + filters · |STFT|²).

    The transform is a product with a matrix: for an FFT, XLA gathers the whole batch on every device.

    >>> from stagejax.data.sound.audio import LogMel
    >>> mel, tone = LogMel(), np.sin(np.arange(800.0)).astype(np.float32)
    >>> bool(np.allclose(log_mel(mel, jnp.asarray(tone)), mel(tone), atol=1e-3))
    True
    """
    samples, count = signal.shape[-1], mel.frames(signal.shape[-1])
    behind = (count - 1) * mel.hop + mel.window - samples
    padded = jnp.pad(signal, (*[(0, 0)] * (signal.ndim - 1), (0, max(0, behind))))
    places = np.arange(count)[:, None] * mel.hop + np.arange(mel.window)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(mel.window) / mel.window)
    turns = np.exp(-2j * np.pi * np.outer(np.arange(mel.window), np.arange(mel.window // 2 + 1)) / mel.window)
    framed = padded[..., places] * jnp.asarray(hann, signal.dtype)
    real, imaginary = (framed @ jnp.asarray(part, signal.dtype) for part in (turns.real, turns.imag))
    power = jnp.square(real) + jnp.square(imaginary)
    return jnp.log(mel.floor + power @ jnp.asarray(mel.filters.T, signal.dtype))


def mel_distance(mel: Any, a: Float[Array, "*n S"], b: Float[Array, "*n S"]) -> Float[Array, ""]:
    """The mean absolute difference of log-mel spectrograms of amplitudes, half of that of energies, in nats.

    Reference: Kong et al. 2020 (HiFi-GAN), https://arxiv.org/abs/2010.05646, equation 5.

    >>> from stagejax.data.sound.audio import LogMel
    >>> tone = jnp.sin(jnp.arange(800.0))
    >>> round(float(mel_distance(LogMel(floor=1e-12), tone, 2 * tone)), 3)  # log 2
    0.693
    """
    return jnp.abs(log_mel(mel, a) - log_mel(mel, b)).mean() / 2
