"""Ears for a language model: the states of a speech encoder as vectors that stand in a row of its tokens.

Letters: B batch, T tokens, P tokens of a prompt, s states of the encoder, S vectors, F width of a state, E embed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from stagejax import axes
from stagejax.models.build import built
from stagejax.models.cache import Cache
from stagejax.models.conv import Conv, Convolution
from stagejax.models.language_model import Vectors
from stagejax.models.linear import Dense
from stagejax.models.norm import Norm
from stagejax.models.text.slots import Filled

KERNEL = 5


@dataclass(frozen=True)
class SpeechAdapter:
    """What an adapter is: convolutions over time with stride 2, each with a gate, a norm, and a bottleneck.

    Convolution i of n reads F channels and writes 2 F, the last one 2 E; half of them, through a sigmoid, gate the
    others (GLU). Behind the norm, `x + W2 GELU(W1 x)`.

    Args:
      reads: F.
      embed: E.
      convolutions: n; the utterance becomes 2^n times shorter.
      inner: width of the bottleneck.

    Reference: Wang et al. 2023 (BLSP), https://arxiv.org/abs/2309.00916.

    >>> SpeechAdapter(reads=64, embed=48, convolutions=2).sizes()["gates.2"]
    96
    """

    reads: int = 64
    embed: int = 64
    convolutions: int = 3
    inner: int = 512
    convolution: Convolution = "patches"

    def __post_init__(self) -> None:
        if self.convolutions < 1:
            raise ValueError(f"convolutions={self.convolutions}: give it at least one")

    def widths(self) -> list[tuple[str, int]]:
        """Name and size of the axis that each convolution reads, and of what the last one leaves."""
        inner = [(f"channels.{i}", self.reads) for i in range(1, self.convolutions)]
        return [("states", self.reads), *inner, ("embed", self.embed)]

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        widths = self.widths()
        gates = {f"gates.{i}": 2 * size for i, (_, size) in enumerate(widths[1:], 1)}
        return dict(widths) | gates | {f"kernel_row.{KERNEL}": KERNEL, "kernel_column.1": 1, "inner": self.inner}

    def length(self, states: int) -> int:
        """How many vectors so many states of an utterance become: floor((L - 1) / 2 + 1) behind each convolution.

        >>> SpeechAdapter().length(1500), SpeechAdapter().length(9)
        (188, 2)
        """
        for _ in range(self.convolutions):
            states = (states - 1) // 2 + 1
        return states

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `SpeechAdapterNetwork` with its initial parameters, drawn from `rngs.params`."""
        return built(SpeechAdapterNetwork, self, rngs.params())


class SpeechAdapterNetwork(nnx.Module):
    """The module of `SpeechAdapter`. What lies behind an utterance changes nothing of its vectors.

    >>> model = SpeechAdapter(convolutions=2).build(nnx.Rngs(0))
    >>> vectors, real = model(jnp.zeros((1, 9, 64)), jnp.arange(9)[None] < 5)
    >>> vectors.shape, int(real.sum())
    ((1, 3, 64), 2)
    """

    def __init__(self, config: SpeechAdapter, rngs: nnx.Rngs) -> None:
        self.config = c = config
        sizes, widths, convolutions, biases = c.sizes(), c.widths(), [], []
        for i, reads in enumerate(widths[:-1], 1):
            gates = (f"gates.{i}", sizes[f"gates.{i}"])
            how: dict[str, Any] = {"size": (KERNEL, 1), "stride": 2, "taps": None, "implementation": c.convolution}
            convolutions.append(Conv(reads, gates, **how, rngs=rngs))
            biases.append(axes.param(jnp.zeros(gates[1]), writes=(gates[0],)))
        self.convolutions, self.biases = nnx.List(convolutions), nnx.List(biases)
        self.norm = Norm("layer", "embed", c.embed, eps=1e-5)
        embed, inner = {"embed": c.embed}, {"inner": c.inner}
        self.down = Dense(embed, inner, std=c.embed**-0.5, bias=False, rngs=rngs)
        self.up = Dense(inner, embed, std=0.1 * c.inner**-0.5, bias=False, rngs=rngs)

    def __call__(
        self, states_BsF: Float[Array, "B s F"], real_Bs: Bool[Array, "B s"]
    ) -> tuple[Float[Array, "B S E"], Bool[Array, "B S"]]:
        """Vectors in the place of embedded tokens, and which of them are of the utterance."""
        x, real = states_BsF.astype(self.down.kernel[...].dtype), real_Bs
        for conv, bias in zip(self.convolutions, self.biases, strict=True):
            x = conv((x * real[..., None])[:, :, None])[:, :, 0] + bias[...]
            x, real = jax.nn.glu(x), real[:, ::2]
        x = self.norm(x)
        return x + self.up(jax.nn.gelu(self.down(x))), real


def placed(
    tokens_BT: Int[Array, "B T"], vectors_BSE: Float[Array, "B S E"], marker: int
) -> tuple[Bool[Array, "B T"], Float[Array, "B T E"]]:
    """Where a row of tokens has markers, and in the place of its k-th one the k-th vector.

    >>> where, there = placed(jnp.array([[7, 3, 3, 8]]), jnp.arange(2.0).reshape(1, 2, 1), marker=3)
    >>> where.tolist(), there[0, 1:3, 0].tolist()
    ([[False, True, True, False]], [0.0, 1.0])
    """
    where_BT = tokens_BT == marker
    at_BT = jnp.maximum(jnp.cumsum(where_BT, axis=1) - 1, 0)
    return where_BT, jnp.take_along_axis(vectors_BSE, at_BT[..., None], axis=1, mode="clip")


@dataclass(frozen=True, eq=False)
class Listener:
    """A language model in whose rows a marker stands for a vector: called, it gives logits of such rows.

    Args:
      model: a `LanguageModel`; it stays as it is.
      marker: the token; its own embedding is never read.

    >>> from stagejax.models import gpt
    >>> net = gpt(layers=1).build(nnx.Rngs(0))
    >>> tokens, own = jnp.array([[5, 3, 3]]), net.tokens(jnp.array([[8, 9]]))
    >>> bool(jnp.allclose(Listener(net, 3)(tokens, own), net(jnp.array([[5, 8, 9]])), atol=1e-5))
    True
    """

    model: Any
    marker: int

    def __call__(self, tokens_BT: Int[Array, "B T"], vectors_BSE: Float[Array, "B S E"]) -> Float[Array, "B T V"]:
        """Logits, with gradients to the vectors."""
        return self.model(tokens_BT, vectors=placed(tokens_BT, vectors_BSE, self.marker))

    def hears(self, prompts_BP: Int[Array, "B P"], vectors_BSE: Float[Array, "B S E"]) -> Filled:
        """A causal model for decoding behind these prompts."""
        return Filled(self, placed(prompts_BP, vectors_BSE, self.marker)[1])

    def vectors(self, tokens_BT: Int[Array, "B T"], states_BTE: Float[Array, "B T E"]) -> Vectors:
        """Where markers are, and what is read there."""
        return tokens_BT == self.marker, states_BTE

    def init_cache(self, batch: int, length: int) -> Cache:
        """As the model's."""
        return self.model.init_cache(batch, length)

    def step(self, *inputs: Any, **options: Any) -> tuple[Float[Array, "B T V"], Cache]:
        """As the model's."""
        return self.model.step(*inputs, **options)
