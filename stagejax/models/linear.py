"""The two linear maps with named axes: of vectors (a kernel) and of indices (a table)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax import axes


class Dense(nnx.Module):
    """A kernel that contracts the axes it reads and produces those it writes: `y = x . kernel + bias`.

    Args:
      reads, writes: name and size of each axis, in order; the kernel's shape is the sizes of both.
      std: standard deviation of the kernel's normal initialisation; the bias starts at zero.

    >>> heads = {"kv_heads": 2, "q_per_kv": 1, "head_dim": 4}
    >>> query = Dense({"embed": 8}, heads, std=0.02, bias=True, rngs=nnx.Rngs(0))
    >>> query(jnp.ones((3, 5, 8))).shape
    (3, 5, 2, 1, 4)
    >>> print(axes.axes_of(query)["kernel"])
    <embed >kv_heads >q_per_kv >head_dim
    """

    def __init__(
        self, reads: Mapping[str, int], writes: Mapping[str, int], *, std: float, bias: bool, rngs: nnx.Rngs
    ) -> None:
        shape = (*reads.values(), *writes.values())
        # Drawn as a matrix: draws of one shape share their compiled code, which is most of what a small model compiles.
        matrix = jax.random.normal(rngs.params(), (math.prod(reads.values()), math.prod(writes.values())))
        self.contracted = len(reads)
        self.kernel = axes.param(std * matrix.reshape(shape), reads=tuple(reads), writes=tuple(writes))
        self.bias = axes.param(jnp.zeros(tuple(writes.values())), writes=tuple(writes)) if bias else None

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        y = jnp.tensordot(x, self.kernel[...], axes=self.contracted)
        return y if self.bias is None else y + self.bias[...]


class Table(nnx.Module):
    """A table of one vector per index: reads the axis of the indices, writes `embed`.

    An index outside of the table gives NaN, so that a wrong vocabulary or an overlong sequence stops the run instead of
    being clamped in silence.

    >>> print(axes.axes_of(Table("vocab", 16, 4, std=0.02, rngs=nnx.Rngs(0)))["table"])
    <vocab >embed
    """

    def __init__(self, name: str, size: int, embed: int, *, std: float, rngs: nnx.Rngs) -> None:
        self.table = axes.param(std * jax.random.normal(rngs.params(), (size, embed)), reads=(name,), writes=("embed",))

    def __call__(self, index: Int[Array, "..."]) -> Float[Array, "... embed"]:
        return self.table[...].at[index].get(mode="fill", fill_value=jnp.nan)

    def transposed(self, x: Float[Array, "... embed"]) -> Float[Array, "... size"]:
        """The table used as a tied head: the product of `x` with every row."""
        return jnp.matmul(x, self.table[...].T)
