"""A U-Net: convolutions down to few pixels and up again, each level joined to the equally large one on the way down."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from stagejax import axes
from stagejax.models.build import built
from stagejax.models.conv import Conv, Convolution, GroupNorm, max_pool

Key = PRNGKeyArray | Array
Width = tuple[str, int]  # name and size of an axis of channels


@dataclass(frozen=True)
class UNet:
    """One output a pixel and class, with group norms: nothing depends on the batch.

    Level i writes `channels.i` on the way down and `channels.up.i` on the way up; each is half as large as the one
    before. The first convolution has the given stride, and logits are interpolated to the size of the image.

    Raises:
      ValueError: rows or columns cannot be halved so often.

    Reference: Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597, here with one convolution a level on the way
    up and norms.

    >>> UNet(channels=(12, 24, 48)).sizes()["channels.up.1"]
    12
    """

    shape: tuple[int, int, int] = (48, 64, 3)  # rows, columns and channels of an image
    channels: tuple[int, ...] = (12, 24, 48)  # of each level, the largest first
    classes: int = 11
    stride: int = 2  # of the first convolution
    groups: int = 4  # of each norm
    norm_eps: float = 1e-5
    convolution: Convolution = "patches"

    def __post_init__(self) -> None:
        times = self.stride * 2 ** (len(self.channels) - 1)
        if not self.channels or any(size % times for size in self.shape[:2]):
            raise ValueError(
                f"shape={self.shape} is divided by {times} on the way down: give rows and columns that are multiples "
                f"of it, or fewer levels than channels={self.channels}"
            )

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        down = {f"channels.{i}": size for i, size in enumerate(self.channels, 1)}
        up = {f"channels.up.{i}": size for i, size in enumerate(self.channels[:-1], 1)}
        down |= {"channels.deep": self.channels[-1]}
        return {"kernel_row": 3, "kernel_column": 3, "pixel": self.shape[2], **down, **up, "classes": self.classes}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `SegmentationNetwork` with its initial parameters, drawn from `rngs.params`."""
        return built(SegmentationNetwork, self, rngs.params())


class SegmentationNetwork(nnx.Module):
    """The module of `UNet`.

    Letters: B batch, Y and X rows and columns, P pixel channels, C classes.

    >>> UNet().build(nnx.Rngs(0))(jnp.zeros((2, 48, 64, 3))).shape
    (2, 48, 64, 11)
    """

    def __init__(self, config: UNet, rngs: nnx.Rngs) -> None:
        self.config = c = config
        widths = [("pixel", c.shape[2]), *((f"channels.{i}", size) for i, size in enumerate(c.channels, 1))]
        down = [Unit(c, (reads,), writes, 1 if i else c.stride, rngs) for i, (reads, writes) in _pairs(widths)]
        self.down = nnx.Dict({str(i): unit for i, unit in enumerate(down, 1)})
        self.deep = Unit(c, (widths[-1],), ("channels.deep", widths[-1][1]), 1, rngs)
        below, up = ("channels.deep", widths[-1][1]), {}
        for i in range(len(c.channels) - 1, 0, -1):
            writes = (f"channels.up.{i}", c.channels[i - 1])
            up[str(i)] = Unit(c, (widths[i], below), writes, 1, rngs)
            below = writes
        self.up = nnx.Dict(up)
        kernel = jax.random.normal(rngs.params(), (below[1], c.classes)) * below[1] ** -0.5
        self.head = axes.param(kernel, reads=(below[0],), writes=("classes",))
        self.bias = axes.param(jnp.zeros(c.classes), writes=("classes",))

    def __call__(self, images_BYXP: Float[Array, "B Y X P"], key: Key | None = None) -> Float[Array, "B Y X C"]:
        """Logits; the key draws nothing."""
        x, levels = 2 * images_BYXP - 1, []
        for i in range(1, len(self.down) + 1):
            x = self.down[str(i)](max_pool(x) if i > 1 else x)
            levels.append(x)
        x = self.deep(x)
        for i in range(len(self.up), 0, -1):
            x = self.up[str(i)](levels[i - 1], x.repeat(2, axis=1).repeat(2, axis=2))
        logits = x @ self.head[...] + self.bias[...]
        return jax.image.resize(logits, (*images_BYXP.shape[:3], logits.shape[-1]), "bilinear")


class Unit(nnx.Module):
    """ReLU(norm(Σ convolutions)), one of each input: that is a convolution of all their channels side by side."""

    def __init__(self, config: UNet, reads: tuple[Width, ...], writes: Width, stride: int, rngs: nnx.Rngs) -> None:
        how = {"size": 3, "stride": stride, "implementation": config.convolution, "rngs": rngs}
        self.convolutions = nnx.Dict({str(i): Conv(own, writes, **how) for i, own in enumerate(reads, 1)})
        self.norm = GroupNorm(*writes, groups=config.groups, eps=config.norm_eps)

    def __call__(self, *inputs: Float[Array, "B Y X _"]) -> Float[Array, "B y x W"]:
        y = sum(self.convolutions[str(i)](x) for i, x in enumerate(inputs, 1))
        return jax.nn.relu(self.norm(y))


def _pairs(widths: list[Width]) -> list[tuple[int, tuple[Width, Width]]]:
    return list(enumerate(itertools.pairwise(widths)))
