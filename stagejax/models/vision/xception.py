"""Xception: residual groups of depthwise-separable convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float

from stagejax.models.build import built
from stagejax.models.conv import Convolution, Depthwise, pool
from stagejax.models.convnet import Classifier, ConvBlock, Pointwise, Width
from stagejax.models.linear import Dense
from stagejax.models.masks import Masks


@dataclass(frozen=True)
class Xception:
    """A stem of convolutions, residual groups, two separable convolutions, the mean over pixels and a linear head.

    Groups of the entry and the last one have two separable convolutions, a 3 x 3 max pooling of stride 2 and a strided
    1 x 1 shortcut; those in the middle three, and add to what they read. Pixels from 0 to 1 become 2 x - 1. Group i
    writes the axis `channels.i`, or the one that it reads where it adds to that; its j-th separable convolution, if it
    is not the last, writes `channels.i.j`.

    Args:
      stem: channels of its 3 x 3 convolutions.
      stem_stride, stem_pad: of the first, and whether images are padded in both.
      entry: channels of the entry's groups; those in the middle have the last one's.
      middle: how many groups.
      last: channels of both convolutions of the last group.
      top: channels of the separable convolutions behind it.

    Reference: Chollet 2017, https://arxiv.org/abs/1610.02357, figure 5; the defaults are that network.

    >>> net = Xception(16, (8, 8), 1, True, entry=(12,), middle=1, last=(12, 16), top=(20,))
    >>> [widths for widths, _ in net.groups()][1]
    [('channels.2.1', 12), ('channels.2.2', 12), ('channels.1', 12)]
    """

    image: int = 299
    stem: tuple[int, ...] = (32, 64)
    stem_stride: int = 2
    stem_pad: bool = False
    entry: tuple[int, ...] = (128, 256, 728)
    middle: int = 8
    last: tuple[int, int] = (728, 1024)
    top: tuple[int, ...] = (1536, 2048)
    classes: int = 1000
    channels_in: int = 3
    norm_eps: float = 1e-3
    momentum: float = 0.9  # of the running statistics
    convolution: Convolution = "conv"

    def groups(self) -> list[tuple[list[Width], bool]]:
        """What each group's separable convolutions write, and whether it halves rows and columns."""
        found, stream = [], len(self.entry)
        channels = [*((size, size) for size in self.entry), *[(self.entry[-1],) * 3] * self.middle, self.last]
        for i, (*inner, last) in enumerate(channels, 1):
            halves = i <= stream or i == len(channels)
            writes = (f"channels.{i if halves else stream}", last)
            found.append(([*((f"channels.{i}.{j}", size) for j, size in enumerate(inner, 1)), writes], halves))
        return found

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        sizes = {"kernel_row": 3, "kernel_column": 3, "pixel": self.channels_in, "classes": self.classes}
        sizes |= {f"channels.stem.{i}": size for i, size in enumerate(self.stem, 1)}
        for widths, _ in self.groups():
            sizes |= dict(widths)
        return sizes | {f"channels.top.{i}": size for i, size in enumerate(self.top, 1)}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `XceptionNetwork` with its initial parameters, drawn from `rngs.params`."""
        return built(XceptionNetwork, self, rngs.params())


class Separable(nnx.Module):
    """A depthwise 3 x 3 convolution, a pointwise one with nothing between them, and batch norm."""

    def __init__(self, config: Xception, reads: Width, writes: Width, rngs: nnx.Rngs) -> None:
        self.depthwise = Depthwise(reads, implementation=config.convolution, rngs=rngs)
        self.pointwise = Pointwise(config, reads, writes, rngs)

    def __call__(self, x: Float[Array, "B Y X R"], train: bool) -> Float[Array, "B Y X W"]:
        return self.pointwise(self.depthwise(x), train)


class Group(nnx.Module):
    """`shortcut(x) + f(x)`: f is separable convolutions, each behind a ReLU, and a pooling where it halves images."""

    def __init__(self, config: Xception, reads: Width, widths: list[Width], halves: bool, rngs: nnx.Rngs) -> None:
        self.halves, self.convolution = halves, config.convolution
        self.shortcut = Pointwise(config, reads, widths[-1], rngs, stride=2) if halves else None
        self.separable = chain_of(config, reads, widths, rngs)

    def __call__(self, x: Float[Array, "B Y X R"], train: bool) -> Float[Array, "B y x W"]:
        y = x
        for j in range(1, len(self.separable) + 1):
            y = self.separable[str(j)](jax.nn.relu(y), train)
        if self.shortcut is None:
            return x + y
        return self.shortcut(x, train) + pool(y, "max", stride=2, implementation=self.convolution)


def chain_of(config: Xception, reads: Width, widths: list[Width], rngs: nnx.Rngs) -> Any:
    """Separable convolutions, each of which reads what the one before it writes."""
    both = zip([reads, *widths[:-1]], widths, strict=True)
    return nnx.Dict({str(j): Separable(config, *pair, rngs) for j, pair in enumerate(both, 1)})


class XceptionNetwork(Classifier):
    """The module of `Xception`. It takes no masks.

    >>> net = Xception(16, (4, 8), 1, True, entry=(12,), middle=1, last=(12, 16), top=(20,), classes=4)
    >>> nnx.eval_shape(lambda: net.build(nnx.Rngs(0))(jax.numpy.zeros((3, 16, 16, 3)))).shape
    (3, 4)
    """

    def __init__(self, config: Xception, rngs: nnx.Rngs) -> None:
        self.config = c = config
        before: Width = ("pixel", c.channels_in)
        stem: dict[str, Any] = {}
        for i, size in enumerate(c.stem, 1):
            own = (f"channels.stem.{i}", size)
            stem[str(i)] = ConvBlock(c, before, own, rngs, c.stem_stride if i == 1 else 1, pad=c.stem_pad)
            before = own
        groups: dict[str, Any] = {}
        for i, (widths, halves) in enumerate(c.groups(), 1):
            groups[str(i)] = Group(c, before, widths, halves, rngs)
            before = widths[-1]
        top = [(f"channels.top.{i}", size) for i, size in enumerate(c.top, 1)]
        self.base = nnx.Dict(
            {"stem": nnx.Dict(stem), "groups": nnx.Dict(groups), "top": chain_of(c, before, top, rngs)}
        )
        name, width = top[-1]
        self.head = Dense({name: width}, {"classes": c.classes}, std=width**-0.5, bias=True, rngs=rngs)

    def pixels(
        self, images_BYXP: Float[Array, "B Y X P"], train: bool, masks: Masks | None = None
    ) -> Float[Array, "B y x E"]:
        if masks is not None:
            raise ValueError("an XceptionNetwork takes no masks")
        x = 2 * images_BYXP - 1
        for i in range(1, len(self.base["stem"]) + 1):
            x = jax.nn.relu(self.base["stem"][str(i)](x, train))
        for i in range(1, len(self.base["groups"]) + 1):
            x = self.base["groups"][str(i)](x, train)
        for i in range(1, len(self.base["top"]) + 1):
            x = jax.nn.relu(self.base["top"][str(i)](x, train))
        return x


def small_xception(**fields: Any) -> Xception:
    """For 16 x 16 pixels: the stem, a group of the entry, one of the middle, the last one, one convolution behind it.

    >>> small_xception().sizes()["channels.top.1"]
    160
    """
    sizes: dict[str, Any] = {"stem": (16, 32), "entry": (64,), "middle": 1, "last": (96, 128), "top": (160,)}
    how = {"image": 16, "stem_pad": True, "classes": 10, "convolution": "patches"}
    return Xception(**{**sizes, **how, **fields})
