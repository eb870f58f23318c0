"""Convolution and normalisation with named axes, for images (batch, rows, columns, channels)."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from stagejax import axes

#: "conv" is XLA's convolution; "patches" multiplies the kernel with the pixels around each place, which is faster on a
#: CPU and for several models under one `vmap`.
Convolution = Literal["conv", "patches"]


class Conv(nnx.Module):
    """`y[i, j] = sum over the k x k pixels around (s i, s j) of pixel . kernel`, zeros beyond the border; no bias.

    The kernel (row, column, read channels, written channels) starts normal with variance `2 / (k² read channels)`, for
    a ReLU behind it (He et al. 2015, https://arxiv.org/abs/1502.01852).

    Args:
      reads, writes: name and size of the axis of channels.
      size: k, odd.
      stride: s.
      taps: names of the kernel's first two axes.

    >>> conv = Conv(("pixel", 3), ("channels.1", 8), size=3, stride=2, rngs=nnx.Rngs(0))
    >>> conv(jnp.ones((1, 6, 6, 3))).shape
    (1, 3, 3, 8)
    >>> print(axes.axes_of(conv)["kernel"])
    <kernel_row <kernel_column <pixel >channels.1
    """

    def __init__(
        self,
        reads: tuple[str, int],
        writes: tuple[str, int],
        *,
        size: int,
        stride: int = 1,
        taps: tuple[str, str] = ("kernel_row", "kernel_column"),
        implementation: Convolution = "conv",
        rngs: nnx.Rngs,
    ) -> None:
        self.stride = stride
        self.implementation: Convolution = implementation
        fan_in = size * size * reads[1]
        matrix = jax.random.normal(rngs.params(), (fan_in, writes[1])) * (2 / fan_in) ** 0.5
        kernel = matrix.reshape(size, size, reads[1], writes[1])
        self.kernel = axes.param(kernel, reads=(*taps, reads[0]), writes=(writes[0],))

    def __call__(self, x_BYXR: Float[Array, "B Y X R"]) -> Float[Array, "B y x W"]:
        kernel, s = self.kernel[...], self.stride
        k = kernel.shape[0]
        low, high = k // 2, (k - 1) // 2
        if self.implementation == "conv":
            numbers = ("NHWC", "HWIO", "NHWC")
            return jax.lax.conv_general_dilated(
                x_BYXR, kernel, (s, s), ((low, high), (low, high)), dimension_numbers=numbers
            )
        Y, X = x_BYXR.shape[1:3]
        padded = jnp.pad(x_BYXR, ((0, 0), (low, high), (low, high), (0, 0)))
        shifted = [padded[:, i : i + Y : s, j : j + X : s] for i in range(k) for j in range(k)]
        return jnp.concatenate(shifted, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])


class BatchNorm(nnx.Module):
    """`gain * (x - mean) / sqrt(var + eps) + shift`, the statistics of each channel over batch, rows and columns.

    In training the statistics are those of the batch (the global one, however it is sharded), and the running ones
    move: `running <- momentum * running + (1 - momentum) * batch`. Otherwise the running ones are used. All in at least
    float32; the variance is the biased one.

    Gain and shift *write* the axis: unlike in a norm over the axis, each channel is normalised alone, so what reads it
    sees the gain itself. A running mean grows as what it is the mean of, a running variance by the square of that.

    Reference: Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167.

    >>> norm = BatchNorm("channels.1", 2)
    >>> x = jnp.array([[[[1.0, 5.0]]], [[[3.0, 9.0]]]])
    >>> norm(x, train=True)[:, 0, 0].round(2)
    Array([[-1., -1.],
           [ 1.,  1.]], dtype=float32)
    >>> norm.mean[...]
    Array([0.2, 0.7], dtype=float32)
    """

    def __init__(self, axis: str, size: int, *, eps: float = 1e-5, momentum: float = 0.9) -> None:
        self.eps, self.momentum = eps, momentum
        self.gain = axes.param(jnp.ones(size), writes=(axis,))
        self.shift = axes.param(jnp.zeros(size), writes=(axis,))
        self.mean = axes.variable(nnx.BatchStat, jnp.zeros(size), writes=(axis,))
        self.var = axes.variable(nnx.BatchStat, jnp.ones(size), writes=(axis,), power=2)

    def __call__(self, x_BYXC: Float[Array, "B Y X C"], *, train: bool) -> Float[Array, "B Y X C"]:
        mean, var = self.mean[...], self.var[...]
        wide = x_BYXC.astype(jnp.promote_types(x_BYXC.dtype, jnp.float32))
        if train:
            mean, m = wide.mean((0, 1, 2)), self.momentum
            var = jnp.square(wide - mean).mean((0, 1, 2))
            self.mean[...] = m * self.mean[...] + (1 - m) * mean
            self.var[...] = m * self.var[...] + (1 - m) * var
        y = ((wide - mean) * jax.lax.rsqrt(var + self.eps)).astype(x_BYXC.dtype)
        return y * self.gain[...] + self.shift[...]


class GroupNorm(nnx.Module):
    """`gain * (x - mean) / sqrt(var + eps) + shift`, statistics over rows, columns and a group of channels of an image.

    Nothing depends on the batch, and nothing runs along. Gain and shift write the axis, as in `BatchNorm`.

    Args:
      groups: equal ones of neighbouring channels.

    Raises:
      ValueError: the channels cannot be divided so.

    Reference: Wu and He 2018, https://arxiv.org/abs/1803.08494.

    >>> norm = GroupNorm("channels.1", 2, groups=1, eps=0.0)
    >>> norm(jnp.array([[[[1.0, 3.0]]]])).ravel()
    Array([-1.,  1.], dtype=float32)
    """

    def __init__(self, axis: str, size: int, *, groups: int, eps: float = 1e-5) -> None:
        if size % groups:
            raise ValueError(f"{size} {axis} cannot be divided into {groups} groups: change one of them")
        self.groups, self.eps = groups, eps
        self.gain = axes.param(jnp.ones(size), writes=(axis,))
        self.shift = axes.param(jnp.zeros(size), writes=(axis,))

    def __call__(self, x_BYXC: Float[Array, "B Y X C"]) -> Float[Array, "B Y X C"]:
        B, Y, X, C = x_BYXC.shape
        wide = x_BYXC.astype(jnp.promote_types(x_BYXC.dtype, jnp.float32))
        grouped = wide.reshape(B, Y, X, self.groups, C // self.groups)
        grouped = grouped - grouped.mean((1, 2, 4), keepdims=True)
        grouped = grouped * jax.lax.rsqrt(jnp.square(grouped).mean((1, 2, 4), keepdims=True) + self.eps)
        return grouped.reshape(x_BYXC.shape).astype(x_BYXC.dtype) * self.gain[...] + self.shift[...]


def max_pool(x_BYXC: Float[Array, "B Y X C"]) -> Float[Array, "B y x C"]:
    """The largest of every 2 x 2 pixels; an odd last row or column is dropped.

    >>> max_pool(jnp.arange(10.0).reshape(1, 2, 5, 1)).ravel()
    Array([6., 8.], dtype=float32)
    """
    Y, X = (size // 2 * 2 for size in x_BYXC.shape[1:3])
    # Not a maximum over axes: behind a norm, XLA without optimization (CPU, jax 0.10) gives that a wrong gradient.
    rows = jnp.maximum(x_BYXC[:, 0:Y:2, :X], x_BYXC[:, 1:Y:2, :X])
    return jnp.maximum(rows[:, :, 0::2], rows[:, :, 1::2])
