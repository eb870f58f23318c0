"""Convolutions along time with named axes, for signals (batch, time, channels): dilated, with strides, transposed.

Letters: B batch, T and t time before and behind, R read channels, W written channels, K taps.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from stagejax import axes
from stagejax.models.conv import Convolution

Width = tuple[str, int]  # name and size of an axis of channels


class TimeConv(nnx.Module):
    """`y[t] = bias + sum over k < K of x[s t + d (k - (K - 1) / 2)] . kernel[k]`, zeros beyond the ends.

    There are ⌈T / s⌉ places t. The kernel starts normal with variance `gain / (K R)`.

    Args:
      reads, writes: name and size of the axis of channels.
      taps: K.
      stride, dilation: s and d.
      gain: 2 where a ReLU is in front of what reads the result.
      implementation: "patches" multiplies the kernel with the places around each, "conv" is XLA's convolution.

    >>> conv = TimeConv(("channels.0", 2), ("channels.1", 4), taps=5, dilation=3, rngs=nnx.Rngs(0))
    >>> conv(jnp.ones((1, 9, 2))).shape
    (1, 9, 4)
    >>> print(axes.axes_of(conv)["kernel"])
    <kernel_frame.5 <channels.0 >channels.1
    """

    def __init__(
        self,
        reads: Width,
        writes: Width,
        *,
        taps: int,
        stride: int = 1,
        dilation: int = 1,
        gain: float = 2.0,
        implementation: Convolution = "patches",
        rngs: nnx.Rngs,
    ) -> None:
        self.stride, self.dilation = stride, dilation
        self.implementation: Convolution = implementation
        matrix = jax.random.normal(rngs.params(), (taps * reads[1], writes[1])) * (gain / (taps * reads[1])) ** 0.5
        kernel = matrix.reshape(taps, reads[1], writes[1])
        self.kernel = axes.param(kernel, reads=(f"kernel_frame.{taps}", reads[0]), writes=(writes[0],))
        self.bias = axes.param(jnp.zeros(writes[1]), writes=(writes[0],))

    def __call__(self, x_BTR: Float[Array, "B T R"]) -> Float[Array, "B t W"]:
        kernel, s, d = self.kernel[...], self.stride, self.dilation
        K, _, W = kernel.shape
        T, reach = x_BTR.shape[1], d * (K - 1)
        before = reach // 2
        if self.implementation == "conv":
            how = {"rhs_dilation": (d,), "dimension_numbers": ("NWC", "WIO", "NWC")}
            y = jax.lax.conv_general_dilated(x_BTR, kernel, (s,), [(before, reach - before)], **how)
        else:
            padded = jnp.pad(x_BTR, ((0, 0), (before, reach - before), (0, 0)))
            around = [padded[:, d * k : d * k + T : s] for k in range(K)]
            y = jnp.concatenate(around, -1) @ kernel.reshape(-1, W) if K > 1 else around[0] @ kernel[0]
        return y + self.bias[...]


class TimeUpsample(nnx.Module):
    """A transposed convolution to s times as many places, with 2 s taps.

    `y[s t + i] = bias + x[t] . kernel[i] + x[t - 1] . kernel[s + i]` for i < s, and then all s // 2 places earlier, so
    that x[t] lies in the middle of what it gives.

    >>> up = TimeUpsample(("channels.0", 2), ("channels.1", 4), rate=3, rngs=nnx.Rngs(0))
    >>> up(jnp.ones((1, 5, 2))).shape
    (1, 15, 4)
    """

    def __init__(self, reads: Width, writes: Width, *, rate: int, rngs: nnx.Rngs) -> None:
        self.rate = rate
        matrix = jax.random.normal(rngs.params(), (2 * rate * reads[1], writes[1])) * (1 / reads[1]) ** 0.5
        kernel = matrix.reshape(2 * rate, reads[1], writes[1])
        self.kernel = axes.param(kernel, reads=(f"kernel_frame.{2 * rate}", reads[0]), writes=(writes[0],))
        self.bias = axes.param(jnp.zeros(writes[1]), writes=(writes[0],))

    def __call__(self, x_BTR: Float[Array, "B T R"]) -> Float[Array, "B t W"]:
        kernel, s = self.kernel[...], self.rate
        (B, T, R), W = x_BTR.shape, kernel.shape[-1]
        y = x_BTR @ kernel.transpose(1, 0, 2).reshape(R, 2 * s * W)
        y = y.reshape(B, T, 2, s * W)
        first, second = (jnp.pad(y[:, :, i], ((0, 0), (i, 1 - i), (0, 0))) for i in (0, 1))
        whole = (first + second).reshape(B, (T + 1) * s, W)
        return whole[:, s // 2 : s // 2 + T * s] + self.bias[...]
