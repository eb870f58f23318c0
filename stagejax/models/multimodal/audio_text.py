"""Dual encoder of sounds and texts (CLAP): convolutions and a transformer over time, a transformer over words.

Letters: B clips, N texts, T frames, M mel bands, L tokens, t time steps behind the convolutions, E embed, J joint
space.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from stagejax import axes
from stagejax.models.block import Block, pre_norm_block
from stagejax.models.build import built
from stagejax.models.conv import Conv, Convolution
from stagejax.models.linear import Dense, Table
from stagejax.models.multimodal.dual_encoder import MOST_SCALE, Tower
from stagejax.models.norm import Norm
from stagejax.models.stack import Remat, run_stack, stack


@dataclass(frozen=True)
class AudioText:
    """What a dual encoder of log-mel frames and texts is.

    Convolutions 3 x 3, each but the last with stride 2, make time steps of frames, and what is left of the bands is
    projected to the width of a transformer. Its outputs are averaged in each of `pieces` equal parts of the clip; the
    means, side by side, are projected to the joint space. So the embedding can tell when a sound was. With
    `pieces=1, positions=False` it is a bag of sounds, which knows of time only what convolutions see: the border of two
    sounds, and the ends of the clip.

    Args:
      channels: of the convolutions.
      pieces: parts of a clip that are pooled apart.
      positions: whether the transformer over time knows when its inputs are.
      temperature: of the softmax at first; it is learned.

    Raises:
      ValueError: a size that does not fit another; the error names the field.

    References: Elizalde et al. 2022 (CLAP), https://arxiv.org/abs/2206.04769; Wu et al. 2022,
    https://arxiv.org/abs/2211.06687.

    >>> AudioText().steps, AudioText().sizes()["channels.4"]
    (13, 64)
    """

    frames: int = 100
    bands: int = 40
    channels: tuple[int, ...] = (16, 32, 64, 64)
    audio: Tower = field(default_factory=lambda: Tower(1, 64, 192))
    text: Tower = field(default_factory=lambda: Tower(2, 64, 192))
    pieces: int = 4
    positions: bool = True
    vocab: int = 64
    length: int = 6
    pad: int = 0
    head_dim: int = 16
    joint: int = 64
    temperature: float = 0.07
    norm_eps: float = 1e-5
    init_std: float = 0.02  # standard deviation of initial kernels of the transformers, and of tables
    convolution: Convolution = "conv"
    scan: bool = False
    remat: Remat | None = None

    def __post_init__(self) -> None:
        for name, tower in self.towers.items():
            if tower.embed % self.head_dim or tower.layers < 1:
                raise ValueError(
                    f"{name}={tower}: it has at least one layer, and head_dim={self.head_dim} must divide its embed"
                )
        if not 1 <= self.pieces <= self.steps:
            raise ValueError(f"pieces={self.pieces}: {self.steps} time steps can be pooled in 1 to {self.steps} parts")

    @property
    def towers(self) -> dict[str, Tower]:
        """The two transformers by name."""
        return {"audio": self.audio, "text": self.text}

    @property
    def steps(self) -> int:
        """Time steps that the transformer sees."""
        return self._behind(self.frames)

    def _behind(self, size: int) -> int:
        """Of frames or bands, behind the convolutions."""
        for _ in self.channels[1:]:
            size = -(-size // 2)
        return size

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        sizes = {"kernel_row": 3, "kernel_column": 3, "pixel": 1, "band": self._behind(self.bands), "vocab": self.vocab}
        sizes |= {f"channels.{i}": size for i, size in enumerate(self.channels, 1)}
        sizes |= {"pieces": self.pieces, "position.text": self.length, "joint": self.joint}
        sizes |= {"position.audio": self.steps} if self.positions else {}
        sizes |= {"q_per_kv": 1, "head_dim": self.head_dim, "value_dim": self.head_dim}
        for name, tower in self.towers.items():
            heads = tower.embed // self.head_dim
            sizes |= {f"embed.{name}": tower.embed, f"layers.{name}": tower.layers}
            sizes |= {f"kv_heads.{name}": heads, f"mlp.{name}": tower.mlp}
        return sizes

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `AudioTextModel` with its initial parameters, drawn from `rngs.params`."""
        return built(AudioTextModel, self, rngs.params())


class AudioTextModel(nnx.Module):
    """The module of `AudioText`: sounds and texts to unit vectors, and to their scaled cosines.

    >>> model = AudioText().build(nnx.Rngs(0))
    >>> jax.eval_shape(model, jnp.zeros((2, 100, 40)), jnp.ones((5, 6), int)).shape
    (2, 5)
    """

    def __init__(self, config: AudioText, rngs: nnx.Rngs) -> None:
        self.config = c = config
        widths = [("pixel", 1), *((f"channels.{i}", size) for i, size in enumerate(c.channels, 1))]
        convolutions = []
        for i, (reads, writes) in enumerate(itertools.pairwise(widths), 1):
            stride = 1 if i == len(c.channels) else 2
            conv = Conv(reads, writes, size=3, stride=stride, implementation=c.convolution, rngs=rngs)
            convolutions.append((conv, Norm("layer", *writes, eps=c.norm_eps)))
        self.convolutions = nnx.List([conv for conv, _ in convolutions])
        self.norms = nnx.List([norm for _, norm in convolutions])
        last, wide, words = widths[-1], {"embed.audio": c.audio.embed}, {"embed.text": c.text.embed}
        bands = c.sizes()["band"]
        std = (bands * last[1]) ** -0.5
        self.entry = Dense({"band": bands, last[0]: last[1]}, wide, std=std, bias=True, rngs=rngs)
        self.audio_positions = self._table("position.audio", "audio", c.steps, rngs) if c.positions else None
        self.tokens = self._table("vocab", "text", c.vocab, rngs)
        self.text_positions = self._table("position.text", "text", c.length, rngs)
        self.audio_blocks, self.text_blocks = self._blocks("audio", rngs), self._blocks("text", rngs)
        self.audio_norm = Norm("layer", "embed.audio", c.audio.embed, eps=c.norm_eps)
        self.text_norm = Norm("layer", "embed.text", c.text.embed, eps=c.norm_eps)
        parts, joint = {"pieces": c.pieces} | wide, {"joint": c.joint}
        self.audio_projection = Dense(parts, joint, std=(c.pieces * c.audio.embed) ** -0.5, bias=False, rngs=rngs)
        self.text_projection = Dense(words, joint, std=c.text.embed**-0.5, bias=False, rngs=rngs)
        self.log_scale = axes.param(jnp.asarray(-math.log(c.temperature), jnp.float32))

    def __call__(
        self, frames_BTM: Float[Array, "B T M"], tokens_NL: Int[Array, "N L"], key: Any = None
    ) -> Float[Array, "B N"]:
        """`scale * cos(clip, text)` of every clip and every text, with the learned scale 1 / temperature."""
        return self.similarities(self.encode_audio(frames_BTM), self.encode_text(tokens_NL))

    def similarities(self, clips_BJ: Float[Array, "B J"], texts_NJ: Float[Array, "N J"]) -> Float[Array, "B N"]:
        """The scaled products of vectors of clips and of texts."""
        scale = jnp.minimum(jnp.exp(self.log_scale[...]), MOST_SCALE).astype(clips_BJ.dtype)
        return scale * jnp.matmul(clips_BJ, texts_NJ.T)

    def encode_audio(self, frames_BTM: Float[Array, "B T M"]) -> Float[Array, "B J"]:
        """Unit vectors of clips.

        Raises:
          ValueError: clips of another size than the model's.
        """
        c = self.config
        if frames_BTM.shape[1:] != (c.frames, c.bands):
            raise ValueError(f"clips of {frames_BTM.shape[1:]}, but the model has frames={c.frames}, bands={c.bands}")
        x = frames_BTM[..., None].astype(self.convolutions[0].kernel[...].dtype)  # the dtype that is computed in
        for conv, norm in zip(self.convolutions, self.norms, strict=True):
            x = jax.nn.gelu(norm(conv(x)))
        x_BtE = self.entry(x)
        if self.audio_positions is not None:
            x_BtE = x_BtE + self.audio_positions.table[...]
        x_BtE = self.audio_norm(self._through(x_BtE, self.audio_blocks, c.audio.layers, None))
        bounds = [piece * c.steps // c.pieces for piece in range(c.pieces + 1)]
        parts = [x_BtE[:, a:b].mean(1) for a, b in itertools.pairwise(bounds)]
        return _unit(self.audio_projection(jnp.stack(parts, axis=1)))

    def encode_text(self, tokens_NL: Int[Array, "N L"]) -> Float[Array, "N J"]:
        """Unit vectors of texts: the mean of the tokens that are no padding.

        Raises:
          ValueError: texts that are longer than `length`.
        """
        c, L = self.config, tokens_NL.shape[1]
        if c.length < L:
            raise ValueError(f"texts of {L} tokens, but the model has length={c.length}")
        real_NL = tokens_NL != c.pad
        x_NLE = self.tokens(tokens_NL) + self.text_positions.table[...][:L]
        x_NLE = self.text_norm(self._through(x_NLE, self.text_blocks, c.text.layers, real_NL))
        weights_NL1 = (real_NL / jnp.maximum(real_NL.sum(1, keepdims=True), 1))[..., None].astype(x_NLE.dtype)
        return _unit(self.text_projection((x_NLE * weights_NL1).sum(1)))

    def _through(
        self, x_BTE: Float[Array, "B T E"], blocks: nnx.Module, layers: int, mask: Bool[Array, "B T"] | None
    ) -> Float[Array, "B T E"]:
        def call(block: Block, _: Any, x_BTE: Any) -> Any:
            return block(x_BTE, mask=mask)

        c = self.config
        return run_stack(blocks, call, x_BTE, start=0, stop=layers, scan=c.scan, remat=c.remat)

    def _table(self, name: str, tower: str, size: int, rngs: nnx.Rngs) -> Table:
        table = Table(name, size, self.config.towers[tower].embed, std=self.config.init_std, rngs=rngs)
        return axes.renamed(table, {"embed": f"embed.{tower}"})

    def _blocks(self, tower: str, rngs: nnx.Rngs) -> nnx.Module:
        c, own = self.config, self.config.towers[tower]
        sizes = own.embed, own.embed // c.head_dim, c.head_dim, own.mlp

        def block(rngs: nnx.Rngs) -> Block:
            made = pre_norm_block(*sizes, eps=c.norm_eps, std=c.init_std, rngs=rngs)
            return axes.renamed(made, {name: f"{name}.{tower}" for name in ("embed", "kv_heads", "mlp")})

        return stack(block, own.layers, rngs, f"layers.{tower}")


def _unit(x_BJ: Float[Array, "B J"]) -> Float[Array, "B J"]:
    return x_BJ * jax.lax.rsqrt(jnp.sum(x_BJ * x_BJ, -1, keepdims=True) + 1e-12)
