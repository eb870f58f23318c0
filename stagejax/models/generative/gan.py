"""A small convolutional generator of images, and the discriminator that learns against it.

Every kernel is stored with unit variance and scaled where it is used (equalised learning rate), so that a distance of
parameters means the same in every layer. There is no mapping network, modulation or noise: a plain generator, beside
which stands that of `stylegan2.py`.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from stagejax import axes
from stagejax.models.build import built
from stagejax.models.conv import Conv, Convolution
from stagejax.models.linear import Dense

Key = PRNGKeyArray | Array
Width = tuple[str, int]  # name and size of an axis of channels


@dataclass(frozen=True)
class Generator:
    """Latents to images: a dense layer to few pixels, then convolutions, with twice as many rows and columns at each.

    Level i has `channels.i`; behind each: leaky ReLU and a norm of every pixel over its channels.

    Reference: Karras et al. 2018 (progressive growing), https://arxiv.org/abs/1710.10196, sections 4.1 and 4.2.

    >>> Generator(start=4, channels=(32, 16, 8)).size
    16
    """

    latent: int = 32
    start: int = 4  # rows and columns of the first level
    channels: tuple[int, ...] = (48, 32, 16)
    pixels: int = 1  # channels of an image
    convolution: Convolution = "patches"

    @property
    def size(self) -> int:
        """Rows and columns of an image."""
        return self.start * 2 ** (len(self.channels) - 1)

    def widths(self) -> list[Width]:
        """Name and size of the channels of every level."""
        return [(f"channels.{i}", size) for i, size in enumerate(self.channels, 1)]

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        pixels = {"row": self.start, "column": self.start, "kernel_row": 3, "kernel_column": 3, "pixel": self.pixels}
        return {"latent": self.latent, **pixels, **dict(self.widths())}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `GeneratorNetwork` with its initial parameters, drawn from `rngs.params`."""
        return built(GeneratorNetwork, self, rngs.params())


@dataclass(frozen=True)
class Discriminator:
    """Images to one logit, above 0 for real ones: convolutions of stride 2, a hidden layer, the logit.

    The hidden layer also reads the mean over features of their standard deviation over the batch, by which too little
    variety shows.

    Reference: Karras et al. 2018, https://arxiv.org/abs/1710.10196, section 3 (the deviation).

    Raises:
      ValueError: rows and columns cannot be halved so often.

    >>> Discriminator(size=16, channels=(8, 16)).last
    4
    """

    size: int = 16  # rows and columns of an image
    channels: tuple[int, ...] = (24, 48)
    hidden: int = 64
    pixels: int = 1  # channels of an image
    convolution: Convolution = "patches"

    def __post_init__(self) -> None:
        if self.size % 2 ** len(self.channels):
            raise ValueError(
                f"size={self.size} cannot be halved {len(self.channels)} times, for channels={self.channels}"
            )

    @property
    def last(self) -> int:
        """Rows and columns behind the convolutions."""
        return self.size // 2 ** len(self.channels)

    def widths(self) -> list[Width]:
        """Name and size of the channels before and behind each convolution."""
        return [("pixel", self.pixels), *((f"channels.{i}", size) for i, size in enumerate(self.channels, 1))]

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        pixels = {"row": self.last, "column": self.last, "kernel_row": 3, "kernel_column": 3, "deviation": 1}
        return {**pixels, **dict(self.widths()), "hidden": self.hidden, "score": 1}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `DiscriminatorNetwork` with its initial parameters, drawn from `rngs.params`."""
        return built(DiscriminatorNetwork, self, rngs.params())


class ScaledDense(nnx.Module):
    """A dense layer with a kernel of variance 1 / rate², times rate / √(read values) in use, and rate times a bias.

    Where steps do not depend on the gradient's size, it changes as with `rate` times the learning rate.

    Args:
      bias: where the bias starts; None: there is none.
    """

    def __init__(
        self,
        reads: dict[str, int],
        writes: dict[str, int],
        *,
        bias: float | None = 0.0,
        rate: float = 1.0,
        rngs: nnx.Rngs,
    ) -> None:
        self.dense = Dense(reads, writes, std=1 / rate, bias=False, rngs=rngs)
        self.rate, self.scale = rate, rate * math.prod(reads.values()) ** -0.5
        shape = tuple(writes.values())
        self.bias = None if bias is None else axes.param(jnp.full(shape, bias / rate), writes=tuple(writes))

    def __call__(self, x: Float[Array, "*axes"]) -> Float[Array, "*other"]:
        y = self.dense(x) * self.scale
        return y if self.bias is None else y + self.rate * self.bias[...]


class ScaledConv(Conv):
    """A 3 x 3 convolution with a kernel of unit variance, divided by √(read values) in use, and a bias."""

    def __init__(
        self, reads: Width, writes: Width, *, stride: int = 1, implementation: Convolution, rngs: nnx.Rngs
    ) -> None:
        super().__init__(reads, writes, size=3, stride=stride, implementation=implementation, rngs=rngs)
        self.fan_in = 9 * reads[1]
        self.kernel[...] = self.kernel[...] * (self.fan_in / 2) ** 0.5
        self.bias = axes.param(jnp.zeros(writes[1]), writes=(writes[0],))

    def __call__(self, x_BYXR: Float[Array, "B Y X R"]) -> Float[Array, "B y x W"]:
        return super().__call__(x_BYXR) * self.fan_in**-0.5 + self.bias[...]


class GeneratorNetwork(nnx.Module):
    """The module of `Generator`.

    Letters: B batch, Z latent, Y and X rows and columns, P pixel channels.

    >>> Generator(channels=(8, 4)).build(nnx.Rngs(0))(jnp.zeros((2, 32))).shape
    (2, 8, 8, 1)
    """

    def __init__(self, config: Generator, rngs: nnx.Rngs) -> None:
        self.config = c = config
        widths = c.widths()
        first = {"row": c.start, "column": c.start} | dict(widths[:1])
        self.first = ScaledDense({"latent": c.latent}, first, rngs=rngs)
        pairs = enumerate(itertools.pairwise(widths), 2)
        how = {"implementation": c.convolution, "rngs": rngs}
        self.levels = nnx.Dict({str(i): ScaledConv(reads, writes, **how) for i, (reads, writes) in pairs})
        self.pixels = ScaledDense(dict(widths[-1:]), {"pixel": c.pixels}, rngs=rngs)

    def __call__(self, z_BZ: Float[Array, "B Z"]) -> Float[Array, "B Y X P"]:
        """Images with values from 0 to 1."""
        x = _normed(_leaky(self.first(_normed(z_BZ))))
        for i in range(2, len(self.levels) + 2):
            x = _normed(_leaky(self.levels[str(i)](x.repeat(2, axis=1).repeat(2, axis=2))))
        return jax.nn.sigmoid(self.pixels(x))

    def sample(self, key: Key, count: int) -> Float[Array, "B Y X P"]:
        """Images of `count` normal latents."""
        return self(jax.random.normal(key, (count, self.config.latent)))


class DiscriminatorNetwork(nnx.Module):
    """The module of `Discriminator`.

    >>> Discriminator(size=8, channels=(4,)).build(nnx.Rngs(0))(jnp.zeros((2, 8, 8, 1))).shape
    (2,)
    """

    def __init__(self, config: Discriminator, rngs: nnx.Rngs) -> None:
        self.config = c = config
        widths = c.widths()
        how = {"stride": 2, "implementation": c.convolution, "rngs": rngs}
        pairs = enumerate(itertools.pairwise(widths), 1)
        self.levels = nnx.Dict({str(i): ScaledConv(reads, writes, **how) for i, (reads, writes) in pairs})
        last = {"row": c.last, "column": c.last} | dict(widths[-1:])
        self.hidden = ScaledDense(last, {"hidden": c.hidden}, rngs=rngs)
        self.deviation = ScaledDense({"deviation": 1}, {"hidden": c.hidden}, bias=None, rngs=rngs)
        self.score = ScaledDense({"hidden": c.hidden}, {"score": 1}, rngs=rngs)

    def __call__(self, images_BYXP: Float[Array, "B Y X P"]) -> Float[Array, " B"]:
        """Logits."""
        x = 2 * images_BYXP - 1
        for i in range(1, len(self.levels) + 1):
            x = _leaky(self.levels[str(i)](x))
        # Beneath the root, so that its gradient is finite where a feature is the same in all images.
        spread = jnp.sqrt(x.var(axis=0) + 1e-8).mean()
        hidden = self.hidden(x) + self.deviation(jnp.broadcast_to(spread, (len(x), 1)))
        return self.score(_leaky(hidden))[:, 0]


def _leaky(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Leaky ReLU that keeps the variance of a normal input."""
    return jax.nn.leaky_relu(x, 0.2) * (2 / 1.04) ** 0.5


def _normed(x: Float[Array, "*axes C"]) -> Float[Array, "*axes C"]:
    """Every vector over the last axis with mean square 1."""
    return x * jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + 1e-8)
