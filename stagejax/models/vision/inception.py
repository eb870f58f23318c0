"""Inception networks: parallel branches of convolutions, side by side on channels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from stagejax.models.build import built
from stagejax.models.conv import Convolution, Pooling, pool, taps_of
from stagejax.models.convnet import Classifier, ConvBlock, Pointwise, Width
from stagejax.models.linear import Dense
from stagejax.models.masks import Masks


@dataclass(frozen=True)
class Unit:
    """A convolution of `size` (rows, columns), batch norm and ReLU."""

    channels: int
    size: tuple[int, int] = (1, 1)
    stride: int = 1
    pad: bool = True


@dataclass(frozen=True)
class Pool:
    """The largest or the mean of 3 x 3 pixels."""

    kind: Pooling
    stride: int = 1
    pad: bool = True


@dataclass(frozen=True)
class Parallel:
    """Branches that read the same, concatenated on channels; an empty one hands on what it reads."""

    branches: tuple[tuple[Step, ...], ...]


Step: TypeAlias = Unit | Pool | Parallel


@dataclass(frozen=True)
class Inception:
    """Steps one behind the other, then the mean over pixels and a linear head. Pixels from 0 to 1 become 2 x - 1.

    Step i writes the axis `channels.i`, step j of branch b in it `channels.i.b.j`; what branches give is an axis of its
    own, in their order. Sizes of kernels name their taps, see `taps_of`.

    References: Szegedy et al. 2015, https://arxiv.org/abs/1512.00567; `inception_v3` is its network as released,
    without the auxiliary head.

    >>> net = Inception(8, steps=(Unit(4, (3, 3)), Parallel(((Unit(2),), (Unit(3), Unit(6, (3, 3)))))))
    >>> net.sizes()["channels.2"], net.build(nnx.Rngs(0))(jnp.zeros((5, 8, 8, 3))).shape
    (8, (5, 10))
    """

    image: int = 299
    steps: tuple[Step, ...] = ()
    classes: int = 10
    channels_in: int = 3
    norm_eps: float = 1e-3
    momentum: float = 0.9  # of the running statistics
    convolution: Convolution = "conv"

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        sizes = {"pixel": self.channels_in, "classes": self.classes}
        for name, step, reads in named_steps(self.steps, "channels", ("pixel", self.channels_in)):
            sizes |= dict([reads, (name, width_of(step, reads[1]))])
            if isinstance(step, Unit) and step.size != (1, 1):
                sizes |= dict(zip(taps_of(step.size), step.size, strict=True))
        return sizes

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `InceptionNetwork` with its initial parameters, drawn from `rngs.params`."""
        return built(InceptionNetwork, self, rngs.params())


def width_of(step: Step, reads: int) -> int:
    """Channels that a step gives, from those that it reads."""
    if isinstance(step, Unit):
        return step.channels
    return reads if isinstance(step, Pool) else sum(width_behind(branch, reads) for branch in step.branches)


def width_behind(steps: Sequence[Step], reads: int) -> int:
    """Channels behind all steps."""
    for step in steps:
        reads = width_of(step, reads)
    return reads


def named_steps(steps: Sequence[Step], name: str, reads: Width) -> Iterator[tuple[str, Step, Width]]:
    """Every step with the axis that it writes and the one that it reads, those within branches behind their `Parallel`.

    A pooling writes what it reads.
    """
    for i, step in enumerate(steps, 1):
        own = reads[0] if isinstance(step, Pool) else f"{name}.{i}"
        yield own, step, reads
        if isinstance(step, Parallel):
            for b, branch in enumerate(step.branches, 1):
                yield from named_steps(branch, f"{own}.{b}", reads)
        reads = (own, width_of(step, reads[1]))


class InceptionNetwork(Classifier):
    """The module of `Inception`. It takes no masks."""

    def __init__(self, config: Inception, rngs: nnx.Rngs) -> None:
        self.config = config
        self.base = Chain(config, config.steps, "channels", ("pixel", config.channels_in), rngs)
        name, width = self.base.writes
        self.head = Dense({name: width}, {"classes": config.classes}, std=width**-0.5, bias=True, rngs=rngs)

    def pixels(
        self, images_BYXP: Float[Array, "B Y X P"], train: bool, masks: Masks | None = None
    ) -> Float[Array, "B y x E"]:
        if masks is not None:
            raise ValueError("an InceptionNetwork takes no masks")
        return self.base(2 * images_BYXP - 1, train)


class Chain(nnx.Module):
    """Steps one behind the other; `writes` is the axis behind the last."""

    def __init__(self, config: Inception, steps: Sequence[Step], name: str, reads: Width, rngs: nnx.Rngs) -> None:
        made: dict[str, Any] = {}
        for i, step in enumerate(steps, 1):
            writes = (reads[0] if isinstance(step, Pool) else f"{name}.{i}", width_of(step, reads[1]))
            if isinstance(step, Unit):
                one = step.size == (1, 1) and step.stride == 1
                how: Any = {} if one else {"stride": step.stride, "size": step.size, "pad": step.pad}
                made[str(i)] = (Pointwise if one else ConvBlock)(config, reads, writes, rngs, **how)
            elif isinstance(step, Parallel):
                chains = [
                    Chain(config, branch, f"{writes[0]}.{b}", reads, rngs) for b, branch in enumerate(step.branches, 1)
                ]
                made[str(i)] = nnx.Dict({str(b): chain for b, chain in enumerate(chains, 1)})
            reads = writes
        self.steps, self.writes, self.convolution = tuple(steps), reads, config.convolution
        self.made = nnx.Dict(made)

    def __call__(self, x: Float[Array, "B Y X R"], train: bool) -> Float[Array, "B y x W"]:
        for i, step in enumerate(self.steps, 1):
            if isinstance(step, Pool):
                x = pool(x, step.kind, stride=step.stride, pad=step.pad, implementation=self.convolution)
            elif isinstance(step, Unit):
                x = jax.nn.relu(self.made[str(i)](x, train))
            else:
                chains = self.made[str(i)]
                x = jnp.concatenate([chains[str(b)](x, train) for b in range(1, len(step.branches) + 1)], axis=-1)
        return x


# --- the blocks, with their channels ---


def block_a(straight: int, five: tuple[int, int], three: tuple[int, int], pooled: int) -> Parallel:
    """1 x 1; 1 x 1 -> 5 x 5; 1 x 1 -> 3 x 3 -> 3 x 3, a factored 5 x 5; pooling -> 1 x 1."""
    double = (Unit(three[0]), Unit(three[1], (3, 3)), Unit(three[1], (3, 3)))
    return Parallel(((Unit(straight),), (Unit(five[0]), Unit(five[1], (5, 5))), double, (Pool("mean"), Unit(pooled))))


def reduce_a(straight: int, double: tuple[int, int], pad: bool = False) -> Parallel:
    """Half the rows and columns: 3 x 3; 1 x 1 -> 3 x 3 -> 3 x 3; pooling."""
    last = {"size": (3, 3), "stride": 2, "pad": pad}
    inner = (Unit(double[0]), Unit(double[1], (3, 3)), Unit(double[1], **last))
    return Parallel(((Unit(straight, **last),), inner, (Pool("max", 2, pad),)))


def block_b(inner: int, outer: int, taps: int = 7) -> Parallel:
    """1 x 1; 7 x 7 factored into 1 x 7 -> 7 x 1, once and twice; pooling -> 1 x 1. `taps` stands for 7."""
    row, column = (1, taps), (taps, 1)
    once = (Unit(inner), Unit(inner, row), Unit(outer, column))
    twice = (Unit(inner), Unit(inner, column), Unit(inner, row), Unit(inner, column), Unit(outer, row))
    return Parallel(((Unit(outer),), once, twice, (Pool("mean"), Unit(outer))))


def reduce_b(inner: int, straight: int) -> Parallel:
    """Half the rows and columns: 1 x 1 -> 3 x 3; 1 x 1 -> 1 x 7 -> 7 x 1 -> 3 x 3; pooling."""
    last = {"size": (3, 3), "stride": 2, "pad": False}
    long = (Unit(inner), Unit(inner, (1, 7)), Unit(inner, (7, 1)), Unit(inner, **last))
    return Parallel(((Unit(inner), Unit(straight, **last)), long, (Pool("max", 2, pad=False),)))


def block_c(straight: int, split: int, deep: int, pooled: int) -> Parallel:
    """1 x 1; 1 x 1 -> (1 x 3 beside 3 x 1); 1 x 1 -> 3 x 3 -> (1 x 3 beside 3 x 1); pooling -> 1 x 1."""
    both = Parallel(((Unit(split, (1, 3)),), (Unit(split, (3, 1)),)))
    last = (Unit(deep), Unit(split, (3, 3)), both)
    return Parallel(((Unit(straight),), (Unit(split), both), last, (Pool("mean"), Unit(pooled))))


def inception_v3(**fields: Any) -> Inception:
    """The network of 299 x 299 pixels.

    >>> inception_v3().sizes()["channels.18"]
    2048
    """
    three, half = (3, 3), Pool("max", 2, pad=False)
    stem = (Unit(32, three, 2, pad=False), Unit(32, three, pad=False), Unit(64, three), half)
    stem += (Unit(80), Unit(192, three, pad=False), half)
    first = tuple(block_a(64, (48, 64), (64, 96), pooled) for pooled in (32, 64, 64))
    middle = tuple(block_b(inner, 192) for inner in (128, 160, 160, 192))
    last = (block_c(320, 384, 448, 192),) * 2
    steps = (*stem, *first, reduce_a(384, (64, 96)), *middle, reduce_b(192, 320), *last)
    return Inception(**{"steps": steps, "classes": 1000, **fields})


def small_inception(**fields: Any) -> Inception:
    """A block of each kind for 16 x 16 pixels: factored 5 x 5, reduction, 5 x 5 in a row and a column, split 3 x 3.

    >>> small_inception().sizes()["channels.6"]
    144
    """
    stem = (Unit(16, (3, 3)), Unit(24, (3, 3), 2))
    blocks = (block_a(12, (12, 16), (12, 16), 12), reduce_a(32, (16, 24), pad=True), block_b(20, 32, 5))
    steps = (*stem, *blocks, block_c(40, 20, 32, 24))
    return Inception(**{"image": 16, "steps": steps, "convolution": "patches", **fields})
