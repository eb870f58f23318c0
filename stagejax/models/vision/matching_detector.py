"""A detector of two branches: where in an image is what a second image, the query, shows.

Faster R-CNN with one foreground class, "the same as the query": a backbone that both images share, a region proposal
network that attends to the query's channels, and a head on the absolute difference between a region and the query.

Letters: B images, S queries of each, Y and X pixels, P pixel channels, y and x cells, C channels, A anchors, R regions,
h and w bins, M hidden units.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from stagejax.models.build import built
from stagejax.models.conv import Conv, Convolution, GroupNorm, taps_of
from stagejax.models.linear import Dense
from stagejax.models.vision.regions import anchors, roi_align

Width = tuple[str, int]  # name and size of an axis of channels


@dataclass(frozen=True)
class MatchingDetector:
    """Backbone, proposals and head; the parameters of each lie below `backbone`, `proposer` and `head`.

    The backbone's blocks are 3 x 3 convolutions, each with group norm and ReLU; between two blocks lies a max pooling.

    Args:
      blocks: channels of every convolution of every block.
      pools: rows and columns that become one between blocks: 1 or 2 of each.
      anchors: heights and widths in pixels.
      rows: of the map, if every anchor spans all of them: the proposer's kernel does so too, and there is one row of
        anchors. None: a kernel of 3 x 3, and anchors around every cell.
      bins: rows and columns of a region, and of a query.
      hidden: units of both layers of the head.
      groups: of channels, which are normalised together.

    Raises:
      ValueError: pools that do not lie between the blocks, or channels that cannot be grouped.

    Reference: Souibgui et al. 2021, https://arxiv.org/abs/2107.10064; VGG-16 without its last pooling is
    `blocks=((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)`, here with norms.

    >>> MatchingDetector().stride, MatchingDetector().width
    ((8, 4), 32)
    """

    blocks: tuple[tuple[int, ...], ...] = ((12,), (24,), (32,), (32, 32))
    pools: tuple[tuple[int, int], ...] = ((2, 2), (2, 2), (2, 1))
    anchors: tuple[tuple[int, int], ...] = ((32, 8), (32, 14), (32, 20))
    rows: int | None = 4
    bins: tuple[int, int] = (4, 7)
    hidden: int = 64
    channels_in: int = 1
    groups: int = 4
    norm_eps: float = 1e-5
    convolution: Convolution = "patches"

    def __post_init__(self) -> None:
        if len(self.pools) != len(self.blocks) - 1 or set(itertools.chain(*self.pools)) - {1, 2}:
            raise ValueError(f"pools={self.pools} for {len(self.blocks)} blocks: give one of 1 or 2 between each two")
        if any(size % self.groups for size in itertools.chain(*self.blocks)):
            raise ValueError(f"groups={self.groups} does not divide all channels of blocks={self.blocks}")

    @property
    def stride(self) -> tuple[int, int]:
        """Rows and columns of pixels of a cell."""
        rows, columns = (math.prod(pool[i] for pool in self.pools) for i in (0, 1))
        return rows, columns

    @property
    def width(self) -> int:
        """Channels of the map."""
        return self.blocks[-1][-1]

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        own = {f"channels.{i}": size for i, size in enumerate(itertools.chain(*self.blocks), 1)}
        regions = {"bin_row": self.bins[0], "bin_column": self.bins[1], "mlp.1": self.hidden, "mlp.2": self.hidden}
        outputs = {"channels.proposer": self.width, "anchor": len(self.anchors), "box": 4, "match": 1}
        taps = dict(zip(taps_of((self.rows or 3, 3)), (self.rows or 3, 3), strict=True))
        return {"kernel_row": 3, "kernel_column": 3, "pixel": self.channels_in, **taps, **own, **regions, **outputs}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `MatchingNetwork` with its initial parameters, drawn from `rngs.params`."""
        return built(MatchingNetwork, self, rngs.params())


class _Layer(nnx.Module):
    """Convolution, group norm, ReLU."""

    def __init__(self, config: MatchingDetector, reads: Width, writes: Width, rngs: nnx.Rngs) -> None:
        self.conv = Conv(reads, writes, size=3, implementation=config.convolution, rngs=rngs)
        self.norm = GroupNorm(*writes, groups=config.groups, eps=config.norm_eps)

    def __call__(self, x: Float[Array, "B y x R"]) -> Float[Array, "B y x W"]:
        return jax.nn.relu(self.norm(self.conv(x)))


class Backbone(nnx.Module):
    """Images, or queries, to maps."""

    def __init__(self, config: MatchingDetector, rngs: nnx.Rngs) -> None:
        self.config = config
        names = iter(enumerate(itertools.chain(*config.blocks), 1))
        before, layers = ("pixel", config.channels_in), []
        for i, size in names:
            after = (f"channels.{i}", size)
            layers.append(_Layer(config, before, after, rngs))
            before = after
        self.layers = nnx.List(layers)

    def __call__(self, x: Float[Array, "B Y X P"]) -> Float[Array, "B y x C"]:
        layers = iter(self.layers)
        for block, pool in zip(self.config.blocks, (*self.config.pools, (1, 1)), strict=True):
            for _ in block:
                x = next(layers)(x)
            x = pooled(x, pool)
        return x


def pooled(x_BYXC: Float[Array, "B Y X C"], pool: tuple[int, int]) -> Float[Array, "B y x C"]:
    """The largest of every 1 or 2 rows by 1 or 2 columns; an odd last row or column is dropped.

    >>> pooled(jnp.arange(8.0).reshape(1, 2, 4, 1), (2, 1)).ravel()
    Array([4., 5., 6., 7.], dtype=float32)
    """
    if pool[0] == 2:
        rows = x_BYXC.shape[1] // 2 * 2
        x_BYXC = jnp.maximum(x_BYXC[:, 0:rows:2], x_BYXC[:, 1:rows:2])
    if pool[1] == 2:
        columns = x_BYXC.shape[2] // 2 * 2
        x_BYXC = jnp.maximum(x_BYXC[:, :, 0:columns:2], x_BYXC[:, :, 1:columns:2])
    return x_BYXC


class Proposer(nnx.Module):
    """Objectness and deltas of every anchor, from the map times the query's channels."""

    def __init__(self, config: MatchingDetector, map_axis: Width, rngs: nnx.Rngs) -> None:
        own, size = ("channels.proposer", config.width), (config.rows or 3, 3)
        self.around = (0, 0) if config.rows else (1, 1), (1, 1)
        how: dict[str, Any] = {"pad": False, "taps": None, "implementation": config.convolution, "rngs": rngs}
        self.conv = Conv(map_axis, own, size=size, **how)
        how = {"std": 0.01, "bias": True, "rngs": rngs}
        self.objectness = Dense(dict([own]), {"anchor": len(config.anchors)}, **how)
        self.deltas = Dense(dict([own]), {"anchor": len(config.anchors), "box": 4}, **how)

    def __call__(
        self, map_ByxC: Float[Array, "B y x C"], query_BSC: Float[Array, "B S C"]
    ) -> tuple[Float[Array, "B S A"], Float[Array, "B S A 4"]]:
        attended = map_ByxC[:, None] * query_BSC[:, :, None, None]
        B, S, *rest = attended.shape
        x = jnp.pad(attended.reshape(B * S, *rest), ((0, 0), *self.around, (0, 0)))
        x = jax.nn.relu(self.conv(x))
        return self.objectness(x).reshape(B, S, -1), self.deltas(x).reshape(B, S, -1, 4)


class MatchingHead(nnx.Module):
    """Whether a region shows what the query shows, and where exactly: two layers on |region - query|."""

    def __init__(self, config: MatchingDetector, map_axis: Width, rngs: nnx.Rngs) -> None:
        reads = {"bin_row": config.bins[0], "bin_column": config.bins[1], **dict([map_axis])}
        first, second = {"mlp.1": config.hidden}, {"mlp.2": config.hidden}
        how: dict[str, Any] = {"bias": True, "rngs": rngs}
        self.first = Dense(reads, first, std=(2 / math.prod(reads.values())) ** 0.5, **how)
        self.second = Dense(first, second, std=(2 / config.hidden) ** 0.5, **how)
        self.match = Dense(second, {"match": 1}, std=0.01, **how)
        self.deltas = Dense(second, {"box": 4}, std=0.001, **how)

    def __call__(
        self, regions: Float[Array, "B S R h w C"], queries: Float[Array, "B S h w C"]
    ) -> tuple[Float[Array, "B S R"], Float[Array, "B S R 4"]]:
        x = jax.nn.relu(self.second(jax.nn.relu(self.first(jnp.abs(regions - queries[:, :, None])))))
        return self.match(x)[..., 0], self.deltas(x)


class MatchingNetwork(nnx.Module):
    """The module of `MatchingDetector`: its parts in the order in which they are called.

    >>> model = MatchingDetector().build(nnx.Rngs(0))
    >>> whole = jnp.zeros((2, 3, 4)).at[..., 2:].set(1)
    >>> maps, queries = model.maps(jnp.zeros((2, 32, 64, 1))), model.queries(jnp.zeros((2, 3, 32, 32, 1)), whole)
    >>> [leaf.shape for leaf in model.propose(maps, queries)]
    [(2, 3, 48), (2, 3, 48, 4)]
    >>> [leaf.shape for leaf in model.match(maps, queries, jnp.tile(whole[:, :, None], (1, 1, 5, 1)))]
    [(2, 3, 5), (2, 3, 5, 4)]
    """

    def __init__(self, config: MatchingDetector, rngs: nnx.Rngs) -> None:
        self.config = config
        map_axis = (f"channels.{sum(map(len, config.blocks))}", config.width)
        self.backbone = Backbone(config, rngs)
        self.proposer = Proposer(config, map_axis, rngs)
        self.head = MatchingHead(config, map_axis, rngs)

    def maps(self, images_BYXP: Float[Array, "B Y X P"]) -> Float[Array, "B y x C"]:
        """The features of images."""
        return self.backbone(images_BYXP)

    def queries(self, images: Float[Array, "*n Y X P"], boxes: Float[Array, "*n 4"]) -> Float[Array, "*n h w C"]:
        """The features of queries in bins; `boxes` is where the query is in its image, all else being padding."""
        flat = self.maps(images.reshape(-1, *images.shape[-3:]))
        found = jax.vmap(lambda m, box: roi_align(m, box[None], self.config.bins)[0])(flat, boxes.reshape(-1, 4))
        return found.reshape(*images.shape[:-3], *found.shape[1:])

    def anchors(self, images: tuple[int, int]) -> Float[Array, "A 4"]:
        """The anchors of images of this height and width, in the order of what `propose` says."""
        rows, columns = (size // stride for size, stride in zip(images, self.config.stride, strict=True))
        rows = rows if self.config.rows is None else rows - self.config.rows + 1
        return jnp.asarray(anchors((rows, columns), images, self.config.anchors))

    def propose(
        self, map_ByxC: Float[Array, "B y x C"], queries_BShwC: Float[Array, "B S h w C"]
    ) -> tuple[Float[Array, "B S A"], Float[Array, "B S A 4"]]:
        """Logits and deltas of every anchor; the query is attended to by the mean of its features."""
        return self.proposer(map_ByxC, queries_BShwC.mean((2, 3)))

    def match(
        self,
        map_ByxC: Float[Array, "B y x C"],
        queries_BShwC: Float[Array, "B S h w C"],
        boxes_BSR4: Float[Array, "B S R 4"],
    ) -> tuple[Float[Array, "B S R"], Float[Array, "B S R 4"]]:
        """Logits that a region shows the query, and deltas to where it is exactly."""
        own = lambda m, boxes: roi_align(m, boxes.reshape(-1, 4), self.config.bins)  # noqa: E731
        regions = jax.vmap(own)(map_ByxC, boxes_BSR4)
        return self.head(regions.reshape(*boxes_BSR4.shape[:3], *regions.shape[2:]), queries_BShwC)
