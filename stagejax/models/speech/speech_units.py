"""A speech encoder that learns to tell the units of hidden frames: HuBERT, small.

Letters: B batch, T frames, N = hop · T what the encoder reads of a signal, M numbers of each, E embed, K units.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from stagejax import axes
from stagejax.models.block import Block, Key, pre_norm_block
from stagejax.models.build import built
from stagejax.models.conv import Convolution
from stagejax.models.linear import Dense
from stagejax.models.norm import Norm
from stagejax.models.speech.recognizer import sinusoids
from stagejax.models.speech.time_conv import TimeConv
from stagejax.models.stack import run_stack, stack


@dataclass(frozen=True)
class UnitEncoder:
    """Convolutions over samples or over log-mel frames, each with a layer norm and GELU, then pre-norm blocks.

    Args:
      bands: M; 1 where the encoder reads samples.
      channels, rates, taps: of the convolutions.
      units: K, what the head tells apart.

    References: Baevski et al. 2020 (wav2vec 2.0), https://arxiv.org/abs/2006.11477, section 2 (the network, in which
    frames are hidden by one learned vector behind the convolutions); Hsu et al. 2021 (HuBERT),
    https://arxiv.org/abs/2106.07447, section II (the units).

    >>> UnitEncoder().hop, UnitEncoder(1, (32, 32, 64, 64), (5, 4, 4, 2), (10, 8, 8, 4)).hop
    (1, 160)
    """

    bands: int = 40
    channels: tuple[int, ...] = (64, 64)
    rates: tuple[int, ...] = (1, 1)
    taps: tuple[int, ...] = (3, 3)
    embed: int = 64
    layers: int = 3
    heads: int = 4
    mlp: int = 192
    units: int = 64
    dropout: float = 0.0
    scan: bool = False
    convolution: Convolution = "patches"

    @property
    def hop(self) -> int:
        """What is read for a frame: samples, or frames."""
        return math.prod(self.rates)

    def widths(self) -> list[tuple[str, int]]:
        """Name and size of the channels before and behind each convolution."""
        return [("band", self.bands), *((f"channels.{i}", size) for i, size in enumerate(self.channels))]

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        head = self.embed // self.heads
        own = {"kv_heads": self.heads, "q_per_kv": 1, "head_dim": head, "value_dim": head, "layers": self.layers}
        own |= {"embed": self.embed, "mlp": self.mlp, "classes": self.units} | dict(self.widths())
        return own | {f"kernel_frame.{k}": k for k in self.taps}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `UnitFeatures` with its initial parameters, drawn from `rngs.params`."""
        return built(UnitFeatures, self, rngs.params())


class UnitFeatures(nnx.Module):
    """The module of `UnitEncoder`.

    >>> model = UnitEncoder().build(nnx.Rngs(0))
    >>> model.features(jnp.zeros((2, 5, 40)), jnp.ones((2, 5), bool)).shape
    (2, 5, 64)
    """

    def __init__(self, config: UnitEncoder, rngs: nnx.Rngs) -> None:
        self.config = c = config
        sizes, widths = c.sizes(), c.widths()
        self.convs = nnx.List(
            [
                TimeConv(a, b, taps=taps, stride=rate, implementation=c.convolution, rngs=rngs)
                for (a, b), rate, taps in zip(itertools.pairwise(widths), c.rates, c.taps, strict=True)
            ]
        )
        self.norms = nnx.List([Norm("layer", *width, eps=1e-5) for width in widths[1:]])
        self.embed = Dense(dict(widths[-1:]), {"embed": c.embed}, std=c.channels[-1] ** -0.5, bias=True, rngs=rngs)
        self.hidden = axes.param(0.1 * jax.random.normal(rngs.params(), (c.embed,)), writes=("embed",))

        def block(rngs: nnx.Rngs) -> Block:
            sized = (sizes[name] for name in ("embed", "kv_heads", "head_dim", "mlp"))
            return pre_norm_block(*sized, dropout=c.dropout, std=0.05, rngs=rngs)

        self.blocks = stack(block, c.layers, rngs)
        self.norm = Norm("layer", "embed", c.embed, eps=1e-5)
        self.head = Dense({"embed": c.embed}, {"classes": c.units}, std=c.embed**-0.5, bias=True, rngs=rngs)

    def __call__(
        self,
        x_BNM: Float[Array, "B N M"],
        real_BT: Bool[Array, "B T"],
        hidden_BT: Bool[Array, "B T"],
        key: Key | None = None,
    ) -> Float[Array, "B T K"]:
        """Logits of the unit of every frame, where the transformer does not see those that are hidden."""
        return self.head(self._through(x_BNM, real_BT, hidden_BT, key))

    def features(self, x_BNM: Float[Array, "B N M"], real_BT: Bool[Array, "B T"]) -> Float[Array, "B T E"]:
        """Of every frame in its context, behind the last block: the interface."""
        return self._through(x_BNM, real_BT, jnp.zeros_like(real_BT), None)

    def _through(self, x_BNM: Array, real_BT: Array, hidden_BT: Array, key: Key | None) -> Float[Array, "B T E"]:
        c, x = self.config, x_BNM
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = jax.nn.gelu(norm(conv(x)))
        x = jnp.where(hidden_BT[..., None], self.hidden[...].astype(x.dtype), self.embed(x))
        x = x + sinusoids(x.shape[1], c.embed).astype(x.dtype)

        def call(block: Block, layer: Any, x_BTE: Any) -> Any:
            return block(x_BTE, None if key is None else jax.random.fold_in(key, layer), mask=real_BT)

        return self.norm(run_stack(self.blocks, call, x, start=0, stop=c.layers, scan=c.scan))
