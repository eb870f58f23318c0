"""Encoders of one modality each (words, sound, moving pictures), and classifiers of one modality alone.

Letters: B batch, L tokens, T frames of sound, M mel bands, F pictures, t what the transformer sees in a row, E embed,
C labels.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from stagejax import axes
from stagejax.models.block import Block, Key, dropout, pre_norm_block
from stagejax.models.build import built
from stagejax.models.conv import Conv, Convolution
from stagejax.models.linear import Dense, Table
from stagejax.models.multimodal.dual_encoder import Tower
from stagejax.models.norm import Norm
from stagejax.models.stack import Remat, run_stack, stack


@dataclass(frozen=True)
class WordEntry:
    """Tokens to vectors by a table; the batch's `tokens`."""

    vocab: int
    length: int
    pad: int = 0
    reads = "tokens"

    @property
    def steps(self) -> int:
        """Of the transformer."""
        return self.length

    def sizes(self, name: str) -> dict[str, int]:
        """The size of every named axis of its parameters but E."""
        return {"vocab": self.vocab}

    def module(self, name: str, embed: int, std: float, rngs: nnx.Rngs) -> nnx.Module:
        """What makes vectors (B, t, E) of the inputs."""
        return axes.renamed(Table("vocab", self.vocab, embed, std=std, rngs=rngs), {"embed": f"embed.{name}"})

    def real(self, inputs: Array) -> Bool[Array, "B L"]:
        """True where there is a token."""
        return inputs != self.pad


@dataclass(frozen=True)
class SoundEntry:
    """Log-mel frames to vectors by convolutions of stride 2 in time and bands; the batch's `frames`."""

    frames: int
    bands: int
    channels: tuple[int, ...] = (16, 32)
    convolution: Convolution = "patches"
    reads = "frames"

    @property
    def steps(self) -> int:
        """Of the transformer."""
        return _halved(self.frames, len(self.channels))

    def sizes(self, name: str) -> dict[str, int]:
        """The size of every named axis of its parameters but E."""
        return _conv_sizes(name, self.channels) | {f"band.{name}": _halved(self.bands, len(self.channels))}

    def module(self, name: str, embed: int, std: float, rngs: nnx.Rngs) -> nnx.Module:
        """What makes vectors (B, t, E) of the inputs."""
        return SoundConvolutions(self, name, embed, rngs)

    def real(self, inputs: Array) -> None:
        """All of a clip counts, silence too."""
        return None


@dataclass(frozen=True)
class VideoEntry:
    """Each picture to a vector by convolutions of stride 2; the batch's `video`."""

    pictures: int
    pixels: int
    channels: tuple[int, ...] = (8, 16, 32)
    convolution: Convolution = "patches"
    reads = "video"

    @property
    def steps(self) -> int:
        """Of the transformer."""
        return self.pictures

    def sizes(self, name: str) -> dict[str, int]:
        """The size of every named axis of its parameters but E."""
        left = _halved(self.pixels, len(self.channels))
        return _conv_sizes(name, self.channels) | {f"row.{name}": left, f"column.{name}": left}

    def module(self, name: str, embed: int, std: float, rngs: nnx.Rngs) -> nnx.Module:
        """What makes vectors (B, t, E) of the inputs."""
        return VideoConvolutions(self, name, embed, rngs)

    def real(self, inputs: Array) -> None:
        """All pictures count."""
        return None


def _halved(size: int, times: int) -> int:
    for _ in range(times):
        size = -(-size // 2)
    return size


def _conv_sizes(name: str, channels: tuple[int, ...]) -> dict[str, int]:
    widths = {f"channels.{name}.{i}": size for i, size in enumerate(channels, 1)}
    return {"kernel_row": 3, "kernel_column": 3, f"pixel.{name}": 1} | widths


class _Convolutions(nnx.Module):
    """3 x 3, stride 2, each with a norm over channels and a GELU."""

    def __init__(self, config: SoundEntry | VideoEntry, name: str, rngs: nnx.Rngs) -> None:
        widths = [(f"pixel.{name}", 1)]
        widths += [(f"channels.{name}.{i}", size) for i, size in enumerate(config.channels, 1)]
        how: dict[str, Any] = {"size": 3, "stride": 2, "implementation": config.convolution, "rngs": rngs}
        self.convolutions = nnx.List([Conv(a, b, **how) for a, b in itertools.pairwise(widths)])
        self.norms = nnx.List([Norm("layer", *width, eps=1e-5) for width in widths[1:]])

    def through(self, x: Float[Array, "B Y X 1"]) -> Float[Array, "B y x W"]:
        for conv, norm in zip(self.convolutions, self.norms, strict=True):
            x = jax.nn.gelu(norm(conv(x)))
        return x


class SoundConvolutions(_Convolutions):
    """The module of `SoundEntry`."""

    def __init__(self, config: SoundEntry, name: str, embed: int, rngs: nnx.Rngs) -> None:
        super().__init__(config, name, rngs)
        reads = {f"band.{name}": config.sizes(name)[f"band.{name}"]}
        reads |= {f"channels.{name}.{len(config.channels)}": config.channels[-1]}
        std = (reads[f"band.{name}"] * config.channels[-1]) ** -0.5
        self.out = Dense(reads, {f"embed.{name}": embed}, std=std, bias=True, rngs=rngs)

    def __call__(self, frames_BTM: Float[Array, "B T M"]) -> Float[Array, "B t E"]:
        return self.out(self.through(frames_BTM[..., None]))


class VideoConvolutions(_Convolutions):
    """The module of `VideoEntry`."""

    def __init__(self, config: VideoEntry, name: str, embed: int, rngs: nnx.Rngs) -> None:
        super().__init__(config, name, rngs)
        left = config.sizes(name)[f"row.{name}"]
        reads = {f"row.{name}": left, f"column.{name}": left}
        reads |= {f"channels.{name}.{len(config.channels)}": config.channels[-1]}
        std = (left * left * config.channels[-1]) ** -0.5
        self.out = Dense(reads, {f"embed.{name}": embed}, std=std, bias=True, rngs=rngs)

    def __call__(self, video_BFYXP: Float[Array, "B F Y X 1"]) -> Float[Array, "B F E"]:
        found = self.out(self.through(video_BFYXP.reshape(-1, *video_BFYXP.shape[2:])))
        return found.reshape(*video_BFYXP.shape[:2], -1)


@dataclass(frozen=True)
class Encoder:
    """A modality's encoder: its entry, positions, pre-norm blocks, and the mean over what is real.

    Args:
      name: of the modality; it qualifies all axes, so that encoders stand beside each other in one model.
      dropout: of what blocks add, and of the pooled vector.

    Raises:
      ValueError: heads that do not divide the width, or no layer.

    >>> Encoder("video", VideoEntry(4, 20)).sizes()["row.video"]
    3
    """

    name: str
    entry: WordEntry | SoundEntry | VideoEntry
    tower: Tower = field(default_factory=lambda: Tower(2, 64, 128))
    head_dim: int = 16
    dropout: float = 0.2
    init_std: float = 0.1
    scan: bool = False
    remat: Remat | None = None

    def __post_init__(self) -> None:
        if self.tower.embed % self.head_dim or self.tower.layers < 1:
            raise ValueError(f"{self.name}: head_dim={self.head_dim} must divide embed, with a layer: {self.tower}")

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        name, tower = self.name, self.tower
        own = {"embed": tower.embed, "layers": tower.layers, "mlp": tower.mlp, "position": self.entry.steps}
        own |= {"kv_heads": tower.embed // self.head_dim, "q_per_kv": 1}
        own |= {"head_dim": self.head_dim, "value_dim": self.head_dim}
        return self.entry.sizes(name) | {f"{axis}.{name}": size for axis, size in own.items()}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `ModalityEncoder` with its initial parameters, drawn from `rngs.params`."""
        return built(ModalityEncoder, self, rngs.params())


class ModalityEncoder(nnx.Module):
    """The module of `Encoder`. A key draws dropout; without one nothing is random.

    >>> model = Encoder("audio", SoundEntry(24, 32)).build(nnx.Rngs(0))
    >>> model(jnp.zeros((2, 24, 32))).shape
    (2, 64)
    """

    def __init__(self, config: Encoder, rngs: nnx.Rngs) -> None:
        self.config = c = config
        tower, mine = c.tower, ("embed", "kv_heads", "q_per_kv", "head_dim", "value_dim", "mlp")
        self.entry = c.entry.module(c.name, tower.embed, c.init_std, rngs)
        table = Table(f"position.{c.name}", c.entry.steps, tower.embed, std=c.init_std, rngs=rngs)
        self.positions = axes.renamed(table, {"embed": f"embed.{c.name}"})
        sizes = tower.embed, tower.embed // c.head_dim, c.head_dim, tower.mlp

        def block(rngs: nnx.Rngs) -> Block:
            made = pre_norm_block(*sizes, dropout=c.dropout, std=c.init_std, rngs=rngs)
            return axes.renamed(made, {axis: f"{axis}.{c.name}" for axis in mine})

        self.blocks = stack(block, tower.layers, rngs, f"layers.{c.name}")
        self.norm = Norm("layer", f"embed.{c.name}", tower.embed, eps=1e-5)

    def __call__(self, inputs: Array, key: Key | None = None) -> Float[Array, "B E"]:
        c, real_Bt = self.config, self.config.entry.real(inputs)
        wide = self.positions.table[...].dtype
        x_BtE = self.entry(inputs.astype(wide) if jnp.issubdtype(inputs.dtype, jnp.floating) else inputs)
        x_BtE = x_BtE + self.positions.table[...]

        def call(block: Block, i: Any, x_BtE: Any) -> Any:
            return block(x_BtE, key=None if key is None else jax.random.fold_in(key, i), mask=real_Bt)

        x_BtE = run_stack(self.blocks, call, x_BtE, start=0, stop=c.tower.layers, scan=c.scan, remat=c.remat)
        x_BtE = self.norm(x_BtE)
        if real_Bt is None:
            x_BE = x_BtE.mean(1)
        else:
            shares = (real_Bt / jnp.maximum(real_Bt.sum(1, keepdims=True), 1))[..., None].astype(x_BtE.dtype)
            x_BE = (x_BtE * shares).sum(1)
        return dropout(x_BE, c.dropout, None if key is None else jax.random.fold_in(key, c.tower.layers))


@dataclass(frozen=True)
class OneModality:
    """An encoder with a linear head: logits of several labels from one modality alone.

    >>> OneModality(Encoder("video", VideoEntry(4, 20)), labels=5).sizes()["labels"]
    5
    """

    encoder: Encoder
    labels: int

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        return self.encoder.sizes() | {"labels": self.labels}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `OneModalityClassifier` with its initial parameters, drawn from `rngs.params`."""
        return built(OneModalityClassifier, self, rngs.params())


class OneModalityClassifier(nnx.Module):
    """The module of `OneModality`: of a batch it reads its encoder's inputs only."""

    def __init__(self, config: OneModality, rngs: nnx.Rngs) -> None:
        self.config = config
        name, embed = config.encoder.name, config.encoder.tower.embed
        self.encoder = ModalityEncoder(config.encoder, rngs)
        self.head = Dense({f"embed.{name}": embed}, {"labels": config.labels}, std=embed**-0.5, bias=True, rngs=rngs)

    def __call__(self, batch: Mapping[str, Array], key: Key | None = None) -> Float[Array, "B C"]:
        return self.head(self.features(batch, key)[self.config.encoder.name])

    def features(self, batch: Mapping[str, Array], key: Key | None = None) -> dict[str, Float[Array, "B E"]]:
        """What its encoder gives, under its name."""
        own = self.config.encoder
        return {own.name: self.encoder(batch[own.entry.reads], key)}
