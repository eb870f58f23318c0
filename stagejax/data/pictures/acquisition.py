"""Ways to acquire a grey image: as it is, inverted, edges, smooth and noisy, some radial lines of k-space."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float32

Grey = Float32[np.ndarray, "n y x"]  # values from 0 to 1
Generators = Sequence[np.random.Generator]  # one an image


def plain(images: Grey, rngs: Generators) -> Grey:
    """As they are."""
    return images


def inverted(images: Grey, rngs: Generators) -> Grey:
    """1 - x."""
    return 1 - images


def edges(images: Grey, rngs: Generators) -> Grey:
    """The size of the gradient by central differences, at most 1.

    >>> edges(np.full((1, 4, 4), 0.5, np.float32), []).max().item()
    0.0
    """
    down, right = np.gradient(images, axis=(1, 2))
    return np.minimum(2 * np.hypot(down, right), 1).astype(np.float32)


def noisy(images: Grey, rngs: Generators, *, width: float = 0.15, noise: float = 0.15) -> Grey:
    """Low frequencies, weighed by exp(-f² / (2 width²)) with f in cycles a pixel; then white noise."""
    down, right = (np.fft.fftfreq(size) for size in images.shape[1:])
    low = np.exp(-(down[:, None] ** 2 + right**2) / (2 * width**2))
    white = np.stack([rng.standard_normal(images.shape[1:]) for rng in rngs])
    smooth = np.fft.ifft2(np.fft.fft2(images) * low).real + noise * white
    return np.clip(smooth, 0, 1).astype(np.float32)


def spokes(images: Grey, rngs: Generators, *, lines: int = 8) -> Grey:
    """What some lines through the centre of k-space tell: all other frequencies are zero, which leaves streaks.

    A frequency is on a line if it is within half a step of the grid from it. The magnitude is shown, at most 1.

    >>> bool(np.allclose(spokes(np.full((1, 8, 8), 0.5, np.float32), []), 0.5))  # no frequency
    True
    """
    down, right = (np.fft.fftfreq(size, 1 / size) for size in images.shape[1:])
    angles = np.pi * np.arange(lines) / lines
    away = np.abs(down[:, None, None] * np.cos(angles) - right[:, None] * np.sin(angles)).min(-1)
    return np.minimum(np.abs(np.fft.ifft2(np.fft.fft2(images) * (away <= 0.5))), 1).astype(np.float32)


#: By their names in tables.
ACQUISITIONS: Mapping[str, Callable[[Grey, Generators], Grey]] = {
    "plain": plain,
    "inverted": inverted,
    "edges": edges,
    "noisy": noisy,
    "spokes": spokes,
}
