"""Batch normalisation whose gain and bias are told by a vector, such as that of a speaker.

Letters: B batch, T time, C channels, D size of the vector.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from stagejax import axes
from stagejax.models.linear import Dense
from stagejax.models.speech.time_conv import Width


class ConditionalBatchNorm(nnx.Module):
    """`(1 + v . G) * (x - mean) / sqrt(var + eps) + v . H + shift`, statistics of each channel over batch and time.

    In training they are the batch's, and the running ones move: `running <- m * running + (1 - m) * batch`; otherwise
    the running ones are used. G and H start small, shift at zero, so that at first all vectors do nearly the same.

    Args:
      channels, condition: name and size of the axes of x and of v.
      momentum: m.

    Reference: de Vries et al. 2017, https://arxiv.org/abs/1707.00683, section 3; in generators of speech Bińkowski et
    al. 2020 (GAN-TTS), https://arxiv.org/abs/1909.11646, section 3.1.

    >>> norm = ConditionalBatchNorm(("channels.1", 1), ("speaker", 2), rngs=nnx.Rngs(0))
    >>> norm(jnp.array([[[1.0]], [[3.0]]]), jnp.zeros((2, 2)), train=True).ravel().round(2)
    Array([-1.,  1.], dtype=float32)
    >>> norm.mean[...]
    Array([0.2], dtype=float32)
    """

    def __init__(
        self, channels: Width, condition: Width, *, eps: float = 1e-5, momentum: float = 0.9, rngs: nnx.Rngs
    ) -> None:
        self.eps, self.momentum = eps, momentum
        reads, writes = dict([condition]), dict([channels])
        self.gain = Dense(reads, writes, std=0.1 * condition[1] ** -0.5, bias=False, rngs=rngs)
        self.shift = Dense(reads, writes, std=0.1 * condition[1] ** -0.5, bias=True, rngs=rngs)
        self.mean = axes.variable(nnx.BatchStat, jnp.zeros(channels[1]), writes=(channels[0],))
        self.var = axes.variable(nnx.BatchStat, jnp.ones(channels[1]), writes=(channels[0],), power=2)

    def __call__(
        self, x_BTC: Float[Array, "B T C"], v_BD: Float[Array, "B D"], *, train: bool, still: bool = False
    ) -> Float[Array, "B T C"]:
        """With `still`, running statistics do not move in training: where another model learns from what is made."""
        mean, var = self.mean[...], self.var[...]
        wide = x_BTC.astype(jnp.promote_types(x_BTC.dtype, jnp.float32))
        if train:
            mean, m = wide.mean((0, 1)), self.momentum
            var = jnp.square(wide - mean).mean((0, 1))
            if not still:
                self.mean[...] = m * self.mean[...] + (1 - m) * mean
                self.var[...] = m * self.var[...] + (1 - m) * var
        y = ((wide - mean) * jax.lax.rsqrt(var + self.eps)).astype(x_BTC.dtype)
        return y * (1 + self.gain(v_BD))[:, None] + self.shift(v_BD)[:, None]
