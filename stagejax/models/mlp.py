"""The feed-forward half of a transformer block."""

from __future__ import annotations

from typing import Literal

import jax
from flax import nnx
from jaxtyping import Array, Float

from stagejax.models.linear import Dense
from stagejax.models.masks import Masks, masked

Activation = Literal["gelu", "gelu_tanh", "relu", "swiglu", "geglu"]

#: Those that multiply two projections of the input.
GATED = ("swiglu", "geglu")


def activate(activation: Activation, hidden: Float[Array, "*shape"], gate: Array | None) -> Float[Array, "*shape"]:
    """The hidden units of a feed-forward network from its projections `up(x)` and, where it has one, `gate(x)`.

    >>> activate("relu", jax.numpy.array([-1.0, 2.0]), None)
    Array([0., 2.], dtype=float32)
    """
    if gate is not None:
        return hidden * (jax.nn.silu(gate) if activation == "swiglu" else jax.nn.gelu(gate, approximate=True))
    if activation == "relu":
        return jax.nn.relu(hidden)
    return jax.nn.gelu(hidden, approximate=activation == "gelu_tanh")


class MLP(nnx.Module):
    """`down(gelu(up(x)))`, or the gated `down(silu(gate(x)) * up(x))`.

    "gelu" is the exact one (BERT), "gelu_tanh" its approximation (GPT-2). Reference of "swiglu" and, with the
    approximate gelu, "geglu": Shazeer 2020, https://arxiv.org/abs/2002.05202.

    >>> mlp = MLP(8, 32, activation="swiglu", bias=False, std=0.02, std_out=0.01, rngs=nnx.Rngs(0))
    >>> mlp(jax.numpy.ones((2, 8))).shape
    (2, 8)
    """

    def __init__(
        self, embed: int, mlp: int, *, activation: Activation, bias: bool, std: float, std_out: float, rngs: nnx.Rngs
    ) -> None:
        self.activation = activation
        gated = activation in GATED
        self.gate = Dense({"embed": embed}, {"mlp": mlp}, std=std, bias=bias, rngs=rngs) if gated else None
        self.up = Dense({"embed": embed}, {"mlp": mlp}, std=std, bias=bias, rngs=rngs)
        self.down = Dense({"mlp": mlp}, {"embed": embed}, std=std_out, bias=bias, rngs=rngs)

    def __call__(self, x: Float[Array, "... embed"], masks: Masks | None = None) -> Float[Array, "... embed"]:
        """A mask over `mlp` multiplies the hidden units."""
        hidden = activate(self.activation, self.up(x), None if self.gate is None else self.gate(x))
        return self.down(masked(hidden, masks, ("mlp",)))
