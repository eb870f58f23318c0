"""Ghost batch normalisation: a large batch normalised in small parts, and any model with batch norms turned to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from stagejax.models.conv import BatchNorm


class GhostBatchNorm(BatchNorm):
    """`BatchNorm` whose statistics in training are those of each `ghost` neighbouring examples; gain and shift shared.

    The running statistics move as if the n ghosts had come one after the other:

        running <- momentum^n running + (1 - momentum) sum_l momentum^(n - l) batch_l,   l = 1 .. n

    All ghosts are normalised at once. Where the batch is sharded and `ghost` divides a device's part of it, no
    statistic of a ghost is reduced over devices. Evaluation is that of `BatchNorm`.

    Args:
      ghost: examples of a ghost; the batch is a multiple of it.

    Reference: Hoffer et al. 2017, https://arxiv.org/abs/1705.08741, algorithm 1.

    >>> norm = GhostBatchNorm("channels.1", 1, ghost=2, eps=0.0)
    >>> x = jnp.array([1.0, 3.0, 10.0, 30.0]).reshape(4, 1, 1, 1)
    >>> norm(x, train=True).ravel()
    Array([-1.,  1., -1.,  1.], dtype=float32)
    >>> norm.mean[...].round(2)  # 0.9 (0.9 * 0 + 0.1 * 2) + 0.1 * 20
    Array([2.18], dtype=float32)
    """

    def __init__(self, axis: str, size: int, *, ghost: int, eps: float = 1e-5, momentum: float = 0.9) -> None:
        if ghost < 1:
            raise ValueError(f"ghost={ghost} is a number of examples, at least 1")
        super().__init__(axis, size, eps=eps, momentum=momentum)
        self.ghost = ghost

    def __call__(self, x_BYXC: Float[Array, "B Y X C"], *, train: bool) -> Float[Array, "B Y X C"]:
        """The normalised images.

        Raises:
          ValueError: the batch is no multiple of the ghosts.
        """
        if not train:
            return super().__call__(x_BYXC, train=False)
        if x_BYXC.shape[0] % self.ghost:
            raise ValueError(f"a batch of {x_BYXC.shape[0]} is no multiple of ghost={self.ghost}: change one of them")
        ghosts = x_BYXC.reshape(-1, self.ghost, *x_BYXC.shape[1:])
        wide = ghosts.astype(jnp.promote_types(x_BYXC.dtype, jnp.float32))
        mean_N11YXC = wide.mean((1, 2, 3), keepdims=True)
        var_N11YXC = jnp.square(wide - mean_N11YXC).mean((1, 2, 3), keepdims=True)
        for running, found in ((self.mean, mean_N11YXC), (self.var, var_N11YXC)):
            running[...] = one_after_the_other(running[...], found[:, 0, 0, 0], self.momentum)
        y = ((wide - mean_N11YXC) * jax.lax.rsqrt(var_N11YXC + self.eps)).astype(x_BYXC.dtype)
        return y.reshape(x_BYXC.shape) * self.gain[...] + self.shift[...]


def one_after_the_other(running: Float[Array, " C"], found: Float[Array, "N C"], momentum: float) -> Float[Array, " C"]:
    """What running statistics are after N batches in order, in closed form.

    >>> one_after_the_other(jnp.array([8.0]), jnp.array([[4.0], [2.0]]), 0.5)
    Array([4.], dtype=float32)
    """
    count = found.shape[0]
    shares = (1 - momentum) * jnp.asarray(momentum, found.dtype) ** jnp.arange(count - 1, -1, -1)
    return momentum**count * running + shares @ found


@dataclass(frozen=True)
class Ghosted:
    """The model of `base` with every `BatchNorm` in it made a `GhostBatchNorm`: same parameters, same first values.

    Raises:
      ValueError: when it is built, if there is no batch norm in the base.

    >>> from stagejax.models.convnet import ConvNet
    >>> type(Ghosted(ConvNet(), ghost=32).build(nnx.Rngs(0)).blocks["1"].norm).__name__
    'GhostBatchNorm'
    """

    base: Any  # config of a model
    ghost: int  # examples

    def sizes(self) -> dict[str, int]:
        """Those of the base."""
        return self.base.sizes()

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The base with other norms."""
        model, found = self.base.build(rngs), 0
        for _, module in list(nnx.iter_modules(model)):
            for name, child in list(vars(module).items()):
                if type(child) is BatchNorm:
                    setattr(module, name, _ghosted(child, self.ghost))
                    found += 1
        if not found:
            raise ValueError(f"{self.base} has no batch norm to be computed by ghosts")
        return model


def _ghosted(norm: BatchNorm, ghost: int) -> GhostBatchNorm:
    """A norm with the variables of another one."""
    axes, size = norm.gain.get_metadata()["axes"], norm.gain[...].shape[0]
    made = GhostBatchNorm(axes.names[0], size, ghost=ghost, eps=norm.eps, momentum=norm.momentum)
    made.gain, made.shift, made.mean, made.var = norm.gain, norm.shift, norm.mean, norm.var
    return made
