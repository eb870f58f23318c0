"""Convolutional networks with batch normalisation: a plain one and residual ones."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from stagejax.models.build import built
from stagejax.models.conv import BatchNorm, Conv, Convolution, max_pool
from stagejax.models.linear import Dense
from stagejax.models.masks import Masks, check_masks, gated, masked, of_layer

Key = PRNGKeyArray | Array
Width = tuple[str, int]  # name and size of an axis of channels


@dataclass(frozen=True)
class ConvNet:
    """Blocks of 3 x 3 convolution, batch norm, ReLU and 2 x 2 max pooling, then the mean over pixels and a linear head.

    Block i writes the axis `channels.i`.

    Raises:
      ValueError: fewer pixels than the pooling needs.

    >>> ConvNet(channels=(16, 32)).sizes()["channels.2"]
    32
    """

    image: int = 28  # height and width in pixels
    channels_in: int = 1  # of a pixel
    channels: tuple[int, ...] = (16, 32, 32)  # written by each block
    classes: int = 10
    norm_eps: float = 1e-5  # added to the variance
    momentum: float = 0.9  # of the running statistics
    convolution: Convolution = "conv"

    def __post_init__(self) -> None:
        if not self.channels or self.image < 2 ** len(self.channels):
            raise ValueError(
                f"image={self.image} is halved {len(self.channels)} times: give 1 block or more, and an image of at "
                f"least {2 ** len(self.channels)} pixels"
            )

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        own = {f"channels.{i}": size for i, size in enumerate(self.channels, 1)}
        return {"kernel_row": 3, "kernel_column": 3, "pixel": self.channels_in, **own, "classes": self.classes}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `ConvolutionalNetwork` with its initial parameters, drawn from `rngs.params`."""
        return built(ConvolutionalNetwork, self, rngs.params())


@dataclass(frozen=True)
class ResNet:
    """Stages of residual blocks; every stage but the first halves the image.

    Stage s has one residual axis `channels.s` and one inner axis `channels.s.inner`. Its first block changes the
    channels where that is needed; the others are alike.

    Args:
      bottleneck: 1: two 3 x 3 convolutions a block; k > 1: 1 x 1, 3 x 3, 1 x 1 with k times fewer inner channels.
      stem: channels of the first convolution; None: those of the first stage.
      stem_size, stem_pool: its kernel, and whether it halves the image and a 2 x 2 pooling halves it once more.

    Reference: He et al. 2015, https://arxiv.org/abs/1512.03385; `resnet50` is that of its table 1, except for the
    pooling (3 x 3 there) and the strides, which are in the 3 x 3 convolutions as is usual since.

    >>> ResNet(blocks=(1, 1), channels=(8, 16)).sizes()["channels.2.inner"]
    16
    """

    image: int = 32
    channels_in: int = 3
    channels: tuple[int, ...] = (16, 32, 64)  # of the stages
    blocks: tuple[int, ...] = (2, 2, 2)  # in each stage
    classes: int = 10
    bottleneck: int = 1
    stem: int | None = None
    stem_size: int = 3
    stem_pool: bool = False
    norm_eps: float = 1e-5
    momentum: float = 0.9
    convolution: Convolution = "conv"

    def __post_init__(self) -> None:
        if not self.channels or len(self.channels) != len(self.blocks) or min(self.blocks) < 1:
            raise ValueError(f"channels={self.channels} and blocks={self.blocks}: one number of each for every stage")
        if any(size % self.bottleneck for size in self.channels):
            raise ValueError(f"bottleneck={self.bottleneck} does not divide channels={self.channels}")

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        sizes = {"kernel_row": 3, "kernel_column": 3, "pixel": self.channels_in, "classes": self.classes}
        if self.stem_size != 3:
            sizes |= {"kernel_row.stem": self.stem_size, "kernel_column.stem": self.stem_size}
        if self.stem is not None:
            sizes["channels.stem"] = self.stem
        for s, size in enumerate(self.channels, 1):
            sizes |= {f"channels.{s}": size, f"channels.{s}.inner": size // self.bottleneck}
            if self.bottleneck > 1:
                sizes[f"channels.{s}.inner_out"] = size // self.bottleneck
        return sizes

    @property
    def depths(self) -> dict[str, int]:
        """How many blocks stage s has behind its first, `layers.s`: no axes, as each has parameters of its own."""
        return {f"layers.{s}": blocks - 1 for s, blocks in enumerate(self.blocks, 1)}

    @property
    def stem_width(self) -> Width:
        """The axis that the first convolution writes."""
        return ("channels.1", self.channels[0]) if self.stem is None else ("channels.stem", self.stem)

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `ResidualNetwork` with its initial parameters, drawn from `rngs.params`."""
        return built(ResidualNetwork, self, rngs.params())


def resnet50(**fields: Any) -> ResNet:
    """The residual network of 50 layers for images of 224 pixels.

    >>> resnet50().blocks
    (3, 4, 6, 3)
    """
    sizes = {"channels": (256, 512, 1024, 2048), "blocks": (3, 4, 6, 3), "bottleneck": 4, "classes": 1000}
    return ResNet(**{"image": 224, "stem": 64, "stem_size": 7, "stem_pool": True, **sizes, **fields})


class Classifier(nnx.Module):
    """Images to logits, by the mean over pixels of what `pixels` gives. Subclasses define `head`, and `run` or that.

    Letters: B batch, Y and X rows and columns, P pixel channels, E features, C classes. In training (a key is given)
    batch norms use the statistics of the batch; there is no other randomness. Masks are on channels (see
    `stagejax.models.masks`), behind their norms, which know each channel alone.
    """

    config: Any
    head: Dense

    def __call__(
        self, images_BYXP: Float[Array, "B Y X P"], key: Key | None = None, masks: Masks | None = None
    ) -> Float[Array, "B C"]:
        return self.logits(self.features(images_BYXP, key, masks))

    def features(
        self, images_BYXP: Float[Array, "B Y X P"], key: Key | None = None, masks: Masks | None = None
    ) -> Float[Array, "B E"]:
        """What the head reads.

        Raises:
          ValueError: masks over another axis, or of another size.
        """
        check_masks(masks, self.config.sizes() | getattr(self.config, "depths", {}))
        return self.pixels(images_BYXP, key is not None, masks).mean((1, 2))

    def logits(self, x_BE: Float[Array, "B E"]) -> Float[Array, "B C"]:
        """The head on what `features` returns."""
        return self.head(x_BE)

    def pixels(
        self, images_BYXP: Float[Array, "B Y X P"], train: bool, masks: Masks | None = None
    ) -> Float[Array, "B y x E"]:
        """The last features of every pixel."""
        return self.run(images_BYXP, 0, len(self.config.channels), train, masks)

    def run(
        self, x: Float[Array, "B Y X R"], start: int, stop: int, train: bool, masks: Masks | None = None
    ) -> Float[Array, "B y x W"]:
        """The state behind level `stop`, from the state behind level `start`; that behind level 0 is the images.

        Level k writes `channels.k`. So a network can go on from a state that is not its own.
        """
        raise NotImplementedError


class ConvBlock(nnx.Module):
    """Convolution and batch norm; of a size (rows, columns), its taps are named by it."""

    def __init__(
        self,
        config: Any,
        reads: Width,
        writes: Width,
        rngs: nnx.Rngs,
        stride: int = 1,
        size: int | tuple[int, int] = 3,
        pad: bool = True,
    ) -> None:
        stem = ("kernel_row.stem", "kernel_column.stem")
        taps = None if size == 3 or not isinstance(size, int) else stem
        how: dict[str, Any] = {"stride": stride, "pad": pad, "taps": taps, "implementation": config.convolution}
        self.conv = Conv(reads, writes, size=size, rngs=rngs, **how)
        self.norm = BatchNorm(*writes, eps=config.norm_eps, momentum=config.momentum)

    def __call__(self, x: Float[Array, "B Y X R"], train: bool) -> Float[Array, "B y x W"]:
        return self.norm(self.conv(x), train=train)


class Pointwise(nnx.Module):
    """A 1 x 1 convolution and batch norm."""

    def __init__(self, config: Any, reads: Width, writes: Width, rngs: nnx.Rngs, stride: int = 1) -> None:
        self.stride = stride
        self.dense = Dense(dict([reads]), dict([writes]), std=(2 / reads[1]) ** 0.5, bias=False, rngs=rngs)
        self.norm = BatchNorm(*writes, eps=config.norm_eps, momentum=config.momentum)

    def __call__(self, x: Float[Array, "B Y X R"], train: bool) -> Float[Array, "B y x W"]:
        return self.norm(self.dense(x[:, :: self.stride, :: self.stride]), train=train)


class ConvolutionalNetwork(Classifier):
    """The module of `ConvNet`.

    >>> model = ConvNet(channels=(4, 8)).build(nnx.Rngs(0))
    >>> images = jax.numpy.zeros((3, 28, 28, 1))
    >>> model(images).shape, model.run(model.run(images, 0, 1, False), 1, 2, False).shape
    ((3, 10), (3, 7, 7, 8))
    """

    def __init__(self, config: ConvNet, rngs: nnx.Rngs) -> None:
        self.config = config
        widths = [("pixel", config.channels_in)]
        widths += [(f"channels.{i}", size) for i, size in enumerate(config.channels, 1)]
        self.blocks = nnx.Dict(
            {str(i): ConvBlock(config, *pair, rngs) for i, pair in enumerate(itertools.pairwise(widths), 1)}
        )
        self.head = _head(widths[-1], config.classes, rngs)

    def run(
        self, x: Float[Array, "B Y X R"], start: int, stop: int, train: bool, masks: Masks | None = None
    ) -> Float[Array, "B y x W"]:
        for i in range(start + 1, stop + 1):
            x = masked(max_pool(jax.nn.relu(self.blocks[str(i)](x, train))), masks, (f"channels.{i}",))
        return x


class ResidualBlock(nnx.Module):
    """`relu(shortcut(x) + f(x))`; f is two 3 x 3 convolutions, or a bottleneck."""

    def __init__(self, config: ResNet, reads: Width, inner: Width, writes: Width, stride: int, rngs: nnx.Rngs) -> None:
        self.inner, self.outer = inner[0], writes[0]  # axes
        change = reads != writes or stride != 1
        self.shortcut = Pointwise(config, reads, writes, rngs, stride) if change else None
        if config.bottleneck == 1:
            self.first = ConvBlock(config, reads, inner, rngs, stride)
            self.middle = None
            self.last: nnx.Module = ConvBlock(config, inner, writes, rngs)
        else:
            self.first = Pointwise(config, reads, inner, rngs)
            self.middle = ConvBlock(config, inner, (inner[0] + "_out", inner[1]), rngs, stride)
            self.last = Pointwise(config, (inner[0] + "_out", inner[1]), writes, rngs)

    def __call__(self, x: Float[Array, "B Y X R"], train: bool, masks: Masks | None = None) -> Float[Array, "B y x W"]:
        """`x` is masked already."""
        y = masked(jax.nn.relu(self.first(x, train)), masks, (self.inner,))
        y = y if self.middle is None else masked(jax.nn.relu(self.middle(y, train)), masks, (self.inner,))
        y = masked(self.last(y, train), masks, (self.outer,))
        x = x if self.shortcut is None else masked(self.shortcut(x, train), masks, (self.outer,))
        return jax.nn.relu(y + x)


class ResidualNetwork(Classifier):
    """The module of `ResNet`.

    >>> model = ResNet(image=8, channels=(4, 8), blocks=(1, 2)).build(nnx.Rngs(0))
    >>> model(jax.numpy.zeros((3, 8, 8, 3))).shape
    (3, 10)
    """

    def __init__(self, config: ResNet, rngs: nnx.Rngs) -> None:
        self.config = c = config
        before = c.stem_width
        stride = 2 if c.stem_pool else 1
        self.stem = ConvBlock(c, ("pixel", c.channels_in), before, rngs, stride, c.stem_size)
        stages = {}
        for s, (size, blocks) in enumerate(zip(c.channels, c.blocks, strict=True), 1):
            inner, own = (f"channels.{s}.inner", size // c.bottleneck), (f"channels.{s}", size)
            for b in range(blocks):
                stride = 2 if s > 1 and b == 0 else 1
                stages[f"{s}.{b}"] = ResidualBlock(c, own if b else before, inner, own, stride, rngs)
            before = own
        self.blocks = nnx.Dict(stages)
        self.head = _head(before, c.classes, rngs)

    def run(
        self, x: Float[Array, "B Y X R"], start: int, stop: int, train: bool, masks: Masks | None = None
    ) -> Float[Array, "B y x W"]:
        c = self.config
        if start == 0:
            x = masked(jax.nn.relu(self.stem(x, train)), masks, c.stem_width[:1])
            x = max_pool(x) if c.stem_pool else x
        for s in range(start + 1, stop + 1):
            for b in range(c.blocks[s - 1]):
                y = self.blocks[f"{s}.{b}"](x, train, masks)
                x = gated(y, x, of_layer(masks, b - 1, f"layers.{s}")) if b else y
        return x


def _head(reads: Width, classes: int, rngs: nnx.Rngs) -> Dense:
    return Dense(dict([reads]), {"classes": classes}, std=reads[1] ** -0.5, bias=True, rngs=rngs)
