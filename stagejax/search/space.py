"""A space of subnets of one pyramid of vision transformers: as masks over its weights, and as networks of their own."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from stagejax.models.masks import Masks
from stagejax.models.vision.pyramid import PyramidViT

Code = tuple[int, ...]
Codes = Int[Array | np.ndarray, "*batch genes"]


class Sizes(NamedTuple):
    """What codes (*batch, genes) say of their networks: numbers (*batch,), in lists one for each stage."""

    image: Any
    stem: Any
    widths: list[Any]
    depths: list[Any]
    hidden: list[Any]  # units of each block, (*batch, layers); none in the blocks that a subnet lacks


@dataclass(frozen=True)
class Space:
    """The subnets of a pyramid: smaller images, its first channels with their heads, the first blocks of each stage,
    and in each block the first hidden units, so many for each channel.

    A subnet is a code (genes,): the places in `images` and in `stems`; of each stage those in its `widths` and its
    `depths`; and for each block of the largest network that in `ratios`. The ratios of blocks that a subnet lacks say
    nothing. All heads have one size.

    Args:
      largest: the network that holds all others.
      images: heights and widths to which images are resized, rising to the largest network's.
      stems: channels of the first convolution, likewise.
      widths: of the residual stream of each stage, likewise.
      depths: numbers of blocks of each stage, likewise.
      ratios: hidden units of a feed-forward network for each channel, rising to those of the largest.

    Raises:
      ValueError: a list that does not rise to the largest network's size, or has a size that no network can have.

    References: Yu et al. 2020 (BigNAS), https://arxiv.org/abs/2003.11142; Tang et al. 2023 (ElasticViT),
    https://arxiv.org/abs/2303.09730, section 3.

    >>> largest = PyramidViT(embed=(32, 32), layers=(2, 2), mlp=(64, 64))
    >>> space = Space(largest, (20, 28), (8, 16), ((16, 32),) * 2, ((1, 2),) * 2, ratios=(1, 2))
    >>> len(space.choices), space.network((0, 0, 0, 1, 1, 0, *[1] * 4)).embed
    (10, (16, 32))
    >>> float(space.flops(np.array(space.most)) / space.flops(np.array(space.least))) > 10
    True
    """

    largest: PyramidViT
    images: tuple[int, ...]
    stems: tuple[int, ...]
    widths: tuple[tuple[int, ...], ...]
    depths: tuple[tuple[int, ...], ...]
    ratios: tuple[int, ...]

    def __post_init__(self) -> None:
        net, stages = self.largest, range(len(self.largest.embed))
        if not len(self.widths) == len(self.depths) == len(stages):
            raise ValueError(
                f"widths={self.widths} and depths={self.depths}: one list for each of {len(stages)} stages"
            )
        lists = {"images": (self.images, net.image), "stems": (self.stems, net.stem)}
        for s in stages:
            lists |= {f"widths[{s}]": (self.widths[s], net.embed[s]), f"depths[{s}]": (self.depths[s], net.layers[s])}
            lists |= {f"ratios, in stage {s}, ": (self.ratios, net.mlp[s] / net.embed[s])}
        for field, (values, size) in lists.items():
            if list(values) != sorted(set(values)) or values[0] < 1 or values[-1] != size:
                raise ValueError(f"{field}={values} must rise to {size:g}, which is that of the largest network")
        for code in range(max(map(len, (self.images, *self.widths)))):  # the errors of a network name field and fix
            genes = [min(code, choices - 1) for choices in self.choices]
            self.network(tuple(genes))

    @property
    def choices(self) -> tuple[int, ...]:
        """How many values each gene has."""
        stages = [len(own) for pair in zip(self.widths, self.depths, strict=True) for own in pair]
        return (len(self.images), len(self.stems), *stages, *[len(self.ratios)] * sum(self.largest.layers))

    @property
    def of_width(self) -> tuple[int, ...]:
        """The genes that say how wide a network is: those of the stem and of every stage."""
        return (1, *range(2, 2 + 2 * len(self.widths), 2))

    @property
    def of_depth(self) -> tuple[int, ...]:
        """The genes that say how deep its stages are."""
        return tuple(range(3, 3 + 2 * len(self.depths), 2))

    @property
    def least(self) -> Code:
        """The smallest subnet."""
        return (0,) * len(self.choices)

    @property
    def most(self) -> Code:
        """The largest network itself."""
        return tuple(choices - 1 for choices in self.choices)

    def sizes(self, codes: Codes) -> Sizes:
        """The sizes of subnets; in NumPy for NumPy's codes."""
        xp = codes.__array_namespace__()
        pick = lambda values, gene: xp.asarray(values)[codes[..., gene]]  # noqa: E731
        widths = [pick(own, gene) for own, gene in zip(self.widths, self.of_width[1:], strict=True)]
        depths = [pick(own, gene) for own, gene in zip(self.depths, self.of_depth, strict=True)]
        hidden, start = [], 2 + 2 * len(self.widths)
        for width, depth, layers in zip(widths, depths, self.largest.layers, strict=True):
            units = xp.asarray(self.ratios)[codes[..., start : start + layers]] * width[..., None]
            hidden.append(xp.where(xp.arange(layers) < depth[..., None], units, 0))
            start += layers
        return Sizes(pick(self.images, 0), pick(self.stems, 1), widths, depths, hidden)

    def plain(self, codes: Codes) -> Codes:
        """The codes with the first ratio for blocks that are not there, so that no two are one subnet."""
        xp = codes.__array_namespace__()
        there = xp.concatenate(self.sizes(codes).hidden, axis=-1) > 0
        ratios = xp.where(there, codes[..., -there.shape[-1] :], 0)
        return xp.concatenate([codes[..., : -there.shape[-1]], ratios], axis=-1)

    def sides(self, image: Any) -> list[Any]:
        """Height and width, in tokens, of each stage for images of a size."""
        sides = [image // (2 * self.largest.patch)]
        for _ in self.widths[1:]:
            sides.append((sides[-1] + 1) // 2)
        return sides

    def masks(self, code: Int[Array, " genes"]) -> Masks:
        """The masks under which the largest network is the subnet, on `resized` images; `code` may be traced."""
        net, own = self.largest, self.sizes(code)
        there = {"channels.stem": jnp.arange(net.stem) < own.stem}
        for s, side in enumerate(self.sides(own.image), 1):
            width, depth, hidden_L = own.widths[s - 1], own.depths[s - 1], own.hidden[s - 1]
            line = jnp.arange(net.sides[s - 1]) < side
            there |= {
                f"embed.{s}": jnp.arange(net.embed[s - 1]) < width,
                f"kv_heads.{s}": jnp.arange(net.embed[s - 1] // net.head_dim) < width // net.head_dim,
                f"mlp.{s}": jnp.arange(net.mlp[s - 1]) < hidden_L[:, None],
                f"layers.{s}": jnp.arange(net.layers[s - 1]) < depth,
                f"tokens.{s}": (line[:, None] & line).ravel(),
            }
        sides = tuple(self.sides(image)[0] for image in self.images)
        resample = jnp.asarray(shrinking(net.sides[0], sides))[code[0]]
        return {axis: mask.astype(jnp.float32) for axis, mask in there.items()} | {"resample": resample}

    def resized(self, images_BYXP: Float[Array, "B Y X P"], code: Int[Array, " genes"]) -> Float[Array, "B Y X P"]:
        """Images at a subnet's resolution, in the upper left corner of full ones; `code` may be traced."""
        line = jnp.asarray(shrinking(self.largest.image, self.images))[code[0]].astype(images_BYXP.dtype)
        return jnp.einsum("iy,jx,byxp->bijp", line, line, images_BYXP)

    def flops(self, codes: Codes) -> Float[Array | np.ndarray, "*batch"]:
        """FLOPs of matrix multiplications, forward, of one image; in NumPy for NumPy's codes.

        With images of r² pixels of P numbers, c channels of the stem, patches of p² and, in stage s, T_s tokens,
        width w_s and h_l hidden units, and with w_0 = p² c / 9,
        4.5 r² P c + Σ_s (18 T_s w_s-1 w_s + Σ_l T_s (8 w_s² + 4 T_s w_s + 4 w_s h_l)) + 2 w C.
        """
        xp, net, own = codes.__array_namespace__(), self.largest, self.sizes(codes)
        image, stem = own.image.astype("float32"), own.stem.astype("float32")
        total, before = 4.5 * image**2 * net.channels * stem, net.patch**2 * stem
        for s, side in enumerate(self.sides(own.image)):
            tokens, width, depth = side.astype("float32") ** 2, own.widths[s].astype("float32"), own.depths[s]
            total = total + 2 * tokens * before * width + depth * tokens * (8 * width**2 + 4 * tokens * width)
            total = total + 4 * tokens * width * own.hidden[s].sum(-1)
            before = 9 * width
        return xp.asarray(total + 2 * width * net.classes, dtype="float32")

    def network(self, code: Code) -> PyramidViT:
        """The subnet as a network of its own; blocks with fewer hidden units than the widest need `own_masks`."""
        own = self.sizes(np.array(code))
        widths, depths, hidden = (tuple(map(int, sizes)) for sizes in (own.widths, own.depths, map(np.max, own.hidden)))
        sizes = {"embed": widths, "layers": depths, "mlp": hidden}
        return replace(self.largest, image=int(own.image), stem=int(own.stem), **sizes)

    def own_images(self, images_BYXP: Float[Array, "B Y X P"], code: Code) -> Float[Array, "B y x P"]:
        """What `network(code)` sees of images: all of them, at its resolution."""
        side = self.images[code[0]]
        return self.resized(images_BYXP, jnp.array(code))[:, :side, :side]

    def kept(self, code: Code) -> dict[str, tuple[int, ...]]:
        """What the subnet keeps of each axis, for `growth.Subset.of(**kept)`; its positions are resampled."""
        families = ("embed", "kv_heads", "mlp", "layers", "channels")
        sizes = self.network(code).sizes()
        return {axis: tuple(range(size)) for axis, size in sizes.items() if axis.split(".")[0] in families}

    def own_masks(self, code: Code) -> Masks:
        """The masks under which `network(code)` is the subnet: of the hidden units of its blocks."""
        own = self.sizes(np.array(code))
        masks = {}
        for s, (depth, hidden_L) in enumerate(zip(own.depths, own.hidden, strict=True), 1):
            units = jnp.arange(int(hidden_L.max())) < jnp.asarray(hidden_L[: int(depth)])[:, None]
            masks[f"mlp.{s}"] = units.astype(jnp.float32)
        return masks


@functools.lru_cache
def shrinking(old: int, sizes: tuple[int, ...]) -> np.ndarray:
    """(sizes, old, old): matrices whose first rows resize a line of samples to each size; their other rows are zero.

    As `jax.image.resize` does by "linear", smoothed where it shrinks: samples stand in the middle of equal parts.

    >>> shrinking(4, (2, 4))[0, :2]
    array([[0.42857143, 0.42857143, 0.14285715, 0.        ],
           [0.        , 0.14285715, 0.42857143, 0.42857143]], dtype=float32)
    """
    found = np.zeros((len(sizes), old, old), np.float32)
    for matrix, new in zip(found, sizes, strict=True):
        at = (np.arange(new) + 0.5) * old / new - 0.5
        weight = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(old)) * new / old)
        matrix[:new] = weight / weight.sum(1, keepdims=True)
    return found
