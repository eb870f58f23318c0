"""Weights of few bits: uniform grids, and kernels that are stored as small integers and read as numbers.

`Uniform` is a choice for `compensated`: with a factor that is GPTQ, with the identity rounding to nearest. Letters: O
outputs, I inputs.

Reference: Frantar et al. 2022 (GPTQ), https://arxiv.org/abs/2210.17323; Dettmers et al. 2022 (a scale for each output),
https://arxiv.org/abs/2208.07339.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from stagejax.axes import Axes
from stagejax.transforms.compensation import Choice, State, compensated


@dataclass(frozen=True)
class Uniform(Choice):
    """q = scale · round(w / scale), with scale = max |w| / (2^(bits - 1) - 1) over a row, or `group` columns of it.

    A group's scale is found when its first column's turn comes, from the weights as they are by then. 0 stays 0.

    Raises:
      ValueError: bits out of range.

    >>> Uniform(3).levels
    3
    """

    bits: int
    group: int | None = None  # columns that share a scale; None: the whole row

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 8 or (self.group is not None and self.group < 1):
            raise ValueError(
                f"bits={self.bits}, group={self.group}: need 2 <= bits <= 8, and a group of a column or more"
            )

    @property
    def levels(self) -> int:
        """Points of the grid on each side of 0."""
        return 2 ** (self.bits - 1) - 1

    def check(self, inputs: int, block: int) -> None:
        """Raises: ValueError: the group does not divide the inputs or the block."""
        if self.group is not None and (inputs % self.group or block % self.group):
            raise ValueError(f"group={self.group} does not divide inputs={inputs} and block={block}")

    def begin(self, weight_OI: Array) -> State:
        """The scale of each row."""
        return self._scale(weight_OI)

    def column(self, state: State, now_OK: Array, diagonal_K: Array, j: Array) -> State:
        """The scale of each row in the group of column j."""
        if self.group is None:
            return state
        group = self.group

        def found(_: Array) -> Array:
            return self._scale(jax.lax.dynamic_slice_in_dim(now_OK, j, group, axis=1))

        return jax.lax.cond(j % group == 0, found, lambda scale_O: scale_O, state)

    def value(self, state: State, w_O: Array, j: Array) -> Array:
        """The nearest point of the grid."""
        return state * jnp.clip(jnp.round(w_O / state), -self.levels, self.levels)

    def _scale(self, part_OI: Array) -> Array:
        most_O = jnp.abs(part_OI).max(1)
        return jnp.where(most_O > 0, most_O, 1) / self.levels


def rounded(weight_OI: Float[Array, "O I"], grid: Uniform) -> Float[Array, "O I"]:
    """Every weight at the nearest point of its grid.

    >>> rounded(jnp.array([[3.0, 1.2, -2.6]]), Uniform(3)).tolist()
    [[3.0, 1.0, -3.0]]
    """
    return compensated(weight_OI, jnp.eye(weight_OI.shape[1], dtype=weight_OI.dtype), grid)


class Stored(nnx.Variable):
    """Integers and scales of a kernel. Not parameters: nothing trains them."""


@dataclass(frozen=True)
class Quantized:
    """`W = codes · scale`, for inference: codes of 8 bits, or of 4 with two in a byte; scales are float32.

    A scale belongs to an output, or to an output and a group of the innermost axis that the kernel reads. Pairs of
    4-bit codes are neighbours along the kernel's last axis. With `Reparameterized(base, Quantized(8)).adapt` a trained
    model is stored like that; what is not a kernel of a linear layer stays as it was.

    Raises:
      ValueError: other bits; on use, sizes that the group or two do not divide.

    >>> from stagejax.models import gpt
    >>> from stagejax.transforms import Reparameterized
    >>> up = Reparameterized(gpt(layers=2), Quantized(4, group=16)).build(nnx.Rngs(0)).blocks.mlp.up.kernel
    >>> up.codes[...].shape, up.codes[...].dtype.name, up.scale[...].shape, up[...].shape
    ((2, 64, 128), 'uint8', (2, 4, 256), (2, 64, 256))
    """

    bits: int
    group: int | None = None
    names: ClassVar[frozenset[str]] = frozenset()  # of parameters: none

    def __post_init__(self) -> None:
        if self.bits not in (4, 8):
            raise ValueError(f"bits={self.bits}: kernels are stored in 4 or 8")

    def make(self, value: jax.Array, axes: Axes, key: jax.Array) -> nnx.Module:
        """The module of one kernel."""
        return QuantizedKernel(self, value, axes)

    def value(self, params: Mapping[str, Any], rest: Mapping[str, jax.Array]) -> jax.Array:
        """The kernel."""
        codes, scale = rest["codes"], rest["scale"]
        if self.bits == 4:
            pairs = jnp.stack([codes & 15, codes >> 4], axis=-1).astype(jnp.int8) - 8
            codes = pairs.reshape(*codes.shape[:-1], -1)
        for axis, (few, all_) in enumerate(zip(scale.shape, codes.shape, strict=True)):
            scale = jnp.repeat(scale, all_ // few, axis=axis) if 1 < few < all_ else scale
        return codes.astype(scale.dtype) * scale


class QuantizedKernel(nnx.Module):
    """One kernel of a model with `Quantized`; `kernel[...]` is the array of numbers."""

    def __init__(self, form: Quantized, value: Float[Array, "..."], named: Axes) -> None:
        reads = [axis for axis, side in enumerate(named.sides) if side == "read"]
        codes, scale = _codes(value, reads, form)
        self.form = form
        self.codes = Stored(codes, axes=named)
        self.scale = Stored(scale, axes=named)

    def __getitem__(self, _: object) -> Float[Array, "..."]:
        return self.form.value({}, {"codes": self.codes[...], "scale": self.scale[...]})


def _codes(value: Array, reads: list[int], form: Quantized) -> tuple[Array, Array]:
    """Codes and scales of a kernel, whose axes `reads` are its inputs."""
    inner, levels = reads[-1], 2 ** (form.bits - 1) - 1
    if form.group is not None and value.shape[inner] % form.group:
        raise ValueError(f"group={form.group} does not divide the {value.shape[inner]} innermost inputs of a kernel")
    if form.bits == 4 and value.shape[-1] % 2:
        raise ValueError(f"a kernel of shape {value.shape} has no pairs along its last axis: two codes share a byte")
    group = form.group or value.shape[inner]
    parts = value.reshape(*value.shape[:inner], -1, group, *value.shape[inner + 1 :])
    most = jnp.abs(parts).max(inner + 1)
    most = most if form.group is not None else most.max(tuple(reads), keepdims=True)
    scale = jnp.where(most > 0, most, 1) / levels
    wide = jnp.repeat(scale, value.shape[inner] // scale.shape[inner], axis=inner)
    codes = jnp.clip(jnp.round(value / wide), -levels, levels).astype(jnp.int8)
    if form.bits == 8:
        return codes, scale
    low, high = ((codes[..., i::2] + 8).astype(jnp.uint8) for i in (0, 1))
    return low | (high << 4), scale
