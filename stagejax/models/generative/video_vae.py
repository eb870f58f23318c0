"""A causal 3-D convolutional variational autoencoder of videos, whose compression can be deepened by one more module.

Letters: B batch, F frames, Y rows, X columns, C channels. A video has 1 + k s frames, where s is the compression in
time: the first frame is compressed alone, so that an image is a video of one frame.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from stagejax import axes
from stagejax.models.build import built
from stagejax.models.linear import Dense
from stagejax.models.norm import Norm

Key = PRNGKeyArray | Array
Factors = tuple[int, int, int]  # of frames, rows and columns
Width = tuple[str, int]  # name and size of an axis of channels
Video = Float[Array, "B F Y X C"]

START = -6.0  # log-variance of latents at first, around which inputs spread it


@dataclass(frozen=True)
class VideoVAE:
    """What the autoencoder is: patches, levels that compress, and deeper ones that come later in training.

    Every level compresses on two paths that are added: a causal convolution whose pixels are then rearranged into
    channels, and the rearranged pixels of its input averaged by groups of channels. The decoder mirrors both.

    Args:
      patch: rows and columns that become channels before the first convolution.
      channels: after the patches and after each of `levels` and `deep`.
      levels: frames, rows and columns that become one at each level.
      deep: the same for the modules between `levels` and the latent; their parameters are under `deep` in either half.
      shortcut: without it, levels have the convolution alone.

    Raises:
      ValueError: channels that are not one number for each level, or that cannot be grouped; the error names them.

    Reference: Step-Video-T2V 2025, https://arxiv.org/abs/2502.10248, section 4.1; the shortcut: Chen et al. 2024
    (DC-AE), https://arxiv.org/abs/2410.10733.

    >>> VideoVAE().factors, VideoVAE(deep=((2, 1, 1),), channels=(8, 8, 8)).factors
    ((2, 4, 4), (4, 4, 4))
    """

    pixels: int = 1  # channels of a pixel
    latent: int = 4  # channels of a latent
    patch: int = 2
    channels: tuple[int, ...] = (8, 8)
    levels: tuple[Factors, ...] = ((2, 2, 2),)
    deep: tuple[Factors, ...] = ()
    shortcut: bool = True
    norm_eps: float = 1e-6

    def __post_init__(self) -> None:
        if len(self.channels) != 1 + len(self.all_levels):
            raise ValueError(
                f"channels={self.channels} for the patches and {len(self.all_levels)} levels: give "
                f"{1 + len(self.all_levels)} numbers"
            )
        for (before, after), factors in zip(itertools.pairwise(self.channels), self.all_levels, strict=True):
            if before * math.prod(factors) % after:
                raise ValueError(
                    f"{before} channels become {before * math.prod(factors)} by {factors}, which {after} groups do not "
                    "divide: change `channels`"
                )
            if after % math.prod(factors):
                raise ValueError(f"{after} channels are not divided by the factors {factors}: change `channels`")

    @property
    def all_levels(self) -> tuple[Factors, ...]:
        """Those of both kinds."""
        return self.levels + self.deep

    @property
    def factors(self) -> Factors:
        """The compression of frames, rows and columns."""
        f, y, x = (math.prod(level[i] for level in self.all_levels) for i in range(3))
        return f, self.patch * y, self.patch * x

    def compressed(self, shape: tuple[int, int, int]) -> tuple[int, int, int, int]:
        """Shape of the latent of a video of so many frames, rows and columns.

        Raises:
          ValueError: its frames or pixels are not divided by the compression.

        >>> VideoVAE().compressed((9, 20, 20))
        (5, 5, 5, 4)
        """
        (frames, rows, columns), (f, y, x) = shape, self.factors
        if (frames - 1) % f or rows % y or columns % x:
            raise ValueError(
                f"a video of {frames} frames of {rows} x {columns} pixels: give 1 + a multiple of {f} frames, and "
                f"multiples of {y} rows and {x} columns"
            )
        return 1 + (frames - 1) // f, rows // y, columns // x, self.latent

    @property
    def shallow(self) -> VideoVAE:
        """The same without its deeper levels."""
        return replace(self, deep=(), channels=self.channels[: len(self.levels) + 1])

    def widths(self) -> list[Width]:
        """Name and size of the channels of every level, the patches first."""
        return [(f"channels.{i}", size) for i, size in enumerate(self.channels)]

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        taps = {"kernel_frame": 3, "kernel_row": 3, "kernel_column": 3}
        own = dict(self.widths()) | {f"{name}.inner": size for name, size in self.widths()}
        for (below, above), factors in zip(itertools.pairwise(self.widths()), self.all_levels, strict=True):
            times = math.prod(factors)
            own |= {f"{above[0]}.down": above[1] // times, f"{below[0]}.up": below[1] * times}
        return taps | own | {"pixel": self.patch**2 * self.pixels, "latent": self.latent, "moments": 2}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `VideoAutoencoder` with its initial parameters, drawn from `rngs.params`."""
        return built(VideoAutoencoder, self, rngs.params())


def is_deep(path: str, axes: axes.Axes) -> bool:
    """Parameters of the deeper levels: what a stage trains first when they are new."""
    return "/deep/" in path


def deepened(path: str, axes: axes.Axes) -> str:
    """The hand-over of parameters from an autoencoder without deeper levels: those begin anew.

    >>> [deepened(path, axes.Axes((), ())) for path in ("encoder/deep/0/down/conv/bias", "encoder/enter/bias")]
    ['reset', 'carry']
    """
    return "reset" if is_deep(path, axes) else "carry"


class VideoAutoencoder(nnx.Module):
    """The module of `VideoVAE`.

    >>> model = VideoVAE().build(nnx.Rngs(0))
    >>> jax.eval_shape(model, jnp.zeros((1, 9, 8, 8, 1)))[0].shape
    (1, 9, 8, 8, 1)
    """

    def __init__(self, config: VideoVAE, rngs: nnx.Rngs) -> None:
        self.config = config
        self.encoder, self.decoder = Encoder(config, rngs), Decoder(config, rngs)

    def __call__(self, videos: Video, key: Key | None = None) -> tuple[Array, Array, Array]:
        """The reconstruction, and means and log-variances of the latents; without a key the means are decoded."""
        mean, logvar = self.moments(videos)
        noise = 0.0 if key is None else jnp.exp(0.5 * logvar) * jax.random.normal(key, mean.shape)
        return self.decode(mean + noise), mean, logvar

    def moments(self, videos: Video) -> tuple[Array, Array]:
        """Means and log-variances (B, f, y, x, latent).

        Raises:
          ValueError: frames or pixels that the compression does not divide.
        """
        self.config.compressed(videos.shape[1:4])
        return self.encoder(videos)

    def encode(self, videos: Video) -> Array:
        """The means."""
        return self.moments(videos)[0]

    def decode(self, latents: Video) -> Array:
        """Videos of latents."""
        return self.decoder(latents)


class Encoder(nnx.Module):
    """Videos to means and log-variances of latents; a latent frame sees no frame behind those that it stands for."""

    def __init__(self, config: VideoVAE, rngs: nnx.Rngs) -> None:
        self.config = c = config
        self.enter = CausalConv(("pixel", c.sizes()["pixel"]), c.widths()[0], rngs)
        self.first = Residual(c.widths()[0], c, rngs)
        made = [
            nnx.Dict({"down": Down(*pair, f, c, rngs), "block": Residual(pair[1], c, rngs)})
            for pair, f in zip(itertools.pairwise(c.widths()), c.all_levels, strict=True)
        ]
        self.levels, self.deep = numbered(made[: len(c.levels)]), numbered(made[len(c.levels) :])
        name, size = c.widths()[-1]
        self.norm = Norm("rms", name, size, eps=c.norm_eps)
        self.leave = Dense({name: size}, {"moments": 2, "latent": c.latent}, std=size**-0.5, bias=True, rngs=rngs)
        bias = self.leave.bias
        assert bias is not None
        bias[...] = bias[...].at[1].set(START)  # else the noise is as large as the latents, and training begins late

    def __call__(self, videos: Video) -> tuple[Array, Array]:
        p = self.config.patch
        x = self.first(self.enter(unshuffle(2 * videos - 1, (1, p, p))))
        for level in (*self.levels.values(), *self.deep.values()):
            x = level["block"](level["down"](x))
        moments = self.leave(jax.nn.silu(self.norm(x)))
        return moments[..., 0, :], jnp.clip(moments[..., 1, :], -20.0, 10.0)


class Decoder(nnx.Module):
    """Latents to videos; a frame sees no latent frame behind the one that stands for it."""

    def __init__(self, config: VideoVAE, rngs: nnx.Rngs) -> None:
        self.config = c = config
        self.enter = Dense({"latent": c.latent}, dict([c.widths()[-1]]), std=c.latent**-0.5, bias=True, rngs=rngs)
        made = [
            nnx.Dict({"block": Residual(above, c, rngs), "up": Up(above, below, f, c, rngs)})
            for (below, above), f in zip(itertools.pairwise(c.widths()), c.all_levels, strict=True)
        ]
        self.levels, self.deep = numbered(made[: len(c.levels)]), numbered(made[len(c.levels) :])
        self.last = Residual(c.widths()[0], c, rngs)
        self.norm = Norm("rms", *c.widths()[0], eps=c.norm_eps)
        self.leave = CausalConv(c.widths()[0], ("pixel", c.sizes()["pixel"]), rngs)

    def __call__(self, latents: Video) -> Array:
        p, x = self.config.patch, self.enter(latents)
        for level in reversed((*self.levels.values(), *self.deep.values())):
            x = level["up"](level["block"](x))
        y = self.leave(jax.nn.silu(self.norm(self.last(x))))
        return 0.5 * (shuffle(y, (1, p, p)) + 1)


def numbered(modules: list[Any]) -> Any:
    """Modules by their place."""
    return nnx.Dict({str(i): module for i, module in enumerate(modules)})


class Down(nnx.Module):
    """unshuffle(conv(x)) + mean over groups of the channels of unshuffle(x)."""

    def __init__(self, reads: Width, writes: Width, factors: Factors, config: VideoVAE, rngs: nnx.Rngs) -> None:
        self.factors, self.size, self.shortcut = factors, writes[1], config.shortcut
        inner = (f"{writes[0]}.down", writes[1] // math.prod(factors))
        self.conv = CausalConv(reads, inner, rngs)

    def __call__(self, x: Video) -> Array:
        y = unshuffle(self.conv(x), self.factors)
        if not self.shortcut:
            return y
        pieces = unshuffle(x, self.factors)
        return y + pieces.reshape(*pieces.shape[:-1], self.size, -1).mean(-1)


class Up(nnx.Module):
    """shuffle(conv(x)) + shuffle(each channel of x repeated): the mirror of `Down`."""

    def __init__(self, reads: Width, writes: Width, factors: Factors, config: VideoVAE, rngs: nnx.Rngs) -> None:
        self.factors, self.shortcut = factors, config.shortcut
        self.size = writes[1] * math.prod(factors)
        self.conv = CausalConv(reads, (f"{writes[0]}.up", self.size), rngs)

    def __call__(self, x: Video) -> Array:
        y = shuffle(self.conv(x), self.factors)
        return y + shuffle(x.repeat(self.size // x.shape[-1], -1), self.factors) if self.shortcut else y


class Residual(nnx.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))); the norms look at the channels of one place and time."""

    def __init__(self, width: Width, config: VideoVAE, rngs: nnx.Rngs) -> None:
        inner = (f"{width[0]}.inner", width[1])
        self.norm_in, self.norm_out = (Norm("rms", *axis, eps=config.norm_eps) for axis in (width, inner))
        self.first, self.second = CausalConv(width, inner, rngs), CausalConv(inner, width, rngs)

    def __call__(self, x: Video) -> Array:
        return x + self.second(jax.nn.silu(self.norm_out(self.first(jax.nn.silu(self.norm_in(x))))))


class CausalConv(nnx.Module):
    """3 x 3 x 3 convolution and bias: of this frame and the two before it, the first frame standing for what lacks.

    The kernel starts normal with variance 1 / (27 read channels).
    """

    def __init__(self, reads: Width, writes: Width, rngs: nnx.Rngs) -> None:
        fan_in = 27 * reads[1]
        matrix = jax.random.normal(rngs.params(), (fan_in, writes[1])) * fan_in**-0.5
        taps = ("kernel_frame", "kernel_row", "kernel_column")
        self.kernel = axes.param(matrix.reshape(3, 3, 3, reads[1], -1), reads=(*taps, reads[0]), writes=(writes[0],))
        self.bias = axes.param(jnp.zeros(writes[1]), writes=(writes[0],))

    def __call__(self, x: Video) -> Array:
        B, F, Y, X, R = x.shape
        x = jnp.pad(x, ((0, 0), (2, 0), (0, 0), (0, 0), (0, 0)), mode="edge")
        # Three frames side by side and a convolution in two dimensions: on a CPU far faster than one in three.
        x = jnp.concatenate([x[:, f : f + F] for f in range(3)], axis=-1).reshape(B * F, Y, X, 3 * R)
        kernel = self.kernel[...].transpose(1, 2, 0, 3, 4).reshape(3, 3, 3 * R, -1)
        numbers = ("NHWC", "HWIO", "NHWC")
        y = jax.lax.conv_general_dilated(x, kernel, (1, 1), ((1, 1), (1, 1)), dimension_numbers=numbers)
        return y.reshape(B, F, Y, X, -1) + self.bias[...]


def unshuffle(x: Video, factors: Factors) -> Array:
    """Blocks of (f, y, x) pixels as channels; the first frame is repeated in front until frames divide.

    So 1 + k f frames become 1 + k, and the first of them is made of the first frame alone.

    >>> unshuffle(jnp.arange(3.0).reshape(1, 3, 1, 1, 1), (2, 1, 1))[0, :, 0, 0].tolist()
    [[0.0, 0.0], [1.0, 2.0]]
    """
    f, y, z = factors
    x = jnp.pad(x, ((0, 0), (f - 1, 0), (0, 0), (0, 0), (0, 0)), mode="edge")
    B, F, Y, X, C = x.shape
    x = x.reshape(B, F // f, f, Y // y, y, X // z, z, C).transpose(0, 1, 3, 5, 2, 4, 6, 7)
    return x.reshape(B, F // f, Y // y, X // z, f * y * z * C)


def shuffle(x: Video, factors: Factors) -> Array:
    """The way back: channels as blocks of pixels, without the f - 1 frames in front of the first.

    >>> video = jnp.arange(12.0).reshape(1, 3, 2, 2, 1)
    >>> bool((shuffle(unshuffle(video, (2, 2, 1)), (2, 2, 1)) == video).all())
    True
    """
    f, y, z = factors
    B, F, Y, X, C = x.shape
    x = x.reshape(B, F, Y, X, f, y, z, C // (f * y * z)).transpose(0, 1, 4, 2, 5, 3, 6, 7)
    return x.reshape(B, F * f, Y * y, X * z, -1)[:, f - 1 :]
