"""Dual encoder: images and texts into one space, through branches of their own and then the same shared blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from stagejax import axes
from stagejax.models.block import Block, Key, pre_norm_block
from stagejax.models.build import built
from stagejax.models.linear import Dense, Table
from stagejax.models.norm import Norm
from stagejax.models.patches import patches_of
from stagejax.models.stack import Remat, run_stack, stack

#: Largest factor of the cosines, as in CLIP.
MOST_SCALE = 100.0


@dataclass(frozen=True)
class Tower:
    """The sizes of one stack of blocks."""

    layers: int = 1
    embed: int = 32  # width of its residual stream
    mlp: int = 128


@dataclass(frozen=True)
class DualEncoder:
    """What a dual encoder is: three towers, an image's and a text's own and one that both go through.

    Without adapters the three towers have one residual stream, the axis `embed`; with them they have three,
    `embed.image`, `embed.text` and `embed.shared`, and a linear map joins each branch to the shared tower. Blocks are
    pre-norm; their axes are qualified by tower: `layers.image`, `mlp.text`, `kv_heads.shared`.

    Raises:
      ValueError: a size that does not fit another; the error names the field and the fix.

    References: Radford et al. 2021 (CLIP), https://arxiv.org/abs/2103.00020; the shared tower: Deng et al. 2023
    (GrowCLIP), https://arxiv.org/abs/2308.11331.

    >>> DualEncoder().sizes()["layers.shared"]
    1
    >>> DualEncoder(text=Tower(embed=64))
    Traceback (most recent call last):
    ...
    ValueError: the towers have the widths 32, 64, 32 and adapters=False: give them one `embed`, or set adapters=True.
    """

    pixels: int = 32  # height and width of an image
    channels: int = 3  # of a pixel
    patch: int = 8  # height and width of a patch in pixels
    vocab: int = 64  # number of token ids
    length: int = 16  # tokens of a text
    pad: int = 0  # the token that is no part of a text
    image: Tower = Tower()
    text: Tower = Tower()
    shared: Tower = Tower()  # with layers=0 nothing is shared
    adapters: bool = False
    head_dim: int = 8  # size of a head; every tower has embed / head_dim heads
    joint: int = 32  # size of the space of images and texts
    norm_eps: float = 1e-5  # added to the variance
    temperature: float = 0.07  # of the softmax at first; it is learned
    init_std: float = 0.02  # standard deviation of initial kernels and tables
    scan: bool = False  # loop over the layers in the program, or unroll them
    remat: Remat | None = None

    def __post_init__(self) -> None:
        widths = [tower.embed for tower in self.towers.values()]
        if not self.adapters and len(set(widths)) > 1:
            raise ValueError(
                f"the towers have the widths {', '.join(map(str, widths))} and adapters=False: give them one `embed`, "
                "or set adapters=True."
            )
        for name, tower in self.towers.items():
            if tower.embed % self.head_dim:
                raise ValueError(
                    f"head_dim={self.head_dim} does not divide {name}.embed={tower.embed}: heads are whole. Set embed "
                    f"to a multiple of {self.head_dim}."
                )
            if tower.layers < (name != "shared"):
                raise ValueError(f"{name}.layers={tower.layers}: a branch has at least one block")
        if self.pixels % self.patch:
            raise ValueError(f"patch={self.patch} does not divide pixels={self.pixels}: set one to fit the other")

    @property
    def towers(self) -> dict[str, Tower]:
        """The three towers by name."""
        return {"image": self.image, "text": self.text, "shared": self.shared}

    def deeper(self, tower: str) -> DualEncoder:
        """The same with one more block in a tower."""
        own = self.towers[tower]
        return replace(self, **{tower: replace(own, layers=own.layers + 1)})

    def wider(self, factor: float) -> DualEncoder:
        """The same with every tower wider by a factor, to a whole number of heads.

        >>> DualEncoder().wider(1.5).image
        Tower(layers=1, embed=48, mlp=192)
        """

        def wide(own: Tower) -> Tower:
            embed = round(factor * own.embed / self.head_dim) * self.head_dim
            return replace(own, embed=embed, mlp=own.mlp * embed // own.embed)

        return replace(self, **{name: wide(own) for name, own in self.towers.items()})

    def unshared(self) -> DualEncoder:
        """The same with the shared blocks as own ones of each branch: as much computation, more parameters."""
        image, text = (replace(own, layers=own.layers + self.shared.layers) for own in (self.image, self.text))
        return replace(self, image=image, text=text, shared=replace(self.shared, layers=0))

    def stream(self, tower: str) -> str:
        """The name of a tower's residual axis."""
        return f"embed.{tower}" if self.adapters else "embed"

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        sizes = {
            "patch_row": self.patch,
            "patch_column": self.patch,
            "pixel": self.channels,
            "vocab": self.vocab,
            "position.image": (self.pixels // self.patch) ** 2,
            "position.text": self.length,
            "q_per_kv": 1,
            "head_dim": self.head_dim,
            "value_dim": self.head_dim,
            "joint": self.joint,
        }
        for name, tower in self.towers.items():
            sizes[self.stream(name)] = tower.embed
            if tower.layers:
                heads = tower.embed // self.head_dim
                sizes |= {f"layers.{name}": tower.layers, f"kv_heads.{name}": heads, f"mlp.{name}": tower.mlp}
        return sizes

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `ImageTextModel` with its initial parameters, drawn from `rngs.params`."""
        return built(ImageTextModel, self, rngs.params())


class ImageTextModel(nnx.Module):
    """Images and texts to their scaled cosines, which a softmax over rows or columns turns into who belongs to whom.

    Letters: B images, N texts, T tokens, Y and X rows and columns of pixels, P pixel channels, E embed, J joint space.

    >>> model = DualEncoder().build(nnx.Rngs(0))
    >>> jax.eval_shape(model, jnp.zeros((2, 32, 32, 3)), jnp.ones((5, 16), int)).shape
    (2, 5)
    """

    def __init__(self, config: DualEncoder, rngs: nnx.Rngs) -> None:
        self.config = config
        c, sizes = config, config.sizes()
        pixels = {name: sizes[name] for name in ("patch_row", "patch_column", "pixel")}
        self.patches = Dense(pixels, {c.stream("image"): c.image.embed}, std=c.init_std, bias=True, rngs=rngs)
        self.image_positions = self._table("position.image", "image", rngs)
        self.tokens = self._table("vocab", "text", rngs)
        self.text_positions = self._table("position.text", "text", rngs)
        self.image_blocks = self._blocks("image", rngs)
        self.text_blocks = self._blocks("text", rngs)
        self.shared_blocks = self._blocks("shared", rngs) if c.shared.layers else None
        self.image_adapter = self._adapter("image", rngs)
        self.text_adapter = self._adapter("text", rngs)
        reads, joint, width = c.stream("shared"), {"joint": c.joint}, c.shared.embed
        self.image_norm = Norm("layer", reads, width, eps=c.norm_eps)
        self.text_norm = Norm("layer", reads, width, eps=c.norm_eps)
        self.image_projection = Dense({reads: width}, joint, std=width**-0.5, bias=False, rngs=rngs)
        self.text_projection = Dense({reads: width}, joint, std=width**-0.5, bias=False, rngs=rngs)
        self.log_scale = axes.param(jnp.asarray(-math.log(c.temperature), jnp.float32))

    def __call__(
        self, images_BYXP: Float[Array, "B Y X P"], tokens_NT: Int[Array, "N T"], key: Key | None = None
    ) -> Float[Array, "B N"]:
        """`scale * cos(image, text)` of every image and every text, with the learned scale 1 / temperature."""
        return self.similarities(self.encode_image(images_BYXP), self.encode_text(tokens_NT))

    def similarities(self, images_BJ: Float[Array, "B J"], texts_NJ: Float[Array, "N J"]) -> Float[Array, "B N"]:
        """The scaled products of vectors of images and of texts."""
        scale = jnp.minimum(jnp.exp(self.log_scale[...]), MOST_SCALE).astype(images_BJ.dtype)
        return scale * jnp.matmul(images_BJ, texts_NJ.T)

    def encode_image(self, images_BYXP: Float[Array, "B Y X P"]) -> Float[Array, "B J"]:
        """Unit vectors of images: patches, image blocks, shared blocks, the mean of all tokens.

        Raises:
          ValueError: images of another size than the model's.
        """
        c = self.config
        if images_BYXP.shape[1:] != (c.pixels, c.pixels, c.channels):
            raise ValueError(
                f"images of shape {images_BYXP.shape[1:]}, but the model has pixels={c.pixels}, channels={c.channels}"
            )
        x_BTE = self.patches(patches_of(images_BYXP, c.patch)) + self.image_positions.table[...]
        x_BTE = self._through(x_BTE, self.image_blocks, self.image_adapter, None)
        return _unit(self.image_projection(self.image_norm(x_BTE).mean(1)))

    def encode_text(self, tokens_NT: Int[Array, "N T"]) -> Float[Array, "N J"]:
        """Unit vectors of texts: tokens, text blocks, shared blocks, the mean of the tokens that are no padding.

        Raises:
          ValueError: texts that are longer than `length`.
        """
        c, T = self.config, tokens_NT.shape[1]
        if c.length < T:
            raise ValueError(f"texts of {T} tokens, but the model has length={c.length}")
        real_NT = tokens_NT != c.pad
        x_NTE = self.tokens(tokens_NT) + self.text_positions.table[...][:T]
        x_NTE = self._through(x_NTE, self.text_blocks, self.text_adapter, real_NT)
        weights_NT1 = (real_NT / jnp.maximum(real_NT.sum(1, keepdims=True), 1))[..., None].astype(x_NTE.dtype)
        return _unit(self.text_projection((self.text_norm(x_NTE) * weights_NT1).sum(1)))

    def _through(
        self, x_BTE: Float[Array, "B T E"], own: nnx.Module, adapter: Dense | None, mask: Bool[Array, "B T"] | None
    ) -> Float[Array, "B T S"]:
        """The tokens of one modality through its own blocks, to the shared stream, and through the shared blocks."""

        def call(block: Block, _: Any, x_BTE: Any) -> Any:
            return block(x_BTE, mask=mask)

        c = self.config
        how: dict[str, Any] = {"start": 0, "scan": c.scan, "remat": c.remat}
        x_BTE = run_stack(own, call, x_BTE, stop=(c.image if own is self.image_blocks else c.text).layers, **how)
        x_BTE = x_BTE if adapter is None else adapter(x_BTE)
        if self.shared_blocks is None:
            return x_BTE
        return run_stack(self.shared_blocks, call, x_BTE, stop=c.shared.layers, **how)

    def _table(self, name: str, tower: str, rngs: nnx.Rngs) -> Table:
        c = self.config
        table = Table(name, c.sizes()[name], c.towers[tower].embed, std=c.init_std, rngs=rngs)
        return axes.renamed(table, {"embed": c.stream(tower)})

    def _adapter(self, tower: str, rngs: nnx.Rngs) -> Dense | None:
        c = self.config
        if not c.adapters:
            return None
        reads, writes = {c.stream(tower): c.towers[tower].embed}, {c.stream("shared"): c.shared.embed}
        return Dense(reads, writes, std=c.towers[tower].embed ** -0.5, bias=True, rngs=rngs)

    def _blocks(self, tower: str, rngs: nnx.Rngs) -> nnx.Module:
        c, own = self.config, self.config.towers[tower]
        sizes = own.embed, own.embed // c.head_dim, c.head_dim, own.mlp

        def block(rngs: nnx.Rngs) -> Block:
            made = pre_norm_block(*sizes, eps=c.norm_eps, std=c.init_std, rngs=rngs)
            names = {name: f"{name}.{tower}" for name in ("kv_heads", "mlp")}
            return axes.renamed(made, {"embed": c.stream(tower), **names})

        return stack(block, own.layers, rngs, f"layers.{tower}")


def _unit(x_BJ: Float[Array, "B J"]) -> Float[Array, "B J"]:
    return x_BJ * jax.lax.rsqrt(jnp.sum(x_BJ * x_BJ, -1, keepdims=True) + 1e-12)
