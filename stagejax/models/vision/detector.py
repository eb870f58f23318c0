"""A one-stage detector without anchors: every cell of a grid says whether an object is centred there, and its box."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from stagejax.models.build import built
from stagejax.models.conv import BatchNorm, Conv, Convolution
from stagejax.models.linear import Dense

Key = PRNGKeyArray | Array
Width = tuple[str, int]  # name and size of an axis of channels


@dataclass(frozen=True)
class Detector:
    """Backbone, neck and head; the parameters of each lie below `backbone`, `neck` and `head`.

    The first `halvings` blocks of the backbone have stride 2, so that the grid has `image / 2^halvings` cells a side;
    block i writes `channels.i`. The neck adds the deep features, enlarged, to those of twice the resolution, and goes
    back down to the grid.

    Args:
      image: height and width in pixels.
      channels: of the backbone's blocks.
      neck: channels of neck and head.
      prior: side of a box that the head says at first, in shares of the image.
      rare: probability of an object in a cell that it says at first.

    Raises:
      ValueError: fewer blocks than halvings, or sides that cannot be halved so often.

    Reference: of the layout, Redmon and Farhadi 2018, https://arxiv.org/abs/1804.02767, with the way down of Liu et al.
    2018 (PANet), https://arxiv.org/abs/1803.01534, at one scale.

    >>> Detector().grid
    6
    """

    image: int = 48
    channels_in: int = 1
    channels: tuple[int, ...] = (16, 32, 64, 64)
    neck: int = 40
    classes: int = 10
    halvings: int = 3
    prior: float = 0.3
    rare: float = 0.05
    norm_eps: float = 1e-5
    momentum: float = 0.9  # of the running statistics
    convolution: Convolution = "patches"

    def __post_init__(self) -> None:
        if not 2 <= self.halvings <= len(self.channels) or self.image % 2**self.halvings:
            raise ValueError(
                f"image={self.image} is halved halvings={self.halvings} times by {len(self.channels)} blocks: give 2 "
                f"halvings or more, a block for each, and an image that is a multiple of {2**self.halvings}"
            )

    @property
    def grid(self) -> int:
        """Cells a side."""
        return self.image // 2**self.halvings

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        own = {f"channels.{i}": size for i, size in enumerate(self.channels, 1)}
        neck = {f"channels.{name}": self.neck for name in ("lateral", "up", "down", "head")}
        outputs = {"objectness": 1, "box": 4, "classes": self.classes}
        return {"kernel_row": 3, "kernel_column": 3, "pixel": self.channels_in, **own, **neck, **outputs}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `GridDetector` with its initial parameters, drawn from `rngs.params`."""
        return built(GridDetector, self, rngs.params())


class _Block(nnx.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, config: Detector, reads: Width, writes: Width, rngs: nnx.Rngs, stride: int = 1) -> None:
        self.conv = Conv(reads, writes, size=3, stride=stride, implementation=config.convolution, rngs=rngs)
        self.norm = BatchNorm(*writes, eps=config.norm_eps, momentum=config.momentum)

    def __call__(self, x: Float[Array, "B Y X R"], train: bool) -> Float[Array, "B y x W"]:
        return jax.nn.relu(self.norm(self.conv(x), train=train))


class Backbone(nnx.Module):
    """Images to features of the grid, and of twice its resolution."""

    def __init__(self, config: Detector, rngs: nnx.Rngs) -> None:
        self.halvings, self.count = config.halvings, len(config.channels)
        widths = [("pixel", config.channels_in), *((f"channels.{i}", n) for i, n in enumerate(config.channels, 1))]
        self.blocks = nnx.Dict(
            {
                str(i): _Block(config, *pair, rngs, stride=2 if i <= config.halvings else 1)
                for i, pair in enumerate(itertools.pairwise(widths), 1)
            }
        )

    def __call__(
        self, images: Float[Array, "B Y X P"], train: bool
    ) -> tuple[Float[Array, "B g g S"], Float[Array, "B G G D"]]:
        x, shallow = images, images
        for i in range(1, self.count + 1):
            x = self.blocks[str(i)](x, train)
            shallow = x if i == self.halvings - 1 else shallow
        return shallow, x


class Neck(nnx.Module):
    """Both features as one, on the grid: up to the finer one, and down again."""

    def __init__(self, config: Detector, rngs: nnx.Rngs) -> None:
        i, last = config.halvings - 1, len(config.channels)
        lateral, up, down = ((f"channels.{name}", config.neck) for name in ("lateral", "up", "down"))
        fine, deep = (f"channels.{i}", config.channels[i - 1]), (f"channels.{last}", config.channels[-1])
        self.fine = Dense(dict([fine]), dict([lateral]), std=fine[1] ** -0.5, bias=False, rngs=rngs)
        self.deep = Dense(dict([deep]), dict([lateral]), std=deep[1] ** -0.5, bias=False, rngs=rngs)
        self.up = _Block(config, lateral, up, rngs)
        self.down = _Block(config, up, down, rngs, stride=2)
        self.across = Dense(dict([deep]), dict([down]), std=deep[1] ** -0.5, bias=False, rngs=rngs)

    def __call__(
        self, shallow: Float[Array, "B g g S"], deep: Float[Array, "B G G D"], train: bool
    ) -> Float[Array, "B G G N"]:
        enlarged = self.deep(deep).repeat(2, axis=1).repeat(2, axis=2)
        fine = self.up(self.fine(shallow) + enlarged, train)
        return self.down(fine, train) + self.across(deep)


class Head(nnx.Module):
    """A convolution, then the three outputs of every cell."""

    def __init__(self, config: Detector, rngs: nnx.Rngs) -> None:
        reads, own = ("channels.down", config.neck), ("channels.head", config.neck)
        self.block = _Block(config, reads, own, rngs)
        self.objectness = Dense(dict([own]), {"objectness": 1}, std=0.01, bias=True, rngs=rngs)
        self.box = Dense(dict([own]), {"box": 4}, std=0.01, bias=True, rngs=rngs)
        self.classes = Dense(dict([own]), {"classes": config.classes}, std=own[1] ** -0.5, bias=True, rngs=rngs)

    def __call__(self, x: Float[Array, "B G G N"], train: bool) -> tuple[Array, Array, Array]:
        x = self.block(x, train)
        return self.objectness(x)[..., 0], self.box(x), self.classes(x)


class GridDetector(nnx.Module):
    """The module of `Detector`. Its output is {"objectness": (B, C) logits, "boxes": (B, C, 4), "classes": (B, C, K)}.

    C cells, row by row. Cell (i, j) says the offsets (a, b) of the centre and the logarithms (c, d) of the sides:

        centre = ((i, j) + sigmoid(a, b)) / G,  sides = prior * exp(clip(c, d)),  objectness = o + logit(rare)

    A box is (top, left, bottom, right) in shares of the image. Given a key, batch norms use the batch (training).

    >>> model = Detector().build(nnx.Rngs(0))
    >>> {name: x.shape for name, x in model(jnp.zeros((2, 48, 48, 1))).items()}
    {'objectness': (2, 36), 'boxes': (2, 36, 4), 'classes': (2, 36, 10)}
    """

    def __init__(self, config: Detector, rngs: nnx.Rngs) -> None:
        self.config = config
        self.backbone = Backbone(config, rngs)
        self.neck = Neck(config, rngs)
        self.head = Head(config, rngs)

    def __call__(self, images_BYXP: Float[Array, "B Y X P"], key: Key | None = None) -> dict[str, Any]:
        train = key is not None
        objectness, box, classes = self.head(self.neck(*self.backbone(images_BYXP, train), train), train)
        G = self.config.grid
        cells = jnp.stack(jnp.meshgrid(jnp.arange(G), jnp.arange(G), indexing="ij"), axis=-1)
        centre = (cells + jax.nn.sigmoid(box[..., :2])) / G
        half = self.config.prior * jnp.exp(jnp.clip(box[..., 2:], -3, 3)) / 2
        boxes = jnp.concatenate([centre - half, centre + half], axis=-1)
        objectness = objectness + math.log(self.config.rare / (1 - self.config.rare))
        flat = {"objectness": objectness, "boxes": boxes, "classes": classes}
        return {name: x.reshape(x.shape[0], G * G, *x.shape[3:]) for name, x in flat.items()}
