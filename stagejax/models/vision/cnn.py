"""Plain convolutional classifiers: convolutions, dense layers, and one head or several on what they share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from stagejax import axes
from stagejax.models.build import built
from stagejax.models.conv import BatchNorm, Conv, Convolution, max_pool
from stagejax.models.linear import Dense
from stagejax.models.masks import Masks, check_masks, masked

Key = PRNGKeyArray | Array
Activation = Literal["relu", "sigmoid"]


@dataclass(frozen=True)
class ConvLayer:
    """A convolution `size` x `size`, its activation, and a 2 x 2 max pooling where asked for."""

    channels: int
    size: int = 3
    stride: int = 1
    pool: bool = False


@dataclass(frozen=True)
class CNN:
    """Convolutions, then dense layers, then heads of dense layers. Behind each but a head's last: norm and activation.

    Layer i writes `channels.i` or `hidden.i`, the j-th of head h writes `hidden.h.j`, and the last of it `classes.h`
    (`classes` of the head "label").

    Args:
      shape: rows, columns and channels of an image.
      convolutions, hidden: what all heads read; `hidden` are sizes of dense layers.
      heads: name of each head with the sizes of its layers, outputs last.
      norm: whether batch norms replace biases.
      mean, std: pixels become (x - mean) / std.

    >>> CNN(shape=(8, 8, 1), convolutions=(ConvLayer(4),), heads=(("label", (16, 10)),)).sizes()["hidden.label.1"]
    16
    """

    shape: tuple[int, int, int] = (28, 28, 1)
    convolutions: tuple[ConvLayer, ...] = (ConvLayer(32, 5, pool=True), ConvLayer(48, 5, pool=True))
    hidden: tuple[int, ...] = ()
    heads: tuple[tuple[str, tuple[int, ...]], ...] = (("label", (100, 100, 10)),)
    norm: bool = False
    activation: Activation = "relu"
    mean: float = 0.0
    std: float = 1.0
    norm_eps: float = 1e-5
    momentum: float = 0.9  # of the running statistics
    convolution: Convolution = "conv"

    def __post_init__(self) -> None:
        if not self.heads or any(not sizes for _, sizes in self.heads) or min(self.pixels) < 1:
            raise ValueError(
                f"heads={self.heads}, pixels behind the convolutions={self.pixels}: give each head a size, and "
                "leave a pixel"
            )

    @property
    def pixels(self) -> tuple[int, int]:
        """Rows and columns behind the convolutions."""
        y, x = self.shape[:2]
        for layer in self.convolutions:
            y, x = (-(-size // layer.stride) // (2 if layer.pool else 1) for size in (y, x))
        return y, x

    @property
    def widths(self) -> list[tuple[str, int]]:
        """Name and size of the axis of channels before and behind each convolution."""
        own = [(f"channels.{i}", layer.channels) for i, layer in enumerate(self.convolutions, 1)]
        return [("pixel", self.shape[2]), *own]

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        sizes = dict(self.widths) | dict(zip(("row", "column"), self.pixels, strict=True))
        sizes |= {name: layer.size for layer in self.convolutions for name in taps(layer)}
        sizes |= {f"hidden.{i}": size for i, size in enumerate(self.hidden, 1)}
        for head, own in self.heads:
            sizes |= dict(head_axes(head, own))
        return sizes

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `ConvolutionalClassifier` with its initial parameters, drawn from `rngs.params`."""
        return built(ConvolutionalClassifier, self, rngs.params())


def taps(layer: ConvLayer) -> tuple[str, str]:
    """The axes of a kernel's rows and columns."""
    return (
        ("kernel_row", "kernel_column")
        if layer.size == 3
        else (f"kernel_row.{layer.size}", f"kernel_column.{layer.size}")
    )


def head_axes(head: str, sizes: tuple[int, ...]) -> list[tuple[str, int]]:
    """Name and size of what each layer of a head writes."""
    last = "classes" if head == "label" else f"classes.{head}"
    return [*((f"hidden.{head}.{i}", size) for i, size in enumerate(sizes[:-1], 1)), (last, sizes[-1])]


class ConvolutionalClassifier(nnx.Module):
    """The module of `CNN`. In training (a key is given) batch norms use the statistics of the batch.

    Masks are on channels and dense units, behind their activation (see `stagejax.models.masks`).

    Letters: B batch, Y and X rows and columns, P pixel channels, E features, C outputs of a head.

    >>> model = CNN(heads=(("label", (16, 10)), ("domain", (1,)))).build(nnx.Rngs(0))
    >>> images = jnp.zeros((3, 28, 28, 1))
    >>> model(images).shape, model.head(model.features(images), "domain").shape
    ((3, 10), (3, 1))
    """

    def __init__(self, config: CNN, rngs: nnx.Rngs) -> None:
        self.config = c = config
        widths = c.widths[:-1], c.widths[1:]
        self.convolutions = nnx.Dict(
            {str(i): ConvUnit(c, *each, rngs) for i, each in enumerate(zip(c.convolutions, *widths, strict=True), 1)}
        )
        name, channels = c.widths[-1]
        reads = dict(zip(("row", "column"), c.pixels, strict=True)) | {name: channels}
        self.hidden, reads = dense_layers(c, reads, [(f"hidden.{i}", size) for i, size in enumerate(c.hidden, 1)], rngs)
        self.heads = nnx.Dict({head: Head(c, reads, head_axes(head, sizes), rngs) for head, sizes in c.heads})

    def __call__(
        self, images_BYXP: Float[Array, "B Y X P"], key: Key | None = None, masks: Masks | None = None
    ) -> Float[Array, "B C"]:
        return self.head(self.features(images_BYXP, key, masks), key=key, masks=masks)

    def features(
        self, images_BYXP: Float[Array, "B Y X P"], key: Key | None = None, masks: Masks | None = None
    ) -> Float[Array, "B ..."]:
        """What the heads read: the last dense layer, or the pixels behind the convolutions where there is none.

        Raises:
          ValueError: masks over another axis, or of another size.
        """
        check_masks(masks, self.config.sizes())
        x, train = (images_BYXP - self.config.mean) / self.config.std, key is not None
        for i in range(1, len(self.config.convolutions) + 1):
            x = self.convolutions[str(i)](x, train, masks)
        for i in range(1, len(self.config.hidden) + 1):
            x = self.hidden[str(i)](x, train, masks)
        return x

    def head(
        self,
        features: Float[Array, "B ..."],
        name: str = "label",
        key: Key | None = None,
        masks: Masks | None = None,
    ) -> Float[Array, "B C"]:
        """The outputs of a head on what `features` returns."""
        return self.heads[name](features, key is not None, masks)

    def measured(self, images_BYXP: Float[Array, "B Y X P"], key: Key) -> ConvolutionalClassifier:
        """A copy whose norms hold the statistics of these images; the own running ones move as in training."""
        if not self.config.norm:
            return self
        copy = nnx.clone(self)
        norms = [[m for _, m in nnx.iter_modules(model) if isinstance(m, BatchNorm)] for model in (self, copy)]
        for norm in norms[1]:
            norm.momentum = 0.0
        copy(images_BYXP, key)
        for own, batch in zip(*norms, strict=True):
            m = own.momentum
            own.mean[...] = m * own.mean[...] + (1 - m) * batch.mean[...]
            own.var[...] = m * own.var[...] + (1 - m) * batch.var[...]
        return copy


class ConvUnit(nnx.Module):
    """A convolution, a norm or a bias, the activation, pooling."""

    def __init__(
        self, config: CNN, layer: ConvLayer, reads: tuple[str, int], writes: tuple[str, int], rngs: nnx.Rngs
    ) -> None:
        self.pool, self.activation, self.axis = layer.pool, config.activation, writes[0]
        how: dict[str, Any] = {"size": layer.size, "stride": layer.stride, "taps": taps(layer)}
        self.conv = Conv(reads, writes, implementation=config.convolution, rngs=rngs, **how)
        self.norm = _norm(config, *writes)
        self.bias = None if config.norm else axes.param(jnp.zeros(writes[1]), writes=(writes[0],))

    def __call__(self, x: Float[Array, "B Y X R"], train: bool, masks: Masks | None = None) -> Float[Array, "B y x W"]:
        y = self.conv(x)
        y = y + self.bias[...] if self.norm is None else self.norm(y, train=train)
        y = masked(_activated(y, self.activation), masks, (self.axis,))
        return max_pool(y) if self.pool else y


class DenseUnit(nnx.Module):
    """A dense layer, a norm or a bias, the activation."""

    def __init__(self, config: CNN, reads: Mapping[str, int], writes: tuple[str, int], rngs: nnx.Rngs) -> None:
        self.activation, self.axis = config.activation, writes[0]
        fan_in = math.prod(reads.values())
        std = ((2 if config.activation == "relu" else 1) / fan_in) ** 0.5
        self.dense = Dense(reads, dict([writes]), std=std, bias=not config.norm, rngs=rngs)
        self.norm = _norm(config, *writes)

    def __call__(self, x: Float[Array, "B ..."], train: bool, masks: Masks | None = None) -> Float[Array, "B W"]:
        y = self.dense(x)
        y = y if self.norm is None else self.norm(y[:, None, None], train=train)[:, 0, 0]
        return masked(_activated(y, self.activation), masks, (self.axis,))


class Head(nnx.Module):
    """Dense layers, and a last one alone (`output`)."""

    def __init__(self, config: CNN, reads: Mapping[str, int], layers: list[tuple[str, int]], rngs: nnx.Rngs) -> None:
        self.layers, reads = dense_layers(config, reads, layers[:-1], rngs)
        std = math.prod(reads.values()) ** -0.5
        self.output = Dense(reads, dict([layers[-1]]), std=std, bias=True, rngs=rngs)

    def __call__(self, x: Float[Array, "B ..."], train: bool, masks: Masks | None = None) -> Float[Array, "B C"]:
        for i in range(1, len(self.layers) + 1):
            x = self.layers[str(i)](x, train, masks)
        return self.output(x)


def dense_layers(
    config: CNN, reads: Mapping[str, int], layers: list[tuple[str, int]], rngs: nnx.Rngs
) -> tuple[Any, dict[str, int]]:
    """Dense layers one behind the other, and the axes of what comes out."""
    made = {}
    for i, writes in enumerate(layers, 1):
        made[str(i)] = DenseUnit(config, reads, writes, rngs)
        reads = dict([writes])
    return nnx.Dict(made), dict(reads)


def _norm(config: CNN, axis: str, size: int) -> BatchNorm | None:
    return BatchNorm(axis, size, eps=config.norm_eps, momentum=config.momentum) if config.norm else None


def _activated(x: Float[Array, "..."], activation: Activation) -> Float[Array, "..."]:
    return jax.nn.relu(x) if activation == "relu" else jax.nn.sigmoid(x)
