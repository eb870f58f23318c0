"""Convolutions with an equalised learning rate, and the smoothing of what has twice or half as many pixels.

A kernel is stored with unit variance and scaled in use, so that steps of a given size change all layers alike
(Karras et al. 2018, https://arxiv.org/abs/1710.10196, section 4.1).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from stagejax import axes

Width = tuple[str, int]  # name and size of an axis of channels


def unit_kernel(reads: Width, writes: Width, size: int, rngs: nnx.Rngs) -> nnx.Param:
    """A kernel (row, column, read channels, written channels) of unit variance; one of size 1 has taps of its own.

    >>> print(unit_kernel(("pixel", 3), ("channels.1", 4), 1, nnx.Rngs(0)).get_metadata()["axes"])
    <tap_row <tap_column <pixel >channels.1
    """
    # Drawn as a matrix: draws of one shape share their compiled code.
    matrix = jax.random.normal(rngs.params(), (size * size * reads[1], writes[1]))
    kernel = matrix.reshape(size, size, reads[1], writes[1])
    taps = ("kernel_row", "kernel_column") if size > 1 else ("tap_row", "tap_column")
    return axes.param(kernel, reads=(*taps, reads[0]), writes=(writes[0],))


def equalised(kernel: Float[Array, "k k R W"]) -> Float[Array, "k k R W"]:
    """The kernel over √(k² R), as it is used."""
    return kernel * (kernel.shape[0] * kernel.shape[1] * kernel.shape[2]) ** -0.5


def convolved(
    x: Float[Array, "B Y X R"],
    kernel: Float[Array, "k k r W"],
    pad: tuple[int, int],
    *,
    up: int = 1,
    down: int = 1,
    groups: int = 1,
) -> Float[Array, "B y x W"]:
    """A convolution of images with `up` - 1 zeros between pixels and a border; every `down`th pixel is kept."""
    numbers = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, kernel, (down, down), (pad, pad), (up, up), dimension_numbers=numbers, feature_group_count=groups
    )


def smoothed(
    x_BYXC: Float[Array, "B Y X C"], pad: tuple[int, int], *, up: int = 1, down: int = 1
) -> Float[Array, "B y x C"]:
    """Every channel with holes of `up` - 1 zeros and a border, smoothed by (1, 3, 3, 1) up² / 64, every `down`th kept.

    >>> smoothed(jnp.ones((1, 4, 4, 2)), (2, 2), up=2)[0, 2:-2, 2:-2, 0].tolist()  # within, a constant stays
    [[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]
    """
    taps = jnp.array([1.0, 3.0, 3.0, 1.0]) * up / 8
    C = x_BYXC.shape[-1]
    kernel = jnp.tile(jnp.outer(taps, taps)[..., None, None], (1, 1, 1, C)).astype(x_BYXC.dtype)
    return convolved(x_BYXC, kernel, pad, up=up, down=down, groups=C)


def leaky(x: Float[Array, "*axes"]) -> Float[Array, "*axes"]:
    """√2 times the leaky ReLU: the mean square of a normal input is nearly kept."""
    return jax.nn.leaky_relu(x, 0.2) * 2**0.5
