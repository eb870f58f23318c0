"""Late fusion: the vectors of several modalities' encoders to the logits of several labels, in four ways.

Letters: B batch, m modalities, E embed of one of them, W width of the fusion, C labels, K heads, H head size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from stagejax import axes
from stagejax.models.attention import attend
from stagejax.models.block import Key
from stagejax.models.build import built
from stagejax.models.linear import Dense, Table
from stagejax.models.multimodal.modalities import Encoder, ModalityEncoder

Features = Mapping[str, Float[Array, "B _"]]


@dataclass(frozen=True)
class ConcatMLP:
    """`W2 gelu(W1 [f_1; ...; f_m] + b1) + b2`: the vectors side by side, and a network of one hidden layer."""

    width: int = 128

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of its parameters but those of the encoders."""
        return {"fused": self.width}

    def module(self, widths: Mapping[str, int], labels: int, rngs: nnx.Rngs) -> nnx.Module:
        """What makes logits of features; `widths` are those of the encoders by name."""
        return ConcatFusion(self, widths, labels, rngs)


class ConcatFusion(nnx.Module):
    """The module of `ConcatMLP`. W1 is kept as a kernel for each modality, whose products are added."""

    def __init__(self, config: ConcatMLP, widths: Mapping[str, int], labels: int, rngs: nnx.Rngs) -> None:
        std, fused = (2 / sum(widths.values())) ** 0.5, {"fused": config.width}
        self.first = nnx.Dict({
            name: Dense({f"embed.{name}": size}, fused, std=std, bias=i == 0, rngs=rngs)
            for i, (name, size) in enumerate(widths.items())
        })  # fmt: skip
        self.second = Dense(fused, {"labels": labels}, std=config.width**-0.5, bias=True, rngs=rngs)

    def __call__(self, features: Features) -> Float[Array, "B C"]:
        return self.second(jax.nn.gelu(sum(self.first[name](x_BE) for name, x_BE in features.items())))


@dataclass(frozen=True)
class GatedSum:
    """`f = sum_m g_m W_m f_m` with `g = softmax_m(u . tanh(V_m f_m))`, and a linear head."""

    width: int = 128

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of its parameters but those of the encoders."""
        return {"fused": self.width, "gate": self.width, "one": 1}

    def module(self, widths: Mapping[str, int], labels: int, rngs: nnx.Rngs) -> nnx.Module:
        """What makes logits of features; `widths` are those of the encoders by name."""
        return GatedFusion(self, widths, labels, rngs)


class GatedFusion(nnx.Module):
    """The module of `GatedSum`."""

    def __init__(self, config: GatedSum, widths: Mapping[str, int], labels: int, rngs: nnx.Rngs) -> None:
        def dense(name: str, to: str) -> Dense:
            size = widths[name]
            return Dense({f"embed.{name}": size}, {to: config.width}, std=size**-0.5, bias=True, rngs=rngs)

        self.values = nnx.Dict({name: dense(name, "fused") for name in widths})
        self.gates = nnx.Dict({name: dense(name, "gate") for name in widths})
        self.score = Dense({"gate": config.width}, {"one": 1}, std=config.width**-0.5, bias=False, rngs=rngs)
        self.head = Dense({"fused": config.width}, {"labels": labels}, std=config.width**-0.5, bias=True, rngs=rngs)

    def __call__(self, features: Features) -> Float[Array, "B C"]:
        scores_mB1 = jnp.stack([self.score(jnp.tanh(self.gates[name](x))) for name, x in features.items()])
        values_mBW = jnp.stack([self.values[name](x) for name, x in features.items()])
        return self.head((jax.nn.softmax(scores_mB1, axis=0) * values_mBW).sum(0))


@dataclass(frozen=True)
class MeanLogits:
    """The mean over modalities of the logits of a linear head each: nothing is learned from two of them together."""

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of its parameters but those of the encoders."""
        return {}

    def module(self, widths: Mapping[str, int], labels: int, rngs: nnx.Rngs) -> nnx.Module:
        """What makes logits of features; `widths` are those of the encoders by name."""
        return MeanFusion(widths, labels, rngs)


class MeanFusion(nnx.Module):
    """The module of `MeanLogits`."""

    def __init__(self, widths: Mapping[str, int], labels: int, rngs: nnx.Rngs) -> None:
        self.heads = nnx.Dict({
            name: Dense({f"embed.{name}": size}, {"labels": labels}, std=size**-0.5, bias=True, rngs=rngs)
            for name, size in widths.items()
        })  # fmt: skip

    def __call__(self, features: Features) -> Float[Array, "B C"]:
        return sum(self.heads[name](x_BE) for name, x_BE in features.items()) / len(features)


@dataclass(frozen=True)
class CrossAttention:
    """A learned query of each label attends to the modalities as tokens; a network reads what it finds.

    Args:
      width: of tokens and of the network; heads: of the attention.
    """

    width: int = 64
    heads: int = 4

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of its parameters but those of the encoders."""
        own = {"kv_heads": self.heads, "head_dim": self.width // self.heads}
        return own | {"fused": self.width, "hidden": self.width}

    def module(self, widths: Mapping[str, int], labels: int, rngs: nnx.Rngs) -> nnx.Module:
        """What makes logits of features; `widths` are those of the encoders by name."""
        return CrossAttentionFusion(self, widths, labels, rngs)


class CrossAttentionFusion(nnx.Module):
    """The module of `CrossAttention`."""

    def __init__(self, config: CrossAttention, widths: Mapping[str, int], labels: int, rngs: nnx.Rngs) -> None:
        W, K, H = config.width, config.heads, config.width // config.heads
        heads, fused, std = {"kv_heads": K, "head_dim": H}, {"fused": W}, W**-0.5
        self.tokens = nnx.Dict({
            name: Dense({f"embed.{name}": size}, fused, std=size**-0.5, bias=True, rngs=rngs)
            for name, size in widths.items()
        })  # fmt: skip
        self.queries = axes.renamed(Table("labels", labels, W, std=1.0, rngs=rngs), {"embed": "fused"})
        self.query, self.key, self.value = (Dense(fused, heads, std=std, bias=True, rngs=rngs) for _ in range(3))
        self.out = Dense(heads, fused, std=std, bias=True, rngs=rngs)
        self.reads = Dense(fused, {"hidden": W}, std=(2 / W) ** 0.5, bias=True, rngs=rngs)
        self.scores = axes.renamed(Table("labels", labels, W, std=std, rngs=rngs), {"embed": "hidden"})
        self.shift = axes.param(jnp.zeros(labels), writes=("labels",))

    def __call__(self, features: Features) -> Float[Array, "B C"]:
        x_BmW = jnp.stack([self.tokens[name](x_BE) for name, x_BE in features.items()], axis=1)
        asked_BCW = jnp.broadcast_to(self.queries.table[...], (x_BmW.shape[0], *self.queries.table[...].shape))
        found = attend(self.query(asked_BCW)[:, :, :, None], self.key(x_BmW), self.value(x_BmW))[:, :, :, 0]
        hidden_BCW = jax.nn.gelu(self.reads(asked_BCW + self.out(found)))
        return (hidden_BCW * self.scores.table[...]).sum(-1) + self.shift[...]


Fusion = ConcatMLP | GatedSum | MeanLogits | CrossAttention


@dataclass(frozen=True)
class Fused:
    """Encoders of several modalities and a fusion of what they give.

    A modality that is absent is a learned vector, zero at first, in the place of its features. In training, each
    modality of each example is left out with probability `absent`; where that is all of them, none is.

    Raises:
      ValueError: one name twice, or `absent` is no probability below 1.

    >>> from stagejax.models.multimodal.modalities import SoundEntry, VideoEntry
    >>> both = (Encoder("audio", SoundEntry(24, 32)), Encoder("video", VideoEntry(4, 20)))
    >>> Fused(both, labels=5).sizes()["fused"]
    128
    """

    encoders: tuple[Encoder, ...]
    labels: int
    fusion: Fusion = field(default_factory=ConcatMLP)
    absent: float = 0.15

    def __post_init__(self) -> None:
        names = self.names
        if len(set(names)) < len(names) or not 0 <= self.absent < 1:
            raise ValueError(f"encoders {names} need names of their own, and absent={self.absent} is to be below 1")

    @property
    def names(self) -> tuple[str, ...]:
        """Of the modalities."""
        return tuple(encoder.name for encoder in self.encoders)

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        own = {axis: size for encoder in self.encoders for axis, size in encoder.sizes().items()}
        return own | self.fusion.sizes() | {"labels": self.labels}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `FusedClassifier` with its initial parameters, drawn from `rngs.params`."""
        return built(FusedClassifier, self, rngs.params())


class FusedClassifier(nnx.Module):
    """The module of `Fused`. A key draws dropout and what is left out; without one nothing is random."""

    def __init__(self, config: Fused, rngs: nnx.Rngs) -> None:
        self.config = config
        widths = {encoder.name: encoder.tower.embed for encoder in config.encoders}
        self.encoders = nnx.Dict({encoder.name: ModalityEncoder(encoder, rngs) for encoder in config.encoders})
        self.absent = nnx.Dict({
            name: axes.param(jnp.zeros(size), writes=(f"embed.{name}",)) for name, size in widths.items()
        })  # fmt: skip
        self.fusion = config.fusion.module(widths, config.labels, rngs)

    def __call__(self, batch: Mapping[str, Array], key: Key | None = None) -> Float[Array, "B C"]:
        return self.fused(self.features(batch, key), self.present(len(next(iter(batch.values()))), key))

    def features(self, batch: Mapping[str, Array], key: Key | None = None) -> dict[str, Float[Array, "B E"]]:
        """What each encoder gives, by its name."""
        keys = [None] * len(self.config.encoders) if key is None else jax.random.split(key, len(self.config.encoders))
        return {
            own.name: self.encoders[own.name](batch[own.entry.reads], k)
            for own, k in zip(self.config.encoders, keys, strict=True)
        }

    def present(self, rows: int, key: Key | None) -> Bool[Array, "B m"]:
        """Which modalities are there: all, or those that are not left out by chance."""
        shape = (rows, len(self.config.encoders))
        if key is None:
            return jnp.ones(shape, bool)
        kept = jax.random.bernoulli(jax.random.fold_in(key, 7), 1 - self.config.absent, shape)
        return kept | ~kept.any(1, keepdims=True)

    def fused(self, features: Features, present_Bm: Bool[Array, "#B m"]) -> Float[Array, "B C"]:
        """Logits of features of which some are absent."""
        own: dict[str, Any] = {
            name: jnp.where(present_Bm[:, i, None], x_BE, self.absent[name][...].astype(x_BE.dtype))
            for i, (name, x_BE) in enumerate(features.items())
        }
        return self.fusion(own)
