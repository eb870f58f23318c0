"""Models that read a sequence of examples and predict the label of each: their forward pass is the learning algorithm.

Token j is a linear map of input j plus one of the one-hot label j - 1 (zero for the first); a body that looks at no
later token; a linear head at every position. Bodies differ in what they can remember.

Letters: B batch, N examples, D features of an input, E embed, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax.models.block import pre_norm_block
from stagejax.models.build import built
from stagejax.models.linear import Dense
from stagejax.models.mlp import MLP
from stagejax.models.norm import Norm
from stagejax.models.rotary import rotary_angles
from stagejax.models.stack import Remat, run_stack, stack


@runtime_checkable
class Body(Protocol):
    """What lies between tokens and head: a causal map of sequences, (B, N, E) to (B, N, E)."""

    def sizes(self, embed: int) -> dict[str, int]: ...

    def state(self, embed: int, length: int) -> int:
        """How many numbers of the past are there when the last position is read."""
        ...

    def body(self, embed: int, rngs: nnx.Rngs) -> nnx.Module: ...


@dataclass(frozen=True)
class Attentive:
    """Pre-norm transformer blocks with causal attention and rotary positions.

    >>> Attentive(layers=3, heads=4).state(embed=96, length=40)
    23040
    """

    layers: int = 3
    heads: int = 4
    expansion: int = 4  # width of the feed-forward network, times embed
    scan: bool = False
    remat: Remat | None = None

    def sizes(self, embed: int) -> dict[str, int]:
        heads = {"kv_heads": self.heads, "q_per_kv": 1, "head_dim": embed // self.heads}
        return {**heads, "value_dim": embed // self.heads, "mlp": self.expansion * embed, "layers": self.layers}

    def state(self, embed: int, length: int) -> int:
        """Keys and values of every layer and position."""
        return 2 * embed * self.layers * length

    def body(self, embed: int, rngs: nnx.Rngs) -> nnx.Module:
        return Decoder(self, embed, rngs)


@dataclass(frozen=True)
class Pointwise:
    """Feed-forward networks on every token by itself: no memory at all."""

    layers: int = 2
    expansion: int = 4  # width of the hidden layer, times embed

    def sizes(self, embed: int) -> dict[str, int]:
        return {"mlp": self.expansion * embed, "layers": self.layers}

    def state(self, embed: int, length: int) -> int:
        """Nothing."""
        return 0

    def body(self, embed: int, rngs: nnx.Rngs) -> nnx.Module:
        return Residual(self, embed, rngs)


class Decoder(nnx.Module):
    """The blocks of `Attentive`, and a norm behind them."""

    def __init__(self, config: Attentive, embed: int, rngs: nnx.Rngs) -> None:
        self.config, std = config, embed**-0.5
        c, half = config, embed // config.heads // 2
        self.angles_dim = 2 * half
        own = partial(pre_norm_block, embed, c.heads, embed // c.heads, c.expansion * embed, activation="gelu_tanh")
        make = lambda rngs: own(std=std, std_out=std / (2 * c.layers) ** 0.5, rngs=rngs)  # noqa: E731
        self.blocks = stack(make, c.layers, rngs)
        self.norm = Norm("layer", "embed", embed, eps=1e-5)

    def __call__(self, x_BNE: Float[Array, "B N E"], key: Any = None) -> Float[Array, "B N E"]:
        c, angles = self.config, rotary_angles(jnp.arange(x_BNE.shape[1])[None], self.angles_dim, dtype=x_BNE.dtype)
        call = lambda block, _, x: block(x, causal=True, angles_BTh=angles)  # noqa: E731
        return self.norm(run_stack(self.blocks, call, x_BNE, start=0, stop=c.layers, scan=c.scan, remat=c.remat))


class Residual(nnx.Module):
    """x + MLP(norm(x)), layer by layer, and a norm behind them."""

    def __init__(self, config: Pointwise, embed: int, rngs: nnx.Rngs) -> None:
        std, layers = embed**-0.5, range(config.layers)
        options = {"activation": "gelu_tanh", "bias": True, "std": std, "std_out": std / len(layers) ** 0.5}
        self.mlps = nnx.List([MLP(embed, config.expansion * embed, rngs=rngs, **options) for _ in layers])
        self.norms = nnx.List([Norm("layer", "embed", embed, eps=1e-5) for _ in range(config.layers + 1)])

    def __call__(self, x_BNE: Float[Array, "B N E"], key: Any = None) -> Float[Array, "B N E"]:
        for norm, mlp in zip(self.norms, self.mlps, strict=False):
            x_BNE = x_BNE + mlp(norm(x_BNE))
        return self.norms[len(self.mlps)](x_BNE)


@dataclass(frozen=True)
class InContext:
    """What an in-context learner is.

    >>> InContext(features=64, classes=5, body=Attentive(layers=2)).state(length=10)
    3840
    """

    features: int = 64  # of an input
    classes: int = 10
    embed: int = 96
    body: Body = field(default_factory=Attentive)

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        own = {"features": self.features, "classes": self.classes, "embed": self.embed}
        return own | self.body.sizes(self.embed)

    def state(self, length: int) -> int:
        """The accessible state: how many numbers of the past are there when example `length` is predicted."""
        return self.body.state(self.embed, length)

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `InContextLearner` with its initial parameters, drawn from `rngs.params`."""
        return built(InContextLearner, self, rngs.params())


class InContextLearner(nnx.Module):
    """Inputs and labels of a sequence to logits of every label. It computes in the dtype of its parameters.

    >>> model = InContext(features=6, classes=3, embed=8, body=Attentive(1, 2)).build(nnx.Rngs(0))
    >>> model(jnp.ones((2, 5, 6)), jnp.zeros((2, 5), int)).shape
    (2, 5, 3)
    """

    def __init__(self, config: InContext, rngs: nnx.Rngs) -> None:
        self.config = c = config
        stream = {"embed": c.embed}
        self.inputs = Dense({"features": c.features}, stream, std=c.features**-0.5, bias=True, rngs=rngs)
        self.labels = Dense({"classes": c.classes}, stream, std=1.0, bias=False, rngs=rngs)
        self.body = c.body.body(c.embed, rngs)
        self.head = Dense(stream, {"classes": c.classes}, std=0.02, bias=True, rngs=rngs)

    def __call__(
        self, inputs_BND: Float[Array, "B N D"], labels_BN: Int[Array, "B N"], key: Any = None
    ) -> Float[Array, "B N C"]:
        """Logits at position j depend on inputs up to j and on labels before j."""
        inputs_BND = inputs_BND.astype(self.inputs.kernel[...].dtype)
        one_hot_BNC = jax.nn.one_hot(labels_BN, self.config.classes, dtype=inputs_BND.dtype)
        before_BNC = jnp.pad(one_hot_BNC, ((0, 0), (1, 0), (0, 0)))[:, :-1]
        return self.head(self.body(self.inputs(inputs_BND) + self.labels(before_BNC), key))
