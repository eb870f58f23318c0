"""A pyramid of vision transformers: a convolutional stem, then stages of blocks on fewer and fewer tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from stagejax import axes
from stagejax.models.block import Block, Key, pre_norm_block
from stagejax.models.build import built
from stagejax.models.conv import Conv
from stagejax.models.linear import Dense, Table
from stagejax.models.masks import Masks, gated, masked, of_layer
from stagejax.models.norm import Norm
from stagejax.models.patches import patches_of
from stagejax.models.stack import Remat, run_stack, stack


@dataclass(frozen=True)
class PyramidViT:
    """What a pyramid is: a 3 x 3 convolution of stride 2, patches of what it gives, and stages of pre-norm blocks.

    Stage s has the axes `embed.s`, `kv_heads.s`, `mlp.s` and `layers.s`. Between two stages a 3 x 3 convolution of
    stride 2 halves the grid of tokens, rounded up.

    Raises:
      ValueError: a size that does not fit another; the error names the field and the fix.

    Reference: Graham et al. 2021 (LeViT), https://arxiv.org/abs/2104.01136, for the shape.

    >>> PyramidViT(image=28, patch=2).sides
    (7, 4)
    >>> PyramidViT(embed=(24, 64))
    Traceback (most recent call last):
    ...
    ValueError: head_dim=16 does not divide embed=(24, 64): heads are whole. Set the widths to multiples of 16.
    """

    image: int = 28  # height and width in pixels
    channels: int = 1  # of a pixel
    stem: int = 16  # channels of the first convolution
    patch: int = 2  # height and width, in pixels of the stem, of a token of the first stage
    embed: tuple[int, ...] = (64, 64)  # widths of the stages
    layers: tuple[int, ...] = (3, 3)  # their numbers of blocks
    mlp: tuple[int, ...] = (192, 192)  # widths of their feed-forward networks
    head_dim: int = 16  # size of a head; a stage has embed / head_dim of them
    classes: int = 10
    norm_eps: float = 1e-6  # added to the variance
    init_std: float = 0.02  # standard deviation of initial kernels and tables
    scan: bool = False  # loop over the layers of a stage in the program, or unroll them
    remat: Remat | None = None

    def __post_init__(self) -> None:
        if not len(self.embed) == len(self.layers) == len(self.mlp) or not self.layers or min(self.layers) < 1:
            raise ValueError(
                f"embed={self.embed}, layers={self.layers}, mlp={self.mlp}: give one number of each for every stage, "
                "and a block to each"
            )
        if self.image % (2 * self.patch):
            raise ValueError(f"image={self.image} is no multiple of 2 patch={2 * self.patch}: set one to fit the other")
        if any(width % self.head_dim for width in self.embed):
            raise ValueError(
                f"head_dim={self.head_dim} does not divide embed={self.embed}: heads are whole. Set the widths to "
                f"multiples of {self.head_dim}."
            )

    @property
    def sides(self) -> tuple[int, ...]:
        """Height and width, in tokens, of each stage."""
        sides = [self.image // (2 * self.patch)]
        for _ in self.embed[1:]:
            sides.append((sides[-1] + 1) // 2)
        return tuple(sides)

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        sizes = {
            "kernel_row": 3,
            "kernel_column": 3,
            "pixel": self.channels,
            "channels.stem": self.stem,
            "patch_row": self.patch,
            "patch_column": self.patch,
            "position": self.sides[0] ** 2,
            "q_per_kv": 1,
            "head_dim": self.head_dim,
            "value_dim": self.head_dim,
            "classes": self.classes,
        }
        for s, (width, depth, hidden) in enumerate(zip(self.embed, self.layers, self.mlp, strict=True), 1):
            own = {"embed": width, "kv_heads": width // self.head_dim, "mlp": hidden, "layers": depth}
            sizes |= {f"{axis}.{s}": size for axis, size in own.items()}
        return sizes

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `PyramidVisionTransformer` with its initial parameters, drawn from `rngs.params`."""
        return built(PyramidVisionTransformer, self, rngs.params())


class PyramidVisionTransformer(nnx.Module):
    """Images to logits.

    Letters: B batch, Y and X rows and columns of pixels, P pixel channels, T tokens, E embed of a stage, C classes.

    A mask stands under the axis it is over, as `mlp.2` (see `stagejax.models.masks`; `layers.s` gates blocks). Two more
    are for smaller images, which lie in the upper left corner of a full one that is zero elsewhere: `tokens.s` (T,)
    says which tokens of a stage there are, and `resample` (side, side) makes their positions from those of the table,
    once for rows and once for columns.

    >>> model = PyramidViT(layers=(1, 1)).build(nnx.Rngs(0))
    >>> model(jnp.zeros((3, 28, 28, 1))).shape
    (3, 10)
    """

    def __init__(self, config: PyramidViT, rngs: nnx.Rngs) -> None:
        self.config = c = config
        stages, std = range(1, len(c.embed) + 1), c.init_std
        width = {s: (f"embed.{s}", c.embed[s - 1]) for s in stages}
        self.stem = Conv(
            ("pixel", c.channels), ("channels.stem", c.stem), size=3, stride=2, implementation="patches", rngs=rngs
        )
        grid = {"patch_row": c.patch, "patch_column": c.patch, "channels.stem": c.stem}
        self.patches = Dense(grid, dict([width[1]]), std=std, bias=True, rngs=rngs)
        table = Table("position", c.sides[0] ** 2, c.embed[0], std=std, rngs=rngs)
        self.positions = axes.renamed(table, {"embed": "embed.1"})
        self.blocks = nnx.Dict({str(s): _blocks(c, s, rngs) for s in stages})
        self.norms = nnx.Dict({str(s): Norm("layer", *width[s], eps=c.norm_eps) for s in stages})
        self.halvings = nnx.Dict({
            str(s): Conv(width[s], width[s + 1], size=3, stride=2, implementation="patches", rngs=rngs)
            for s in stages[:-1]
        })  # fmt: skip
        self.head = Dense(dict([width[stages[-1]]]), {"classes": c.classes}, std=std, bias=True, rngs=rngs)

    def __call__(
        self, images_BYXP: Float[Array, "B Y X P"], *, key: Key | None = None, masks: Masks | None = None
    ) -> Float[Array, "B C"]:
        """Logits; nothing is random, so `key` is not used."""
        return self.head(self.features(images_BYXP, masks))

    def features(self, images_BYXP: Float[Array, "B Y X P"], masks: Masks | None = None) -> Float[Array, "B E"]:
        """The mean of the last stage's tokens behind the final norm.

        Raises:
          ValueError: images of another size than the model's.
        """
        masks, last = masks or {}, len(self.config.embed)
        x_BTE = self.tokens(images_BYXP, masks)
        for s in range(1, last + 1):
            x_BTE = self._through(x_BTE, s, masks)
            x_BTE = self.norms[str(s)](x_BTE, masks.get(f"embed.{s}"))
            there_T = masks.get(f"tokens.{s}")
            x_BTE = x_BTE if there_T is None else x_BTE * there_T[:, None]
            if s < last:
                side = self.config.sides[s - 1]
                grid = self.halvings[str(s)](x_BTE.reshape(-1, side, side, x_BTE.shape[-1]))
                x_BTE = grid.reshape(len(grid), -1, grid.shape[-1])
        return x_BTE.mean(1) if there_T is None else x_BTE.sum(1) / there_T.sum()

    def tokens(self, images_BYXP: Float[Array, "B Y X P"], masks: Masks) -> Float[Array, "B T E"]:
        """The tokens of the first stage with their positions."""
        c, side = self.config, self.config.sides[0]
        if images_BYXP.shape[1:] != (c.image, c.image, c.channels):
            raise ValueError(
                f"images of shape {images_BYXP.shape[1:]}, but the model has image={c.image} and channels={c.channels}"
            )
        x = masked(jax.nn.relu(self.stem(images_BYXP)), masks, ("channels.stem",))
        table = self.positions.table[...]
        if "resample" in masks:
            line = masks["resample"].astype(table.dtype)
            table = jnp.einsum("it,ju,tue->ije", line, line, table.reshape(side, side, -1)).reshape(table.shape)
        return self.patches(patches_of(x, c.patch)) + table

    def _through(self, x_BTE: Float[Array, "B T E"], s: int, masks: Masks) -> Float[Array, "B T E"]:
        """The blocks of stage s."""
        c, own = self.config, {axis: f"{axis}.{s}" for axis in ("embed", "kv_heads", "mlp", "layers")}
        own_masks = {axis: masks[name] for axis, name in own.items() if name in masks}
        there_T = masks.get(f"tokens.{s}")
        seen = None if there_T is None else jnp.broadcast_to(there_T > 0, x_BTE.shape[:2])

        def call(block: Block, layer: Any, x_BTE: Any) -> Any:
            row = of_layer(own_masks, layer)
            return gated(block(x_BTE, mask=seen, masks=row), x_BTE, row)

        return run_stack(self.blocks[str(s)], call, x_BTE, start=0, stop=c.layers[s - 1], scan=c.scan, remat=c.remat)


def _blocks(c: PyramidViT, s: int, rngs: nnx.Rngs) -> nnx.Module:
    """The stacked blocks of stage s, their axes under its names."""

    def block(rngs: nnx.Rngs) -> Block:
        sizes = c.embed[s - 1], c.embed[s - 1] // c.head_dim, c.head_dim, c.mlp[s - 1]
        made = pre_norm_block(*sizes, eps=c.norm_eps, std=c.init_std, rngs=rngs)
        return axes.renamed(made, {axis: f"{axis}.{s}" for axis in ("embed", "kv_heads", "mlp")})

    return stack(block, c.layers[s - 1], rngs, f"layers.{s}")
