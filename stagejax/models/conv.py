"""Convolution and normalisation with named axes, for images (batch, rows, columns, channels)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
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

    Without padding, only places whose pixels all lie in the image are there.

    The kernel (row, column, read channels, written channels) starts normal with variance `2 / (k² read channels)`, for
    a ReLU behind it (He et al. 2015, https://arxiv.org/abs/1502.01852).

    Args:
      reads, writes: name and size of the axis of channels.
      size: k, odd; or rows and columns, where they differ.
      stride: s.
      pad: whether the image is padded.
      taps: names of the kernel's first two axes; None: those of `taps_of`.

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
        size: int | tuple[int, int],
        stride: int = 1,
        pad: bool = True,
        taps: tuple[str, str] | None = ("kernel_row", "kernel_column"),
        implementation: Convolution = "conv",
        rngs: nnx.Rngs,
    ) -> None:
        self.stride, self.pad = stride, pad
        self.implementation: Convolution = implementation
        rows, columns = (size, size) if isinstance(size, int) else size
        fan_in = rows * columns * reads[1]
        matrix = jax.random.normal(rngs.params(), (fan_in, writes[1])) * (2 / fan_in) ** 0.5
        kernel = matrix.reshape(rows, columns, reads[1], writes[1])
        taps = taps_of((rows, columns)) if taps is None else taps
        self.kernel = axes.param(kernel, reads=(*taps, reads[0]), writes=(writes[0],))

    def __call__(self, x_BYXR: Float[Array, "B Y X R"]) -> Float[Array, "B y x W"]:
        kernel, s = self.kernel[...], self.stride
        around = borders(kernel.shape[:2], self.pad)
        if self.implementation == "conv":
            return jax.lax.conv_general_dilated(x_BYXR, kernel, (s, s), around, dimension_numbers=LAYOUT)
        patches = jnp.concatenate(shifted(x_BYXR, kernel.shape[:2], s, around), axis=-1)
        return patches @ kernel.reshape(-1, kernel.shape[-1])


#: Images, kernels and results.
LAYOUT = ("NHWC", "HWIO", "NHWC")


def taps_of(size: tuple[int, int]) -> tuple[str, str]:
    """The axes of a kernel's rows and columns by their number, as every named axis has one size in a model.

    >>> taps_of((3, 3)), taps_of((1, 7))
    (('kernel_row', 'kernel_column'), ('kernel_row.1', 'kernel_column.7'))
    """
    names = zip(("kernel_row", "kernel_column"), size, strict=True)
    first, second = (name if count == 3 else f"{name}.{count}" for name, count in names)
    return first, second


def borders(size: Sequence[int], pad: bool) -> tuple[tuple[int, int], ...]:
    """How many zeros are before and behind the rows and the columns of an image."""
    return tuple((k // 2, (k - 1) // 2) if pad else (0, 0) for k in size)


def shifted(
    x_BYXC: Float[Array, "B Y X C"],
    size: Sequence[int],
    stride: int,
    around: tuple[tuple[int, int], ...],
    beyond: float = 0.0,
) -> list[Float[Array, "B y x C"]]:
    """Of every tap of a kernel, the pixels that it meets at each place, row by row of the kernel."""
    padded = jnp.pad(x_BYXC, ((0, 0), *around, (0, 0)), constant_values=beyond)
    Y, X = (length - k + 1 for length, k in zip(padded.shape[1:3], size, strict=True))
    return [padded[:, i : i + Y : stride, j : j + X : stride] for i in range(size[0]) for j in range(size[1])]


class Depthwise(nnx.Module):
    """A k x k kernel of each channel alone: `y[i, j, c] = sum over the pixels around (i, j) of pixel[c] kernel[c]`.

    The kernel (row, column, channel) *writes* its channels: each is made of itself alone, so what reads them sees the
    kernel as it sees a gain. It starts normal with variance 1 / k².

    Args:
      channels: name and size of the axis.
      size: k, odd.

    Reference: the first half of a separable convolution, Chollet 2017, https://arxiv.org/abs/1610.02357.

    >>> depthwise = Depthwise(("channels.1", 2), rngs=nnx.Rngs(0))
    >>> depthwise.kernel[...] = jnp.ones((3, 3, 2)) * jnp.array([1.0, 10.0])
    >>> depthwise(jnp.ones((1, 3, 3, 2)))[0, 1]
    Array([[ 6., 60.],
           [ 9., 90.],
           [ 6., 60.]], dtype=float32)
    """

    def __init__(
        self, channels: tuple[str, int], *, size: int = 3, implementation: Convolution = "conv", rngs: nnx.Rngs
    ) -> None:
        self.implementation: Convolution = implementation
        kernel = jax.random.normal(rngs.params(), (size * size, channels[1])).reshape(size, size, channels[1]) / size
        self.kernel = axes.param(kernel, reads=taps_of((size, size)), writes=(channels[0],))

    def __call__(self, x_BYXC: Float[Array, "B Y X C"]) -> Float[Array, "B Y X C"]:
        kernel = self.kernel[...]
        size, around = kernel.shape[:2], borders(kernel.shape[:2], True)
        if self.implementation == "conv":
            how = {"dimension_numbers": LAYOUT, "feature_group_count": kernel.shape[-1]}
            return jax.lax.conv_general_dilated(x_BYXC, kernel[:, :, None], (1, 1), around, **how)
        taps = kernel.reshape(-1, kernel.shape[-1])
        return sum(x * tap for x, tap in zip(shifted(x_BYXC, size, 1, around), taps, strict=True))


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


Pooling = Literal["max", "mean"]


def pool(
    x_BYXC: Float[Array, "B Y X C"],
    kind: Pooling,
    *,
    size: int = 3,
    stride: int = 1,
    pad: bool = True,
    implementation: Convolution = "conv",
) -> Float[Array, "B y x C"]:
    """The largest or the mean of the `size` x `size` pixels around each place, of those that lie in the image.

    "patches" compares shifted images, first along rows and then along columns: where several pixels are the largest,
    the gradient goes to all of them, and by "conv" to one.

    >>> pool(jnp.arange(9.0).reshape(1, 3, 3, 1), "mean")[0, :, :, 0]
    Array([[2. , 2.5, 3. ],
           [3.5, 4. , 4.5],
           [5. , 5.5, 6. ]], dtype=float32)
    """
    if implementation == "conv":
        how = {"strides": (stride, stride), "padding": borders((size, size), pad)}
        window = (size, size)
        return (
            nnx.max_pool(x_BYXC, window, **how)
            if kind == "max"
            else nnx.avg_pool(x_BYXC, window, count_include_pad=False, **how)
        )
    y = _along(_along(x_BYXC, kind, (size, 1), pad), kind, (1, size), pad)[:, ::stride, ::stride]
    if kind == "max":
        return y
    ones = jnp.ones((1, *x_BYXC.shape[1:3], 1), x_BYXC.dtype)
    return y / _along(_along(ones, kind, (size, 1), pad), kind, (1, size), pad)[:, ::stride, ::stride]


def _along(x: Float[Array, "B Y X C"], kind: Pooling, size: tuple[int, int], pad: bool) -> Float[Array, "B y x C"]:
    """The largest, or the sum, along rows or columns."""
    beyond = -jnp.inf if kind == "max" else 0.0
    return reduce(jnp.maximum if kind == "max" else jnp.add, shifted(x, size, 1, borders(size, pad), beyond))
